import math

import numpy as np
import pytest

from analysis.errors import AnalysisError
from analysis.fitting.points import Points


def test_points_are_sorted_with_their_misses():
    points = Points.of([8, 2, 4], [30, 100, 50], [False, True, False])
    assert points.batch_sizes.tolist() == [2, 4, 8]
    assert points.steps.tolist() == [100, 50, 30]
    assert points.missed.tolist() == [True, False, False]
    assert points.observed == points.distinct == 2


def test_brackets_end_at_the_steps_and_misses_have_none():
    points = Points.of([8, 2, 4], [30, 100, 50], [False, True, False], [math.nan, 90, 0])
    assert points.before.tolist() == [100, 0, 30]
    assert points.middles.tolist() == [100, 25, 30]
    assert points.bracketed.tolist() == [False, True, False]
    assert points.without(points.missed).before.tolist() == [0, 30]
    assert points.censoring.widths[[0, 2]].tolist() == [0, 0]


@pytest.mark.parametrize("wrong", [math.nan, math.inf, 0.0, -1.0])
def test_only_positive_finite_numbers_are_fitted(wrong):
    with pytest.raises(AnalysisError, match=f"steps to fit must be positive.*got {wrong:g}; leave"):
        Points.of([2, 4, 8], [10.0, wrong, 5.0])
    with pytest.raises(AnalysisError, match="batch sizes to fit must be positive"):
        Points.of([2, wrong, 8], [10.0, 7.0, 5.0])


@pytest.mark.parametrize(
    ("size", "bound", "beyond"),
    [
        (1, 1200, False),  # perfect scaling from 4 gives 800
        (1, 2500, True),
        (64, 140, False),  # the plateau continues at 50
        (64, 160, True),
        # at most the steps of a smaller batch size, and at most twice those of 32
        (16, 290, False),
        (16, 310, True),
    ],
)
def test_a_miss_is_out_of_reach_if_no_curve_explains_it(size, bound, beyond):
    sizes, steps = [4, 8, 32, size], [200, 100, 50, bound]
    points = Points.of(sizes, steps, [False, False, False, True])
    assert points.out_of_reach().tolist() == [beyond and at == size for at in points.batch_sizes]
    kept = points.without(points.out_of_reach())
    assert kept.observed == 3
    assert kept.missed.sum() == (not beyond)


def test_steps_that_no_curve_explains_are_reported():
    rising = Points.of([4, 8, 32, 128], [50, 60, 151, 140])
    assert rising.unexplained().tolist() == [False, False, True, False]
    assert Points.of([4, 8], [400, 10]).unexplained().tolist() == [True, False]


def test_without_points_that_reached_nothing_is_out_of_reach():
    assert not Points.of([2, 4], [10, 10], [True, True]).out_of_reach().any()
    assert np.array_equal(Points.of([2, 4], [10, 10]).missed, [False, False])
