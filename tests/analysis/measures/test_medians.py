import math

import numpy as np
import pytest
from scipy import stats

from analysis.measures.medians import MIN_FREE, estimate_median, median_interval


@pytest.mark.parametrize("count", [MIN_FREE, 10, 15])
@pytest.mark.parametrize("modes", [0.0, 2.0])
def test_it_covers_the_median_of_any_distribution(count, modes):
    rng = np.random.default_rng(count)
    covered = 0
    for _ in range(400):
        # the median, 0, lies between the modes
        logs = rng.choice([-modes, modes], count) + 0.3 * rng.standard_normal(count)
        found = median_interval(np.exp(np.sort(logs)), np.zeros(count, bool))
        assert found.low <= found.value <= found.high
        covered += found.low <= 1 <= found.high
    assert covered / 400 >= 0.94


def test_misses_are_slower_than_all_others():
    missed = np.arange(10) >= 6
    values = np.append(np.arange(1.0, 7.0), np.full(4, 3.0))
    found = median_interval(values, missed)
    assert median_interval(values, missed, values - 0.5).low == 1.5
    assert found.high == math.inf
    assert found.low == pytest.approx(2)
    none = median_interval(np.full(6, 5.0), np.ones(6, bool))
    assert (none.low, none.high) == (0.0, math.inf)


def test_the_median_without_misses_has_the_t_interval():
    values = np.array([310, 355, 290, 402, 333])
    found = estimate_median(values, np.zeros(5, bool))
    logs = np.log(values)
    low, high = stats.t.interval(0.95, 4, logs.mean(), logs.std(ddof=1) / math.sqrt(5))
    assert found.value == pytest.approx(stats.gmean(values))
    assert (found.low, found.high) == pytest.approx((math.exp(low), math.exp(high)))


def test_a_miss_moves_the_median_up():
    seen = estimate_median([310, 355, 290, 402], [False] * 4)
    found = estimate_median([310, 355, 290, 402, 450], [False] * 4 + [True])
    assert found.value > seen.value
    assert found.high > seen.high


@pytest.mark.parametrize("missed", [[True, True, True], [True, True, False]])
def test_one_value_has_no_interval(missed):
    found = estimate_median([300, 300, 300], missed)
    assert found.text("steps") == "steps not identified"


@pytest.mark.parametrize(
    ("budget", "least", "most"),
    [(math.inf, 0.94, 0.96), (1.6, 0.94, 0.98)],
    ids=["all", "censored"],
)
def test_the_interval_of_five_seeds_covers(budget, least, most):
    rng = np.random.default_rng(8)
    covered = []
    for values in 100 * np.exp(0.4 * rng.standard_normal((2000, 5))):
        missed = values > 100 * budget
        if missed.sum() > 3:
            continue
        found = estimate_median(np.minimum(values, 100 * budget), missed)
        covered.append(found.low <= 100 <= found.high)
    assert len(covered) > 1990
    assert least < np.mean(covered) < most
