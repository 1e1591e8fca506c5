import numpy as np
import pytest

from analysis.figures import draw
from analysis.figures.one_study.budgets import budgets_data
from analysis.measures.budgets import best_errors, choose_budgets
from analysis.report.summary import analyze

SHAPES = {
    "all regimes": {2: 600, 4: 335, 8: 198, 16: 91, 32: 49, 64: 35, 128: 32, 256: 30},
    "some missed": {2: None, 4: 335, 8: 198, 16: 91, 32: None},
    "wide": {1: 8050, 4: 2037, 16: 536, 64: 169, 256: 94, 1024: 77, 4096: 72, 16384: 70},
    "one": {4: 300},
    "none": {4: None, 8: None},
}


def test_exact_errors_and_bounds_beside_them_are_drawn(study, analyzed):
    data = budgets_data(analyzed)
    table = best_errors(study, choose_budgets(study))
    assert data[table.columns].equals(table)
    assert data["drawn"][data["exact"]].all()
    for _, cells in data.groupby(["unit", "budget"]):
        exact = cells["exact"].to_numpy()
        bounds = np.flatnonzero(cells["drawn"] & ~cells["exact"])
        assert all(exact[max(at - 1, 0) : at + 2].any() for at in bounds)
        assert len(bounds) <= 1


def test_too_few_budgets_are_not_drawn(made):
    assert budgets_data(analyze(made({64: 1, 128: 1, 256: 1}))).empty


@pytest.mark.parametrize("shape", SHAPES)
def test_draws_any_shape_that_can_be_read(made, shape, assert_readable):
    analysis = analyze(made(SHAPES[shape]))
    data = budgets_data(analysis)
    figure = draw(analysis, "budgets")
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    drawn = data[data["drawn"]]
    for unit in ("steps", "examples"):
        count = drawn[drawn["unit"] == unit]["budget"].nunique()
        assert sum(name.endswith(f" {unit}") for name in names) == count
    assert any(name.startswith("upper bound") for name in names) == (~drawn["exact"]).any()
    assert_readable(figure)


def test_a_study_that_was_not_raced_shows_no_target(small_races):
    full, raced = small_races(0, target=0.05)
    for study, lines in ((full, 0), (raced, 1)):
        analysis = analyze(study)
        panel = draw(analysis, "budgets").axes[0]
        assert sum(line.get_linestyle() == "--" for line in panel.lines) == lines
