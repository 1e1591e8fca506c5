"""95 % intervals of means over samples, and of ratios of means."""

import math

import numpy as np
from scipy.stats import t as student

from study.records import Floats

LEVEL = 0.95
Ratio = tuple[float | None, float | None, float | None]
"""Value, lower and upper end; None for a value that does not exist or an unbounded end."""


def quantile(samples: int) -> float:
    """Return the half-width of an interval in standard errors, for `samples` >= 2."""
    return float(student.ppf((1 + LEVEL) / 2, samples - 1))


def reach(samples: Floats) -> Floats:
    """Return the half-width of the interval of the mean over the first axis, of length >= 2."""
    count = len(samples)
    far: Floats = quantile(count) / math.sqrt(count) * np.std(samples, axis=0, ddof=1)
    return far


def jackknife_covariance(others: Floats) -> Floats:
    """Return the covariances of pairs of numbers, shape (estimates, 2, 2).

    `others` are the pairs without each block, shape (blocks, estimates, 2).
    """
    count, deviations = len(others), others - others.mean(axis=0)
    covariance: Floats = (count - 1) / count * np.einsum("bni,bnj->nij", deviations, deviations)
    return covariance


def fieller(pair: Floats, covariance: Floats, far: float) -> Ratio:
    """Return the ratio of two means, known to be positive, with its Fieller interval.

    The covariance has shape (2, 2); `far` is in standard errors. There is no ratio if the
    denominator is not positive, and no upper end if it may be zero.
    """
    top, bottom = pair
    a = bottom**2 - far**2 * covariance[1, 1]
    b = top * bottom - far**2 * covariance[0, 1]
    c = top**2 - far**2 * covariance[0, 0]
    root = math.sqrt(max(0.0, b * b - a * c))
    ratio = float(top / bottom) if bottom > 0 else None
    if a > 0 and bottom > 0:
        return ratio, max(0.0, float((b - root) / a)), float((b + root) / a)
    # above the larger root of a parabola that opens downward
    low = float((b - root) / a) if a < 0 < c else 0.0
    return ratio, max(0.0, low), None
