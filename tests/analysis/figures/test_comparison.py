import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from analysis.comparison.compare import compare
from analysis.figures.comparison import (
    B_CRIT,
    COMPARISON_FIGURES,
    FIT,
    LEFT_OUT,
    MEASURED,
    NOT_REACHED,
    PERFECT,
    comparison_data,
    draw,
    normalised_data,
)
from analysis.figures.drawing.kind import write_all
from analysis.tables.folder import ResultsFolder

SHAPES = {
    "all regimes": {2: 600, 4: 335, 8: 198, 16: 91, 32: 49, 64: 35, 128: 32, 256: 30},
    "no plateau": {b: round(6000 / b) for b in (4, 8, 16, 32, 64, 128)},
    "flat": dict.fromkeys((64, 128, 256, 512), 50),
    "some missed": {2: None, 4: 335, 8: 198, 16: 91, 32: None, 64: 50},
    "no fit": {4: None, 64: 300},
}


@pytest.fixture(scope="module", autouse=True)
def one_target():
    """Skip the other targets, which a comparison does not use: they take half the time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("analysis.report.summary.find_goals", lambda study: ())
        yield


def comparison_of(made, *names):
    studies = {}
    for place, name in enumerate(names):
        study = made(SHAPES[name], trials=4)
        studies[f"{place}"] = replace(study, config={**study.config, "optimizer": f"one {place}"})
    return compare(studies)


def test_data_are_points_fits_and_b_crit(made):
    found = comparison_of(made, "all regimes", "some missed")
    data = comparison_data(found)
    for study in found.studies:
        own = data[data["study"] == study.name].set_index("series")
        assert own.loc[MEASURED, "steps"].tolist() == list(study.reached.values())
        curve = own.loc[FIT]
        assert curve["steps"].to_numpy() == pytest.approx(study.fit.predict(curve["batch_size"]))
        ends = own.loc[B_CRIT, ["low", "high"]].to_numpy(float)
        assert np.nan_to_num(ends, nan=0.0).tolist() == [study.b_crit.low, 0.0]
        assert math.isinf(study.b_crit.high)
    missed = data[data["series"].isin([NOT_REACHED, LEFT_OUT])]
    assert missed["batch_size"].tolist() == [2, 32]
    assert missed["steps"].tolist() == [20_000, 20_000]


def test_normalised_data_are_one_at_the_common_size(made):
    found = comparison_of(made, "all regimes", "some missed")
    data = normalised_data(found)
    there = data[(data["batch_size"] == 4) & (data["series"] == MEASURED)]
    assert there["steps"].tolist() == [1.0, 1.0]
    line = data[data["series"] == PERFECT]
    assert (line["steps"] * line["batch_size"]).tolist() == pytest.approx([4, 4])


def test_bounds_are_null(made):
    data = comparison_data(comparison_of(made, "no plateau", "no fit"))
    rows = data[data["series"] == B_CRIT].set_index("study")
    assert rows.loc["0", "low"] > 0
    assert pd.isna(rows.loc["0", "high"])
    assert rows.loc["1", ["batch_size", "low", "high"]].isna().all()


@pytest.mark.parametrize(
    "names",
    [("all regimes", "no plateau"), ("all regimes", "no fit"), tuple(SHAPES)],
    ids=["two", "one without a fit", "five"],
)
def test_draws_any_shapes_that_can_be_read(made, names, assert_readable):
    found = comparison_of(made, *names)
    for name, kind in COMPARISON_FIGURES.items():
        if kind.data(found).empty:
            continue
        figure = draw(found, name)
        labels = {text.get_text() for text in figure.legends[0].get_texts()}
        assert {study.label for study in found.studies} <= labels
        assert_readable(figure, name)


def test_writes_both_figures_or_the_only_one(made, tmp_path):
    folder = ResultsFolder.at(tmp_path)
    written = write_all(
        COMPARISON_FIGURES, comparison_of(made, "all regimes", "no plateau"), folder
    )
    stems = ("comparison", "comparison_normalised")
    assert written == [f"{stem}.{form}" for stem in stems for form in ("png", "svg", "csv")]
    assert all((tmp_path / name).stat().st_size for name in written)
    apart = comparison_of(made, "flat", "no fit")
    assert normalised_data(apart).empty == (apart.normalisation.batch_size is None)
