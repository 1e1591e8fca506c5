"""Every command and every piece of Python in the README and the tutorials runs as it stands."""

import re
import runpy
import shlex
import shutil
import subprocess
import tomllib
from dataclasses import dataclass
from pathlib import Path

import pytest

from study.config.grid import members_of
from study.config.study import StudyConfig
from study.config.study_file import validated

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
_FENCE = re.compile(
    r"(?P<mark><!-- not run: (?P<why>[^>]+) -->\s*)?^```(?P<kind>\w+)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Block:
    """A fenced block of a page, and why it is not run, where it is not."""

    kind: str
    text: str
    not_run: str | None


def blocks(page):
    """Return the fenced blocks of a page in their order."""
    return [
        Block(match["kind"], match["text"], match["why"])
        for match in _FENCE.finditer(page.read_text(encoding="utf-8"))
    ]


RUN = [
    ROOT / "README.md",
    *(ROOT / "docs" / name for name in ("quickstart.md", "reading_the_plot.md")),
    *sorted((ROOT / "docs" / "tutorials").glob("*.md")),
]


ALWAYS = ("README", "program")
"""Pages that every run of the tests goes through; the others take half a minute each."""


@pytest.fixture
def reader(tmp_path, monkeypatch):
    """Put a reader into a folder that holds what a checkout has beside the code."""
    shutil.copytree(ROOT / "results" / "reference", tmp_path / "results" / "reference")
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "agg")
    return tmp_path


def named(page):
    return str(page.relative_to(ROOT))


def file_of(text, page):
    """Return the name under which a page tells its reader to save a block of Python."""
    (name,) = [
        line.partition("class ")[2].rstrip(":")
        for line in text.splitlines()
        if line.startswith("class ")
    ]
    file = f"{name.lower()}.py"
    assert f"`{file}`" in page.read_text()
    return file


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "page",
    [pytest.param(page, marks=[] if page.stem in ALWAYS else [pytest.mark.long]) for page in RUN],
    ids=named,
)
def test_a_page_runs_from_top_to_bottom(page, reader, command):
    for block in blocks(page):
        if block.not_run is not None:
            continue
        if block.kind == "console":
            for line in block.text.splitlines():
                prompt, program, *words = shlex.split(line)
                assert prompt == "$", line
                if program == "batchscale":
                    code, out, err = command(*words)
                    assert code == 0, f"{line}\n{out}\n{err}"
                else:
                    subprocess.run([program, *words], check=True, timeout=100)
        elif block.kind == "python" and "\nclass " in block.text:
            Path(file_of(block.text, page)).write_text(block.text)
        elif block.kind == "python":
            Path("block.py").write_text(block.text)
            runpy.run_path("block.py", run_name="__main__")


def test_few_blocks_are_not_run_and_each_says_why():
    skipped = [block for page in RUN for block in blocks(page) if block.not_run]
    assert len(skipped) <= 2
    for block in skipped:
        assert block.not_run.startswith("needs ")


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_study_file_that_is_shown_is_valid(page):
    for block in blocks(page):
        if block.kind == "toml":
            for member in members_of(tomllib.loads(block.text), ROOT):
                validated(StudyConfig, member.data)
