import numpy as np
import pytest

from analysis.figures.one_study.steps import (
    FIT,
    MEASURED,
    NOT_REACHED,
    PERFECT,
    draw_steps,
    steps_data,
)
from analysis.report.summary import analyze

PLATEAU = dict(zip(4 ** np.arange(8), [8050, 2037, 536, 169, 94, 77, 72, 70], strict=True))
SHAPES = {
    "no plateau": {b: round(6000 / b) for b in (4, 8, 16, 32, 64, 128)},
    "plateau": PLATEAU,
    "flat": dict.fromkeys((64, 128, 256, 512), 50),
    "seventeen": dict(zip([2**k for k in range(16)] + [55_000], range(170, 0, -10), strict=True)),
    "one step": {64: 4, 128: 2, 256: 1, 512: 1},
    "some missed": {2: None, 4: 335, 8: 198, 16: 91, 32: None},
    "too few": {4: None, 8: 300},
    "none": {4: None, 8: None},
}


@pytest.fixture
def by_series(study):
    analysis = analyze(study)
    return analysis, dict(iter(steps_data(analysis).groupby("series")))


def test_points_carry_their_bracket(by_series):
    analysis, series = by_series
    points = series[MEASURED]
    assert points["batch_size"].tolist() == analysis.table["batch_size"].tolist()
    assert points["steps"].tolist() == points["high"].tolist() == analysis.table["steps"].tolist()
    assert points["low"].tolist() == analysis.table["steps_before"].tolist()


def test_curve_and_band_are_those_of_the_fit(by_series):
    analysis, series = by_series
    curve = series[FIT]
    best = analysis.fits.best
    assert curve["steps"].to_numpy() == pytest.approx(best.predict(curve["batch_size"]))
    assert (curve["low"] < curve["steps"]).all()
    assert (curve["steps"] < curve["high"]).all()
    assert curve["batch_size"].iloc[[0, -1]].tolist() == pytest.approx([2, 1024])


def test_perfect_scaling_goes_through_the_first_point(by_series):
    line = by_series[1][PERFECT]
    assert (line["steps"] * line["batch_size"]).to_numpy() == pytest.approx(1200)


def test_misses_are_lower_bounds_at_the_longest_trial(made):
    data = steps_data(analyze(made(SHAPES["some missed"])))
    missed = data[data["series"] == NOT_REACHED]
    assert missed["batch_size"].tolist() == [2, 32]
    assert missed["steps"].tolist() == [20_000, 20_000]


@pytest.mark.parametrize("shape", SHAPES)
def test_draws_any_shape_without_overlap(made, shape):
    analysis = analyze(made(SHAPES[shape]))
    figure = draw_steps(steps_data(analysis), analysis)
    figure.draw_without_rendering()
    (axes,) = figure.axes
    texts = [text.get_window_extent() for text in axes.texts]
    assert not any(a.overlaps(b) for i, a in enumerate(texts) for b in texts[:i])
    assert all(axes.bbox.padded(1).containsx(x) for box in texts for x in (box.x0, box.x1))
    (legend,) = figure.legends
    assert legend.get_window_extent().width <= figure.bbox.width
    assert not legend.get_window_extent().overlaps(axes.get_tightbbox())
    ticks = [tick.get_text() for tick in axes.get_xticklabels()]
    assert 2 <= len(ticks) <= 10
    assert all(tick.isdigit() for tick in ticks)


def test_title_and_axes_are_labeled(study):
    analysis = analyze(study)
    (axes,) = draw_steps(steps_data(analysis), analysis).axes
    assert axes.get_title(loc="left") == "digits-mlp, nesterov, validation error < 0.05"
    assert axes.get_xlabel() == "Batch size (examples)"
    assert axes.get_ylabel() == "Steps to target (optimizer updates)"
    assert any("= 60 (46–79)" in text.get_text() for text in axes.texts)


def test_the_curve_drawn_and_the_model_of_b_crit_are_named(made, study):
    smooth = analyze(made(PLATEAU))
    assert smooth.fits.best.model.name == "smooth"
    for analysis, name, whose in ((smooth, "smooth", True), (analyze(study), "hyperbola", False)):
        figure = draw_steps(steps_data(analysis), analysis)
        labels = [text.get_text() for text in figure.legends[0].get_texts()]
        assert f"{name} fit, 95% band" in labels
        (mark,) = (text.get_text() for text in figure.axes[0].texts if "crit" in text.get_text())
        assert ("of the hyperbola" in mark) == whose


def test_every_regime_seen_is_named(made):
    analysis = analyze(made(PLATEAU))
    (axes,) = draw_steps(steps_data(analysis), analysis).axes
    names = {text.get_text().replace("\n", " ") for text in axes.texts}
    assert {str(span.regime) for span in analysis.regimes.spans()} <= names
