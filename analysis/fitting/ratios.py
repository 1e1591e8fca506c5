"""Whether studies differ in b_crit, and by what factor.

One b_crit for all is held against one each by the likelihood ratio. Every study keeps its own S_min
and its own spread: optimizers, workloads and searches scatter differently, and a pooled spread
would let a study of little scatter vouch for one of much. How far each study's log-likelihood falls
from its maximum to a given b_crit is put on the scale of a normal deviate by the F distribution
that `analysis.fitting.likelihood.threshold` uses, so that few batch sizes count for as little as
they should; the squares then add up.

Measured on made data of two and three studies, 500 or 600 repeats: the test at 5 % rejects one true
b_crit in 3 to 6 % (five to twelve batch sizes, equal spreads and up to fivefold, with and without
misses) and a factor of 4 in 91 to 100 %; the ratio's 95 % interval covers in 94 to 97 %.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import chdtrc, chdtri, fdtrc, ndtri

from analysis.fitting.estimates import Estimate
from analysis.fitting.fit import ScalingFit
from analysis.fitting.likelihood import maximum
from analysis.fitting.models import Floats

LEVEL = 0.95
"""Coverage of the intervals; one less it, the size of the tests."""

# this far outside the measured batch sizes the curve is its limit to seven digits
_REACH = math.log(1e7)
_NEAR = 3.0
_ANGLES = np.linspace(0.0, math.tau, 1441)
# a deviate beyond this is as good as infinite
_LEAST_CHANCE = 1e-300


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Deviates:
    """How far from a study's best b_crit each other one is, as a normal deviate.

    Attributes:
        log_b_crit: rising, shape (m,); the ends stand for the limits of the curve.
        deviate: never falling, shape (m,); 0 at the best b_crit.
        best: the most likely b_crit; 0 or infinite at a limit of the curve.
    """

    log_b_crit: Floats
    deviate: Floats
    best: float

    @classmethod
    def of(cls, fit: ScalingFit) -> "Deviates":
        """Follows the likelihood of a fitted hyperbola along b_crit.

        Args:
            fit: the hyperbola fitted to a study.

        Returns:
            The deviates. For log-normal noise without misses, and a curve that were a straight line
            in log b_crit, the one at the true b_crit is exactly standard normal.
        """
        points, best = fit.points, fit.b_crit.value
        log_sizes = np.log(points.batch_sizes)
        at = _places(log_sizes, best)
        logs = np.log(points.steps) - fit.model.rise(
            np.subtract.outer(at, log_sizes), np.ones((at.size, 1))
        )
        heights = maximum(logs, points.missed, fit.noise).log_likelihood
        fall = np.maximum(fit.log_likelihood - heights, 0.0)
        freedom = points.observed - fit.model.parameters
        ratio = freedom * np.expm1(2 * fall / points.observed)
        chance = np.maximum(fdtrc(1, freedom, ratio), _LEAST_CHANCE)
        size = -ndtri(chance / 2)
        above = at >= (math.log(best) if 0 < best < math.inf else math.copysign(math.inf, best - 1))
        # outermost first: a value that likelier ones lie beyond is as likely as they are
        upper = np.minimum.accumulate(np.where(above, size, np.inf)[::-1])[::-1]
        lower = np.minimum.accumulate(np.where(above, np.inf, size))
        return cls(log_b_crit=at, deviate=np.where(above, upper, -lower), best=best)

    def at(self, log_b_crit: Floats) -> Floats:
        """Gives the deviates of these log b_crit, in their shape."""
        return np.asarray(np.interp(log_b_crit, self.log_b_crit, self.deviate))

    def places(self, deviate: Floats) -> Floats:
        """Gives the log b_crit of these deviates; infinite where no b_crit is so far out."""
        found = np.interp(deviate, self.deviate, self.log_b_crit)
        found = np.where(deviate > self.deviate[-1], np.inf, found)
        return np.asarray(np.where(deviate < self.deviate[0], -np.inf, found))


def _places(log_sizes: Floats, best: float) -> Floats:
    """Gives log b_crit from limit to limit, dense about the measured batch sizes and the best."""
    low, high = log_sizes.min(), log_sizes.max()
    parts = [
        np.linspace(low - _REACH, low - _NEAR, 20),
        np.linspace(low - _NEAR, high + _NEAR, 100),
        np.linspace(high + _NEAR, high + _REACH, 20),
    ]
    if 0 < best < math.inf:
        # at every scale: data without scatter tell b_crit to many digits
        away = np.geomspace(1e-6, _NEAR, 60)
        parts += [math.log(best) + side * away for side in (-1.0, 1.0)] + [np.log([best])]
    return np.unique(np.concatenate(parts))


@dataclass(frozen=True, kw_only=True, slots=True)
class Equality:
    """The test of one b_crit for all studies.

    Attributes:
        statistic: least sum of squared deviates over a common b_crit, >= 0.
        freedom: studies less one.
        p_value: chance of so large a statistic where all have one b_crit.
    """

    statistic: float
    freedom: int
    p_value: float

    @property
    def significant(self) -> bool:
        """Whether one b_crit for all is rejected."""
        return self.p_value < 1 - LEVEL


def equal_b_crit(studies: Sequence[Deviates]) -> Equality:
    """Tests whether studies have one b_crit.

    Args:
        studies: two or more.

    Returns:
        The test, by the chi-squared distribution of k - 1 degrees.
    """

    def total(log_b_crit: Floats) -> Floats:
        return np.asarray(sum(study.at(log_b_crit) ** 2 for study in studies))

    grid = np.unique(np.concatenate([study.log_b_crit for study in studies]))
    heights = total(grid)
    index = int(heights.argmin())
    ends = grid[max(index - 1, 0)], grid[min(index + 1, grid.size - 1)]
    found = minimize_scalar(lambda x: float(total(np.asarray(x))), bounds=ends, method="bounded")
    statistic = min(float(found.fun), float(heights[index]))
    freedom = len(studies) - 1
    return Equality(statistic=statistic, freedom=freedom, p_value=float(chdtrc(freedom, statistic)))


def b_crit_ratio(over: Deviates, under: Deviates, level: float = LEVEL) -> Estimate:
    """Estimates by what factor one b_crit is larger than another.

    A ratio is in the interval when some pair of that ratio has squared deviates that add up to no
    more than the quantile of chi-squared with one degree: 1 is outside the 95 % interval exactly
    when `equal_b_crit` rejects at 5 %. The accepted pairs lie inside a circle of deviates, and the
    extreme ratios on it.

    Args:
        over: the study whose b_crit is divided.
        under: the study by whose b_crit is divided.
        level: coverage of the interval, between 0 and 1.

    Returns:
        The ratio; an end is 0 or infinite where a study does not bound its b_crit, and so is the
        value where its best is a limit of the curve.
    """
    radius = math.sqrt(float(chdtri(1, 1 - level)))
    tops = over.places(radius * np.cos(_ANGLES))
    bottoms = under.places(radius * np.sin(_ANGLES))
    # where both may run to the same limit, they may do so at any ratio
    if (np.isinf(tops) & (tops == bottoms)).any():
        low, high = -math.inf, math.inf
    else:
        logs = tops - bottoms
        low, high = float(logs.min()), float(logs.max())
    # of equal limits the ratio is anything, and infinite is how an estimate says unknown
    known = under.best > 0 and not over.best == under.best == math.inf
    value = over.best / under.best if known else math.inf
    return Estimate(value=value, low=math.exp(low), high=math.exp(high))
