"""A comparison in Python is the one that the command writes."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
from matplotlib.figure import Figure

import batchscale
from analysis.fitting.estimates import Estimate

MOMENTUM = Path(__file__).parents[2] / "results" / "reference" / "momentum"
STUDIES = [MOMENTUM / "optimizer-sgd", MOMENTUM / "optimizer-nesterov"]


@pytest.fixture(scope="module")
def comparison():
    return batchscale.compare([STUDIES[0], batchscale.load(STUDIES[1])])


def test_it_is_the_recorded_one(comparison):
    recorded = json.loads((MOMENTUM / "comparison" / "comparison.json").read_text())
    assert len(comparison.table) == len(recorded["table"])
    (ratio,) = comparison.b_crit_ratios.to_dict("records")
    (then,) = recorded["b_crit_ratios"]
    assert ratio["value"] == pytest.approx(then["value"], rel=1e-6)
    assert list(comparison.sentences()) == recorded["sentences"]


def test_it_is_drawn_and_shown(comparison):
    assert isinstance(comparison.figure(), Figure)
    assert "data:image/png;base64," in comparison._repr_html_()
    assert "sgd" in repr(comparison)


def test_a_single_study_is_refused():
    with pytest.raises(batchscale.BatchscaleError, match="2 or more results folders, got 1"):
        batchscale.compare(STUDIES[:1])


@pytest.mark.parametrize("studies", ["results/digits", 5, None, [5, 6], {"a": "b"}])
def test_an_argument_that_is_not_a_list_of_studies_is_refused(studies):
    with pytest.raises(batchscale.BatchscaleError, match="studies must be a list of studies or"):
        batchscale.compare(studies)


def test_a_ratio_without_bound_has_no_value(comparison, monkeypatch):
    ratio = comparison._comparison.ratios[0]
    ratio = replace(ratio, estimate=Estimate(value=5.0, low=2.0, high=math.inf))
    monkeypatch.setattr(comparison, "_comparison", replace(comparison._comparison, ratios=(ratio,)))
    (row,) = comparison.b_crit_ratios.to_dict("records")
    assert math.isnan(row["value"])
    assert row["low"] == 2
    assert math.isnan(row["high"])
    assert row["interval"] == "no upper bound"


def test_equal_trials_is_true_or_false():
    with pytest.raises(batchscale.BatchscaleError, match="equal_trials must be a bool, got 'no'"):
        batchscale.compare(STUDIES, equal_trials="no")
