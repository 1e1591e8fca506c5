import pandas as pd
import pytest
from matplotlib.path import Path

from analysis.figures import draw
from analysis.figures.drawing.series import FIT, LEFT_OUT, MEASURED, NOT_REACHED
from analysis.figures.one_study.goals import b_crit_data, goals_data
from analysis.report.summary import analyze

SHAPES = {
    "all regimes": {2: 600, 4: 335, 8: 198, 16: 91, 32: 49, 64: 35, 128: 32, 256: 30},
    "no plateau": {b: round(6000 / b) for b in (4, 8, 16, 32, 64, 128)},
    "flat": dict.fromkeys((64, 128, 256, 512), 50),
    "some missed": {2: None, 4: 335, 8: 198, 16: 91, 32: None},
    "too few": {4: None, 8: 300},
    "one": {4: 300},
    "none": {4: None, 8: None},
}


def test_data_are_steps_and_fits_of_each_target(analyzed):
    data = goals_data(analyzed)
    goals = analyzed.goals
    for goal in goals:
        series = dict(iter(data[data["target"] == goal.target].groupby("series")))
        assert series[MEASURED]["steps"].tolist() == goal.table["steps"].tolist()
        curve = series[FIT]
        assert curve["steps"].to_numpy() == pytest.approx(
            goal.fits["hyperbola"].predict(curve["batch_size"])
        )
    assert data["target"].nunique() == len(goals)


def test_misses_are_lower_bounds(made):
    data = goals_data(analyze(made(SHAPES["some missed"])))
    missed = data[data["series"].isin([NOT_REACHED, LEFT_OUT])]
    assert missed["target"].tolist() == [0.05, 0.05]
    assert missed["batch_size"].tolist() == [2, 32]
    assert missed["steps"].tolist() == [20_000, 20_000]


@pytest.mark.parametrize("shape", SHAPES)
def test_draws_any_shape_that_can_be_read(made, shape, assert_readable):
    analysis = analyze(made(SHAPES[shape]))
    figure = draw(analysis, "goals")
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    targets = goals_data(analysis)["target"].unique()
    assert [name for name in names if name.startswith("target")] == [
        f"target {target:g}" for target in sorted(targets)
    ]
    assert_readable(figure)


def test_b_crit_of_each_target_and_bounds_as_null(made, analyzed):
    data = b_crit_data(analyzed)
    goals = analyzed.goals
    assert data["target"].tolist() == [goal.target for goal in goals]
    assert data["b_crit"].tolist() == [goal.b_crit.value for goal in goals]
    assert data["high"].tolist() == [goal.b_crit.high for goal in goals]
    bounds = b_crit_data(analyze(made(SHAPES["no plateau"]))).iloc[0]
    assert bounds["low"] > 0
    assert pd.isna(bounds["b_crit"])
    assert pd.isna(bounds["high"])


def test_nothing_to_draw(made):
    assert goals_data(analyze(made({64: 4, 128: 3, 256: 3}))).empty
    assert b_crit_data(analyze(made(SHAPES["too few"]))).empty


@pytest.mark.parametrize("shape", ["all regimes", "no plateau"])
def test_draws_b_crit_within_the_axes(made, shape):
    analysis = analyze(made(SHAPES[shape]))
    data = b_crit_data(analysis)
    figure = draw(analysis, "b_crit_vs_target")
    figure.draw_without_rendering()
    (axes,) = figure.axes
    assert axes.xaxis_inverted()
    bottom, top = axes.get_ylim()
    ends = data[["low", "high"]].stack().dropna()
    assert (ends > bottom).all()
    assert (ends < top).all()
    bounds = (data["low"].isna() != data["high"].isna()).sum()
    assert sum(isinstance(line.get_marker(), Path) for line in axes.lines) == bounds
