"""The blocks of code in the README and in the documentation."""

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

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
    """Gives the fenced blocks of a page in their order."""
    return [
        Block(match["kind"], match["text"], match["why"])
        for match in _FENCE.finditer(page.read_text(encoding="utf-8"))
    ]


@pytest.fixture
def reader(tmp_path, monkeypatch):
    """Puts a reader into a folder that holds what a checkout has beside the code."""
    shutil.copytree(ROOT / "results" / "reference", tmp_path / "results" / "reference")
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "agg")
    return tmp_path
