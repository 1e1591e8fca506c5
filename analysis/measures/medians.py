"""Medians with intervals: for any distribution, or for a few log-normal numbers."""

import math

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import bdtr

from analysis.fitting.estimates import LEVEL, NOT_IDENTIFIED, REACH, Estimate
from analysis.fitting.likelihood import Censoring, accepted_locations, maximize, threshold
from analysis.fitting.models import Floats, Mask
from analysis.fitting.noises import NOISES

MIN_VALUES = 2
"""Fewest values that give an interval if they are log-normal."""
MIN_FREE = 6
"""Fewest values that give a 95 % interval of the median without assuming a distribution: the range
of six misses the median in 1 of 32 cases."""


def median_interval(values: Floats, missed: Mask, before: Floats | None = None) -> Estimate:
    """Return the median of positive values with its interval between order statistics.

    By the binomial distribution, the interval from the k-th smallest to the k-th largest value
    contains the median of any continuous distribution with a probability of at least `LEVEL`.

    Args:
        values: at least `MIN_FREE`, rising, misses last.
        missed: which are only lower bounds; they count as slower than all others.
        before: where the bracket of each begins, rising; None for exact values.
    """
    count = len(values)
    begins, ends = values if before is None else before, np.where(missed, math.inf, values)
    k = int((bdtr(np.arange(count + 1), count, 0.5) < (1 - LEVEL) / 2).sum())
    return Estimate(
        value=math.sqrt(ends[(count - 1) // 2] * ends[count // 2]),
        low=0.0 if missed[k - 1] else float(begins[k - 1]),
        high=float(ends[count - k]),
    )


def estimate_median(
    values: ArrayLike, missed: ArrayLike, before: ArrayLike | None = None
) -> Estimate:
    """Return the median of log-normal numbers, some of which may only be lower bounds.

    For exact numbers it is the geometric mean with its t-interval. The 95 % interval of five seeds
    with a log standard deviation of 0.4 covered the truth in 95.7 % of 2,000 repeats without
    misses, and in 96.3 % with a budget of 1.6 times the median.

    Args:
        values: positive numbers, shape (r,), r >= 2: the steps of r fresh seeds; where missed, the
            steps that did not suffice.
        missed: which are lower bounds, shape (r,).
        before: where the bracket of each begins, shape (r,); None for exact numbers.

    Returns:
        The estimate. An end more than `REACH` times beyond all values is open, and both are open
        with fewer than two observed values, because nothing then determines the scatter.
    """
    numbers, misses = np.asarray(values, dtype=np.float64), np.asarray(missed, dtype=np.bool_)
    observed = int((~misses).sum())
    if observed < MIN_VALUES:
        return NOT_IDENTIFIED
    begins = numbers if before is None else np.asarray(before, dtype=np.float64)
    logs, noise = np.log(numbers), NOISES["log-normal"]
    censoring = Censoring.of(numbers, misses, begins)
    best = maximize(logs, censoring, noise)
    least = float(best.log_likelihood) - threshold(observed, 1, LEVEL)
    low, high = accepted_locations(logs, censoring, noise, least)
    return Estimate(
        value=math.exp(float(best.location)), low=math.exp(float(low)), high=math.exp(float(high))
    ).within(numbers.min() / REACH, numbers.max() * REACH)
