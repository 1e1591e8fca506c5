"""Every figure of every reference study can be read, wide and in a column of a paper."""

import json
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from analysis.comparison.compare import compare
from analysis.figures import FIGURES
from analysis.figures.comparison import COMPARISON_FIGURES
from analysis.figures.drawing.kind import Look
from analysis.report.summary import analyze
from analysis.tables.folder import ResultsFolder
from analysis.tables.study import read_study

ROOT = Path(__file__).parents[3]
REFERENCE = ROOT / "results" / "reference"
LOOKS = {
    "wide": Look(),
    "column": Look(width=3.25),
    "small": Look(width=3.25, font_size=8, title=False),
}


def holding(name):
    """Return the reference folders that hold a file; all but the demo's are for `make test-all`."""
    long = (pytest.mark.slow, pytest.mark.long)
    return [
        pytest.param(path.parent, id=str(path.parent.relative_to(REFERENCE)), marks=marks)
        for path in sorted(REFERENCE.rglob(name))
        for marks in [() if path.parent.name == "digits" else long]
    ]


def assert_all_readable(kinds, source, look, assert_readable):
    for name, kind in kinds.items():
        data = kind.data(source)
        if not data.empty:
            figure = kind.figure(data, source, look)
            assert_readable(figure, name)
            assert figure.get_figwidth() == (look.width or 6.4)


@pytest.fixture(scope="module")
def analyses():
    """Return a function that analyzes a folder once."""
    known = {}

    def of(folder):
        if folder not in known:
            known[folder] = analyze(read_study(ResultsFolder.at(folder)))
        return known[folder]

    return of


@pytest.mark.parametrize(
    "look",
    [
        pytest.param(look, id=name, marks=[pytest.mark.long] * (name != "small"))
        for name, look in LOOKS.items()
    ],
)
@pytest.mark.parametrize("folder", holding("study.toml"))
def test_the_figures_of_a_study(folder, look, analyses, assert_readable):
    assert_all_readable(FIGURES, analyses(folder), look, assert_readable)


@pytest.mark.parametrize("look", LOOKS.values(), ids=list(LOOKS))
@pytest.mark.parametrize("folder", holding("comparison.json"))
def test_the_figures_of_a_comparison(folder, look, assert_readable):
    places = json.loads((folder / "comparison.json").read_text())["folders"]
    found = compare({one: read_study(ResultsFolder.at(ROOT / at)) for one, at in places.items()})
    assert_all_readable(COMPARISON_FIGURES, found, look, assert_readable)


@pytest.mark.parametrize(
    ("fault", "text"),
    [
        ("meets a mark", {"x": 0.5, "y": 0.5}),
        ("meets the text", {"x": 0.0, "y": 0.9}),
        ("leaves the figure", {"x": 2.0, "y": 0.9}),
        ("has a contrast of", {"x": 0.0, "y": 0.1, "color": "#999999"}),
    ],
)
def test_a_text_that_cannot_be_read_is_found(fault, text, assert_readable):
    axes = Figure().add_subplot()
    axes.set_axis_off()
    axes.set(xlim=(0, 1), ylim=(0, 1))
    axes.plot([0, 1], [0.5, 0.5])
    axes.text(0, 0.9, "first")
    axes.text(**{"s": "second", **text})
    with pytest.raises(AssertionError, match=fault):
        assert_readable(axes.figure)
