"""What the code must not do with what it reads: run it."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = sorted(
    path for name in ("study", "workloads", "analysis") for path in (ROOT / name).rglob("*.py")
)
FORBIDDEN_CALLS = {
    *("eval", "exec", "compile", "__import__", "breakpoint", "input"),
    *("os.system", "os.popen", "os.execv", "os.spawnv", "pty.spawn"),
    *("yaml.load", "yaml.unsafe_load", "torch.jit.load", "torch.hub.load"),
    *("np.load", "numpy.load", "pd.read_pickle", "pandas.read_pickle", "joblib.load"),
    *("tarfile.TarFile.extractall", "shutil.unpack_archive", "tempfile.mktemp"),
}
FORBIDDEN_METHODS = {"extractall", "to_pickle"}
FORBIDDEN_MODULES = {
    "pickle",
    "cPickle",
    "dill",
    "cloudpickle",
    "marshal",
    "shelve",
    "joblib",
    "yaml",
}
PROCESSES = {
    # git, for the commit of the code that runs: a fixed list of arguments
    ("study/storage/provenance.py", "subprocess.run"),
    # a shell that ends Ray when its sweep is killed: a fixed list of arguments
    ("study/orchestration/signals.py", "subprocess.Popen"),
    # the program that a study is of, which the registry refuses where a stranger names it
    ("study/engine/programs/process.py", "subprocess.Popen"),
    # the process that keeps a page current beside the sweep: a fixed list of arguments
    ("study/commands/pages.py", "subprocess.Popen"),
    # the process that feeds trackers, out of the way of the sweep: a fixed list of arguments
    ("study/tracking/follow.py", "subprocess.Popen"),
}


def dotted(node):
    parts = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return ".".join([node.id, *reversed(parts)]) if isinstance(node, ast.Name) else ""


def dangers(source):
    """Return what a file does that untrusted input could abuse, and the processes it starts."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = (
                [alias.name for alias in node.names]
                if isinstance(node, ast.Import)
                else [node.module]
            )
            for name in names:
                if name.partition(".")[0] in FORBIDDEN_MODULES:
                    yield f"import {name}"
        if isinstance(node, ast.Call):
            name = dotted(node.func)
            method = node.func.attr if isinstance(node.func, ast.Attribute) else ""
            if name in FORBIDDEN_CALLS or method in FORBIDDEN_METHODS:
                yield name or method
            if name.startswith("subprocess."):
                yield name
            keywords = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
            if keywords.get("shell", "False") != "False":
                yield f"{name} with shell"
            if keywords.get("allow_pickle", "False") != "False":
                yield f"{name} with allow_pickle"
            unsaid = "False" if name == "torch.load" else "True"
            if keywords.get("weights_only", unsaid) != "True":
                yield f"{name} without weights_only"


def test_no_source_runs_what_it_reads():
    assert len(SOURCES) > 100
    found = {
        (path.relative_to(ROOT).as_posix(), danger)
        for path in SOURCES
        for danger in dangers(path.read_text(encoding="utf-8"))
    }
    assert found == PROCESSES


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from dill import loads",
        "eval(x)",
        "import os; os.system(x)",
        "import torch; torch.load(path)",
        "subprocess.run(x, shell=True)",
        "numpy.load(x, allow_pickle=True)",
        "tar.extractall(path)",
        "f(weights_only=False)",
    ],
)
def test_the_scan_finds_what_it_looks_for(source):
    assert list(dangers(source))
