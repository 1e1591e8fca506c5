import math

import numpy as np
import pytest

from analysis.fitting.order_statistics import LEAST_FREE, median_interval


@pytest.mark.parametrize("count", [LEAST_FREE, 10, 15])
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
    found = median_interval(np.append(np.arange(1.0, 7.0), np.full(4, 3.0)), missed)
    assert found.high == math.inf
    assert found.low == pytest.approx(2)
    none = median_interval(np.full(6, 5.0), np.ones(6, bool))
    assert (none.low, none.high) == (0.0, math.inf)
