"""The interval of a median that assumes no distribution."""

import math

import numpy as np
from scipy.stats import binom

from analysis.fitting.estimates import Estimate
from analysis.fitting.models import Floats, Mask

LEAST_FREE = 6
"""Fewest values that carry a 95 % interval of the median: two of the extremes miss it in 1 / 32."""


def median_interval(values: Floats, missed: Mask, level: float = 0.95) -> Estimate:
    """Return the median of positive values with its interval between order statistics.

    The interval from the k-th value to the k-th from the end holds the median of any continuous
    distribution with a probability that the binomial distribution gives, at least the level.

    Args:
        values: at least `LEAST_FREE`, rising, misses last.
        missed: which are only lower bounds, and so slower than all others.
        level: coverage, below that of the interval between the extremes.
    """
    count = len(values)
    logs = np.where(missed, math.inf, np.log(values))
    k = int(binom.ppf((1 - level) / 2, count, 0.5))
    low, high = logs[k - 1], logs[count - k]
    return Estimate(
        value=math.exp(logs[[(count - 1) // 2, count // 2]].mean()),
        low=0.0 if math.isinf(low) else math.exp(low),
        high=math.exp(high),
    )
