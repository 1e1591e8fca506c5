"""Malformed command lines: exit code 2, a message, no traceback, nothing written."""

import os
import shutil
from pathlib import Path

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from typer.main import get_command

from analysis.tables.files import write_file
from analysis.tables.folder import ResultsFolder
from study.commands import app as cli
from study.search.samplers import SAMPLERS
from tests.study.commands.malformed.fuzzing import tried
from workloads.registry import names

GOLDEN = Path(__file__).parents[3] / "golden" / "search"
TARGETS = ("nan", "inf", "-inf", "0", "-1", "x", "", "1e-9")


def files():
    return {str(path): path.lstat().st_mtime_ns for path in Path().rglob("*")}


@pytest.fixture
def refused(command, monkeypatch):
    """Run command lines, and checks that each is refused as it must be."""
    # a sweep would begin
    monkeypatch.setattr("study.commands.running._sweep_one", lambda *_: 1 / 0)
    monkeypatch.setattr(cli, "app", get_command(cli.app))  # what it makes of itself at each call

    def fault(arguments, before):
        try:
            code, out, err = command(*arguments)
        except Exception as error:  # noqa: BLE001 - whatever comes is told
            return f"{type(error).__name__}: {error}"
        told = code == 2 and err and not out and files() == before
        return None if told and not {"Traceback", "\x1b"} & set(err.split()) else (code, out, err)

    def check(lines):
        before = files()
        faults = {" ".join(line)[:200]: fault(line, before) for line in lines}
        assert {line: found for line, found in faults.items() if found} == {}

    return check


def make_folders():
    """Make what no command takes for a study, by name."""
    Path("empty").mkdir()
    Path("file").write_text("text")
    Path("other").mkdir()
    Path("other/notes.txt").write_text("text")
    Path("folder.toml").mkdir()
    for name, content in {
        "blank": b"",
        "broken": b"a = = 1",
        "bytes": b"\xff\xfe\x00",
        "nested": b"a = " + b"[" * 5000,
        "enormous": b"a = " + b"9" * 5000,
        "scalar": b"race = 1\nsearch = 2\nworkload = 3\noptimizer = 4\n",
        "lists": b"race = []\nsearch = []\nworkload = []\noptimizer = []\n",
        "short": b'workload = "w"\noptimizer = "o"\n[race]\n[search.space]\n',
    }.items():
        write_file(ResultsFolder.at(name), "study.toml", content)
    Path("inside").mkdir()
    Path("inside/study.toml").mkdir()
    os.symlink("circle", "circle")


NO_STUDIES = [
    *("empty", "file", "other", "blank", "broken", "bytes", "nested", "enormous", "scalar"),
    *("lists", "short", "inside", "circle", "nowhere", "", ".", "/", "/dev/null", "file/more"),
    *("x" * 5000, "ftp://host/a", "s3://", "s3://user:secret@bucket", "file://", "a://b", "gs://"),
    *("file://host/path", "file:///nowhere/%00", "s3://%zz", "~", "\udcff", "[/red]", "--", "-x"),
]


@pytest.mark.parametrize("verb", ["status", "analyze", "export"])
def test_anything_but_a_results_folder_is_refused(refused, verb):
    make_folders()
    refused([verb, place] for place in NO_STUDIES)


def test_studies_that_cannot_be_compared_are_refused(refused):
    make_folders()
    shutil.copytree(GOLDEN, "golden")
    shutil.copytree(GOLDEN, "second")
    two = ["compare", "golden", "second"]
    refused(["compare", "golden", place] for place in NO_STUDIES)
    refused([["compare"], ["compare", "golden"], ["compare", "golden", "golden/../golden/"]])
    refused([*two, "--to", to] for to in ("golden", "file", "ftp://a", "other"))
    refused([*two, "--target", value] for value in TARGETS)


def test_wrong_options_of_an_analysis_are_refused(refused):
    shutil.copytree(GOLDEN, "golden")
    refused(["analyze", "golden", "--target", value] for value in TARGETS)
    for to in ("golden/study.toml", "golden/study.toml/more", "x" * 300):
        refused([["export", "golden", "--to", to]])


def test_anything_but_an_archive_is_refused(refused):
    make_folders()
    Path("tar").write_bytes(b"BZh91AY&SY" + bytes(50))
    Path("zeros").write_bytes(bytes(20_000))
    refused(["import", p] for p in [*NO_STUDIES, "tar", "zeros"] if p not in {".", "/", "~"})
    values = ("nan", "0", "-1", "x", "")
    refused(["import", "other", "--target", value] for value in values)
    refused(["import", "other", "--first-trials", value] for value in values)


STUDIES = [
    *(
        "file.toml",
        "folder.toml",
        ".toml",
        "/.toml",
        "x" * 5000 + ".toml",
        "x" * 300 + "/study.toml",
        "\udcff.toml",
        "a.toml/",
    ),
    *(
        "a.py",
        ".py",
        "a.py:",
        ":",
        "a:b",
        "a.py:B",
        "folder.toml:A",
        "/dev/null",
        "",
        " ",
        "[/red]",
    ),
    *(
        f"{'x' * 5000}.py:Mine",
        "\udcff.py:Mine",
        "circle.py:A",
        "digits-mlp ",
        "DIGITS-MLP",
        "x.TOML",
    ),
]


@pytest.mark.parametrize("verb", ["sweep", "plan", "check"])
def test_anything_but_a_study_is_refused(refused, verb):
    make_folders()
    os.symlink("circle.py", "circle.py")
    refused([verb, source] for source in STUDIES)


OPTIONS = [
    *(["--workers", value] for value in ("0", "-1", "x", "1.5", "nan", "1e3", "10_000_000", "")),
    *(["--gpus-per-worker", value] for value in ("-1", "nan", "inf", "x", "1e6", "")),
    *(
        ["--set", value]
        for value in ("", "=", "a", "=1", ".=1", "a.=1", "seed", "seed=", "seed=-1")
    ),
    *(["--set", value] for value in ("seed=1\noptimizer='sgd'", "seed=" + "9" * 5000, "a..b=1")),
    ["--set", ".".join("a" * 5000) + "=1"],
    ["--set", "workload_options=" + "[" * 5000 + "]" * 5000],
    ["--set", "workload_options.hidden=" + "[" * 300 + "]" * 300],
    ["--set", "workload_options." + ".".join("a" * 90) + "=1"],
    ["--data-dir", "nowhere"],
    ["--data-dir", "file"],
    ["--data-dir", "x" * 300],
    ["--unknown"],
    ["-x"],
    ["more"],
]
OF_SWEEP = [
    *(
        ["--address", value]
        for value in ("x", "x:", ":1", "x:99999", "ray://a:1", "127.0.0.1:1", "")
    ),
    *(["--results", value] for value in ("ftp://a", "s3://", "file://host/a")),
]
OF_PLAN = [
    *(["--max-hours", value] for value in ("-1", "nan", "x")),
    *(["--seconds", value] for value in ("0", "-1", "nan", "inf", "x")),
]


@pytest.mark.parametrize(
    ("verb", "options"), [("sweep", OPTIONS + OF_SWEEP), ("plan", OPTIONS + OF_PLAN)]
)
def test_wrong_options_are_refused(refused, verb, options):
    Path("file").write_text("text")
    refused([verb, "digits-mlp", *option] for option in options)


WORDS = st.text(st.characters(blacklist_characters="\0", codec="utf-8"), max_size=30)


@given(
    verb=st.sampled_from(["status", "analyze", "export", "import", "check", "sweep", "plan"]),
    word=WORDS,
)
@example(verb="sweep", word="\x1b[2J.toml")
@example(verb="import", word="[/]")
@tried(max_examples=150)
def test_whatever_is_named_there_is_no_traceback(refused, verb, word):
    # hypothesis also tries texts that it finds in our source, such as names of workloads
    assume(word not in {entry.name for entry in names()})
    assume(not Path(word).exists() and word not in {"--help", "--"})
    refused([[verb, word]])


@given(text=WORDS)
@tried(max_examples=150)
def test_whatever_is_set_there_is_no_traceback(refused, text):
    assume(text not in SAMPLERS)
    settings = [f"search.sampler={text}", *([] if "=" in text else [text])]
    refused(["sweep", "digits-mlp", "--set", setting] for setting in settings)
