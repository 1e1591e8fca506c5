"""Fits of numbers that did not come from a study."""

import math
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.figure import Figure

import batchscale
from analysis.errors import AnalysisError

SIZES = 2.0 ** np.arange(3, 13)


def made(seed=0, noise=0.05, b_crit=200.0):
    """Return steps of a hyperbola with S_min = 50, and log-normal noise."""
    rng = np.random.default_rng(seed)
    return 50 * (1 + b_crit / SIZES) * np.exp(noise * rng.standard_normal(SIZES.size))


def test_the_truth_is_found_and_covered():
    covered = [batchscale.fit(SIZES, made(seed)).b_crit for seed in range(40)]
    assert np.median([b.value for b in covered]) == pytest.approx(200, rel=0.1)
    assert sum(b.low <= 200 <= b.high for b in covered) >= 34  # 95 % of 40 is 38


def test_a_study_of_the_same_points_has_the_same_fit():
    from pathlib import Path

    reference = Path(__file__).parents[2] / "results" / "reference" / "digits"
    study = batchscale.load(reference)
    points = study.fits["hyperbola"].points
    sizes, steps, before = (
        getattr(points, name).tolist() for name in ("batch_sizes", "steps", "before")
    )
    found = batchscale.fit(sizes, steps, before=before)
    assert batchscale.fit(sizes, steps).b_crit.value < found.b_crit.value
    alone = study.analysis().fits.found
    assert found.hyperbola.b_crit == alone["hyperbola"].b_crit
    # the study knows its trials, and so its under-tuning
    assert found.b_crit.value != study.b_crit.value
    assert found.critical_batch_sizes().columns.equals(study.critical_batch_sizes().columns)


def test_a_miss_with_a_bound_is_fitted_as_one():
    steps = [None, *made()[1:]]
    bounds = [300.0, *[None] * (SIZES.size - 1)]
    found = batchscale.fit(SIZES, steps, bounds)
    assert found.points.missed.tolist() == [True] + [False] * (SIZES.size - 1)
    assert isinstance(found.figure(), Figure)
    assert "&gt; 300" in found._repr_html_()


def test_brackets_are_drawn_and_mentioned():
    steps = np.ceil(made())
    found = batchscale.fit(SIZES, steps, before=[None, *steps[1:] - 1])
    legend = found.figure().legends or found.figure().axes[0].get_legend()
    assert "through brackets" in str([text.get_text() for text in legend[0].get_texts()])
    (sentence,) = [text for text in found.sentences() if "brackets" in text]
    assert sentence.endswith(f"lie up to {0.5 / steps[1:].min():.0%} below the steps shown.")
    assert not [text for text in batchscale.fit(SIZES, steps).sentences() if "brackets" in text]


@pytest.mark.parametrize("plateau", [2.4, 4.7, 50.2])
def test_counts_of_updates_end_up_to_one_late(plateau):
    sizes = 2.0 ** np.arange(12)
    counts = np.ceil(plateau * (1 + 64 / sizes))
    exact = batchscale.fit(sizes, counts)
    assert exact.b_crit.value < 64 - 6 / plateau**0.5 / 8
    said = " ".join(exact.sentences())
    assert ("Steps are taken as exact. If they count updates" in said) == (plateau < 50)
    found = batchscale.fit(sizes, counts, before=counts - 1)
    assert found.b_crit.low <= 64 <= found.b_crit.high
    assert "taken as exact" not in " ".join(found.sentences())


@pytest.mark.parametrize("b_crit", [453, 2010, 1411])
def test_published_counts_are_fitted_as_they_are(b_crit):
    """Exact steps of the noisy quadratic (100 directions; B = 1, 4, .. 65,536) to loss 0.01."""
    steps = {
        453: [32108, 8050, 2037, 536, 169, 94, 77, 72, 70],
        2010: [30046, 6818, 1707, 426, 108, 31, 18, 15, 15],
        1411: [29965, 6760, 1648, 379, 82, 28, 21, 20, 20],
    }[b_crit]
    assert round(batchscale.fit(4 ** np.arange(9), steps).hyperbola.b_crit.value) == b_crit


def test_other_fractions_are_never_mentioned():
    assert "taken as exact" not in " ".join(batchscale.fit(SIZES, made() / 20).sentences())


def test_where_only_a_bound_is_known_there_is_no_value():
    b_crit = batchscale.fit(SIZES, made(noise=0.3, b_crit=4000)).b_crit
    assert str(b_crit).startswith("> ")
    assert math.isnan(b_crit.value)
    assert b_crit.low < 4000


STEPS = [900.0, 500, 300, 200, 150, 125]


@pytest.mark.parametrize(
    "steps",
    [
        torch.tensor(STEPS, requires_grad=True),
        np.array(STEPS, np.int16),
        np.array(STEPS, np.longdouble),
        pd.Series(STEPS, dtype="Int64", index=list("fbacde")),
        [Decimal(900), Fraction(500), np.float32(300), torch.tensor(200), 150, 125.0],
        np.ma.array(STEPS, mask=[False] * 6),
    ],
)
def test_every_kind_of_number_is_taken(steps):
    points = batchscale.fit([8, 16, 32, 64, 128, 256], steps).points
    assert points.steps.tolist() == STEPS


def test_a_masked_entry_is_a_miss():
    steps = np.ma.array(STEPS, mask=[True, *[False] * 5])
    points = batchscale.fit([8, 16, 32, 64, 128, 256], steps, bounds=[800] * 6).points
    assert points.missed.tolist() == [True, *[False] * 5]


@pytest.mark.parametrize(
    "steps",
    [
        np.array([900, 500], "timedelta64[ns]"),
        np.array([900, 500], "datetime64[s]"),
        pd.to_timedelta(STEPS, unit="s"),
        np.array(STEPS) + 1j,
        np.array(STEPS).astype("S"),
        np.array([STEPS, STEPS]),
    ],
)
def test_cells_that_are_not_numbers_are_refused(steps):
    with pytest.raises(batchscale.BatchscaleError, match="steps must be a list of numbers"):
        batchscale.fit([8, 16, 32, 64, 128, 256], steps)


@pytest.mark.parametrize(
    ("before", "message"),
    [
        ([3, 1], "before must be of one length, got 3, 3, 3, 2; give None"),
        ([3, 2.5, 0], "no later than the steps to target, got 2.5 before 2; give the last"),
        ([3, -1, 0], "must be at 0 or more steps .* got -1 before 2"),
    ],
)
def test_wrong_brackets_are_refused(before, message):
    with pytest.raises(batchscale.BatchscaleError, match=message):
        batchscale.fit([1, 2, 4], [4, 2, 1], before=before)


@pytest.mark.parametrize(
    ("sizes", "steps", "bounds", "level", "message"),
    [
        ([1, 2, 4], [4, 2], None, 0.95, "must be of one length, got 3, 2, 3, 3; give None"),
        ([1, 2, 2], [4, 2, 2], None, 0.95, "each batch size once, got 2 more than once"),
        ([1, 2, 4], [4, None, 1], None, 0.95, "needs an entry in bounds, got none for 2"),
        ([1, 2, 4], [4, None, 1], [None, 9, None], 0.95, "3 or more batch sizes .* got 2"),
        ([1, 2, 4], [4, 0, 1], None, 0.95, "must be positive"),
        ([1, 2, 4], [4, 2, 1], None, 95, "level must be between 0 and 1, got 95"),
        ([1, 2, 4], [4, 2, 1], None, "95 %", "level must be between 0 and 1, got '95 %'"),
        (8, [4], None, 0.95, "batch_sizes must be a list of numbers, got 8; give"),
        ("124", [4, 2, 1], None, 0.95, "batch_sizes must be a list of numbers, got '124'"),
        (
            {1: 4, 2: 2, 4: 1},
            [4, 2, 1],
            None,
            0.95,
            "batch_sizes must be a list of numbers, got {1",
        ),
        ({1, 2, 4}, [4, 2, 1], None, 0.95, "batch_sizes must be a list of numbers, got {1"),
        ([1, 2, 4], b"421", None, 0.95, "steps must be a list of numbers, got b'421'"),
        ([1, 2, 4], ["4", "two", "1"], None, 0.95, "steps must be a list of numbers, got .'4'"),
        ([1, 2, 4], [True, 2, 1], None, 0.95, r"steps must be a list of numbers, got \[True"),
        ([1, 2, 4], [4, 2, 1], [[1], 2, None], 0.95, "bounds must be a list of numbers"),
    ],
)
def test_wrong_numbers_are_refused(sizes, steps, bounds, level, message):
    with pytest.raises(batchscale.BatchscaleError, match=message):
        batchscale.fit(sizes, steps, bounds, level)


def test_sentences_name_the_regimes():
    found = batchscale.fit(SIZES, made())
    assert any("b_crit" in sentence for sentence in found.sentences())
    assert "StepsFit of 10 batch sizes" in repr(found)


def test_columns_in_different_orders_are_refused():
    sizes = pd.Series([16, 64, 256, 1024])
    steps = pd.Series([205.0, 310.0, 700.0, 2400.0])
    with pytest.raises(AnalysisError, match="rows in the same order, got Series of different"):
        batchscale.fit(sizes, steps.sort_values(ascending=False))
