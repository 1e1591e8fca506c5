from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.markers import CARETUPBASE
from matplotlib.text import Text

from analysis.figures import draw
from analysis.figures.drawing.marks import B_CRIT_SIGN
from analysis.figures.drawing.series import (
    BOUND,
    FIT,
    LEFT_OUT,
    LEFT_OUT_BOUND,
    MEASURED,
    NOT_REACHED,
    PERFECT,
)
from analysis.figures.one_study.steps import HYPERBOLA, MEDIAN, steps_data
from analysis.fitting.critical import SEEDS, CriticalBatchSize
from analysis.fitting.estimates import NOT_IDENTIFIED
from analysis.report.summary import analyze
from analysis.tables.folder import ResultsFolder
from analysis.tables.study import read_study

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
def by_series(analyzed):
    return analyzed, dict(iter(steps_data(analyzed).groupby("series")))


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


def test_perfect_scaling_starts_where_the_curve_starts(by_series):
    line, curve = by_series[1][PERFECT], by_series[1][FIT]
    start = curve["batch_size"].iloc[0] * curve["steps"].iloc[0]
    assert (line["steps"] * line["batch_size"]).to_numpy() == pytest.approx(start)


def test_perfect_scaling_starts_at_the_first_point_without_a_curve(made):
    data = steps_data(analyze(made({4: 300, 8: 160})))
    line = data[data["series"] == PERFECT]
    assert FIT not in set(data["series"])
    assert (line["steps"] * line["batch_size"]).to_numpy() == pytest.approx(4 * 300)


def test_misses_are_lower_bounds_at_the_longest_trial(made):
    data = steps_data(analyze(made(SHAPES["some missed"])))
    missed = data[data["series"].isin([NOT_REACHED, LEFT_OUT])]
    assert missed["batch_size"].tolist() == [2, 32]
    assert missed["steps"].tolist() == [20_000, 20_000]


@pytest.mark.parametrize("shape", SHAPES)
def test_draws_any_shape_that_can_be_read(made, shape, assert_readable):
    analysis = analyze(made(SHAPES[shape]))
    figure = draw(analysis)
    (axes,) = figure.axes
    ticks = [tick.get_text() for tick in axes.get_xticklabels()]
    assert 2 <= len(ticks) <= 17
    assert ticks[-1] == str(max(SHAPES[shape]))
    assert set(ticks) <= {str(size) for size in SHAPES[shape]}
    assert_readable(figure, shape)


def test_title_and_axes_are_labeled(analyzed):
    figure = draw(analyzed)
    (axes,) = figure.axes
    assert figure.get_suptitle() == "digits-mlp, nesterov, validation error < 0.05"
    assert axes.get_xlabel() == "Batch size (examples)"
    assert axes.get_ylabel() == "Steps to target (optimizer updates)"
    headline = analyzed.b_crit.estimate.text(B_CRIT_SIGN)
    assert headline in [text.get_text() for text in axes.texts]


def legend_of(analysis):
    return [text.get_text() for text in draw(analysis).legends[0].get_texts()]


def test_the_headline_stands_above_what_seeds_alone_give(made, analyzed):
    smooth = analyze(made(PLATEAU))
    for analysis in (smooth, analyzed):
        best = analysis.fits.best.model.name
        names = [best] if best == "hyperbola" else [best, "hyperbola"]
        assert [name.split()[0] for name in legend_of(analysis) if " fit" in name] == names
        (axes,) = draw(analysis).axes
        marks = [text.get_text() for text in axes.texts if "crit" in text.get_text()]
        b_crit = analysis.b_crit
        assert marks == [
            b_crit.estimate.text(B_CRIT_SIGN),
            f"{b_crit.parts[SEEDS].text(B_CRIT_SIGN)} by seeds alone",
        ]
        assert (HYPERBOLA in set(steps_data(analysis)["series"])) == (len(names) > 1)


def test_an_exponent_above_1_is_explained_by_its_curve(made):
    study = made({2**k: round(3000 / 2 ** (1.3 * k)) + 40 for k in range(9)})
    # where under-tuning is known, no curve is steeper
    steep = analyze(replace(study, config={**study.config, "adaptive": True}))
    assert steep.fits.best.model.name == "power"
    (label,) = (" ".join(label.split()) for label in legend_of(steep) if "power" in label)
    assert "steps cannot fall faster than 1/B. Tuning or noise differs" in label
    assert steep.fits["power"].exponent.text("exponent") in label


def test_what_is_not_identified_has_no_mark_and_no_number(made):
    analysis = analyze(made(SHAPES["flat"]))
    b_crit = CriticalBatchSize(name="b_crit", estimate=NOT_IDENTIFIED)
    unknown = replace(analysis, critical={"b_crit": b_crit})
    (axes,) = draw(unknown).axes
    (text,) = (text.get_text() for text in axes.texts)
    assert text == f"{B_CRIT_SIGN} not identified"
    assert not any(line.get_marker() == "s" for line in axes.lines)
    assert not any(line.get_linestyle() == ":" for line in axes.lines)


def test_bounds_are_those_of_the_fit_and_say_so(made):
    steps = [None, 12000, 6700, 3900, 1820, 980, 700, None]
    fitted = analyze(made({2**k: count for k, count in enumerate(steps)}))
    data = steps_data(fitted)
    missed = fitted.fit.points.missed
    drawn = data[data["series"] == NOT_REACHED].set_index("batch_size")["steps"]
    assert drawn.to_dict() == dict(
        zip(fitted.fit.points.batch_sizes[missed], fitted.fit.points.steps[missed], strict=True)
    )
    left_out = data[data["series"] == LEFT_OUT]["batch_size"].astype(int)
    assert tuple(left_out) == fitted.left_out == (128,)
    labels = [" ".join(label.split()) for label in legend_of(fitted)]
    assert [label for label in labels if "bound" in label] == [BOUND, LEFT_OUT_BOUND]
    assert not any("bound" in label for label in legend_of(analyze(made(PLATEAU))))


def test_a_median_that_seeds_missed_is_a_bound_and_an_open_interval_has_a_tip():
    depth_3 = Path(__file__).parents[4] / "results" / "reference" / "width_depth" / "depth-3"
    analysis = analyze(read_study(ResultsFolder.at(depth_3)))
    data = steps_data(analysis)
    bounds = data[data["series"].isin([NOT_REACHED, LEFT_OUT])].set_index("batch_size")["steps"]
    assert bounds.to_dict() == {256.0: 402.0, 1024.0: 567.0}
    median = data[(data["series"] == MEDIAN) & (data["batch_size"] == 512)].iloc[0]
    assert pd.isna(median["high"])
    (axes,) = draw(analysis).axes
    tips = [line for line in axes.lines if line.get_marker() == CARETUPBASE]
    assert [line.get_xdata().tolist() for line in tips] == [[512.0]]


def test_every_regime_seen_is_named(made):
    analysis = analyze(made(PLATEAU))
    names = {label.removeprefix("regime: ") for label in legend_of(analysis)}
    assert {str(span.regime) for span in analysis.regimes.spans()} <= names


def test_a_study_in_tokens_has_a_second_axis(study, analyzed, assert_readable):
    in_tokens = analyze(replace(study, config={**study.config, "tokens_per_example": 16}))
    figure = draw(in_tokens)
    (axes,) = figure.axes
    (top,) = axes.child_axes
    assert top.get_xticks().max() == 16 * axes.get_xticks().max()
    assert set(top.get_xticks() / 16) <= set(axes.get_xticks())  # labels have room
    assert_readable(figure)
    assert not draw(analyzed).axes[0].child_axes


@pytest.mark.parametrize("known", [True, False])
def test_the_legend_names_the_bars_that_are_drawn(made, known):
    study = made(SHAPES["plateau"])
    trials = study.trials if known else study.trials.assign(steps_before=pd.NA)
    curves = study.curves if known else study.curves.iloc[:0]
    figure = draw(analyze(replace(study, trials=trials, curves=curves)), "steps_vs_batch")
    texts = [text.get_text() for text in figure.findobj(Text)]
    assert any("bar: evaluation" in text.replace("\n", " ") for text in texts) is known


def test_the_legend_says_that_a_corrected_curve_is_of_the_optimum(analyzed):
    def labels(analysis):
        (legend,) = draw(analysis).legends
        return [text.get_text() for text in legend.get_texts()]

    assert analyzed.fits.found is not None
    assert any("fit of the optimum, 95% band" in label for label in labels(analyzed))
    plain = replace(analyzed, fits=analyzed.fits.found)
    assert not any("optimum" in label for label in labels(plain))
