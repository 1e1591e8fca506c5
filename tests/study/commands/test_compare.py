"""`batchscale compare`: studies side by side, and refusals that leave nothing behind."""

import shutil
from pathlib import Path

import pytest


def files():
    return sorted(str(path) for path in Path.cwd().rglob("*"))


@pytest.fixture
def pair(command, accept):
    """Make folders `a` and `b`, the second of another optimizer."""
    reference = Path(__file__).parents[3] / "results" / "reference" / "digits"
    for name in "ab":
        shutil.copytree(reference, name, ignore=shutil.ignore_patterns("figures", "summary.*"))
    text = Path("b/study.toml").read_text()
    Path("b/study.toml").write_text(text.replace('"nesterov"', '"heavy-ball"'))
    accept("b")


def test_studies_are_compared(passed, pair, monkeypatch):
    before = files()
    out = passed("compare", "a", "b", "--target", "0.06")
    assert "b_crit of optimizer = heavy-ball is 1.0 times that of optimizer = nesterov" in out
    assert "No significant difference in b_crit" in out
    stems = ("comparison", "comparison_normalised")
    figures = [f"{stem}.{form}" for stem in stems for form in ("csv", "png", "svg")]
    written = {path.name for path in Path("comparison").iterdir()}
    assert written == {"comparison.json", "comparison.md", *figures}
    assert [path for path in files() if f"{Path.cwd()}/comparison" not in path] == before
    monkeypatch.setattr("analysis.figures.drawing.kind.write_all", lambda *_: [])
    passed("compare", "b", "a")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a"], "needs 2 or more results folders, got 1"),
        (["a", "b", "./a"], "needs different results folders, got ./a twice"),
        (["a", "loss"], "must have targets of one quantity, got error (a), loss (loss)"),
        (["a", "nowhere"], "must hold study.toml"),
        (["a", "b", "--to", "a"], "must be written to a new folder"),
        (["a", "b", "--target", "0.01"], "must not be below the one raced to"),
        (["a", "b", "--to", "ftp://host"], "file://, s3://, gs://"),
    ],
)
def test_studies_that_cannot_be_compared_are_refused(refused, pair, accept, arguments, message):
    shutil.copytree("b", "loss")
    text = Path("loss/study.toml").read_text()
    Path("loss/study.toml").write_text(text.replace('quantity = "error"', 'quantity = "loss"'))
    accept("loss")
    assert message in refused("compare", *arguments)
