"""The tuning gap: how far the best point found lies above the best there is, read off the trials.

Near its best point a landscape of log steps is met by a random point within t of the best with
probability `c t^alpha`. A smooth optimum in d dimensions has alpha = d / 2, one at a kink d, and a
valley along which nothing changes counts for fewer dimensions. The trials of a search are then a
Poisson process of rate `n c alpha t^(alpha - 1)` above the unknown end, the extreme value problem
of Hall 1982 (Ann. Statist. 10, 556) and Smith 1985 (Biometrika 72, 67). Trials that were capped,
that diverged or that were exhausted say that nothing more lies below their caps.

Where fresh seeds show how log steps scatter over seeds, that process is blurred by a normal one: a
trial that was lucky is then no sign of a best far below. So the gap is that between *medians* over
seeds: that of the best point found, and the least there is.

The gap is what is left when alpha and c are integrated out: alpha evenly from d / 4 to d, the gap
evenly, and c as a scale, 1 / c, down to `LEAST_SHARE`. Nothing is drawn.

The trials of one search over all batch sizes crowd where it takes the best to be, and miss it by
alike at neighboring ones. Their gap is that of the law above, made `CROWDED` times as
great and blurred, and common to them: so it is no noise of each point, but shifts the curve.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy.special import gammaincc, gammaln, pbdv

from analysis.fitting.models import Floats

NEAR = 1.5
"""Times the fewest steps up to which trials follow the law of the tail; the slack of a race."""
LEAST_SHARE = 1 / 20
"""Share of the range of each hyperparameter within a factor e of the fewest steps, at least: what
bounds the gap where a single trial came near the best."""

CROWDED, BLUR = 3.0, 0.9
"""How many times greater the gap of a common search is than its trials show, and the standard
deviation of the logarithm of that: chosen on 432 searches of the bank's landscapes tuned on, by an
earlier sampler of this kind, which came less close."""
MARGIN = 0.75
"""Level of common gaps that the interval of b_crit holds. With it, those of 36 studies of 64 trials
there held the truth in 36, and of 36 studies of 128 pruned trials in 33."""

GAPS: Floats = np.geomspace(1e-3, 8.0, 100)
"""Gaps in log steps at which a `TuningGap` has its weights."""
_INDICES = 7
_LEAST_WINDOW = 1e-3
_BLURRED = np.arange(-30.0, 20.0, 0.05)  # beyond, the blur changes the process by less than 1 %
_LEAST = 1e-300


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class TuningGap:
    """What the trials of one search say of its gap.

    Attributes:
        weights: probability of each of `GAPS`, shape (gaps,).
        common: whether gaps at neighboring batch sizes are alike.
    """

    weights: Floats
    common: bool = False

    def excess(self, level: float) -> float:
        """Return the share of steps above the best there is, at a quantile.

        Args:
            level: probability that the share is no greater; 0.5 for the median.
        """
        return math.expm1(float(np.interp(level, np.cumsum(self.weights), GAPS)))

    def of_common_search(self) -> "TuningGap":
        """Return the gap of a search that all batch sizes share, given what its trials show."""
        logs = np.log(GAPS)
        away = (np.subtract.outer(logs, logs) - math.log(CROWDED)) / BLUR
        spread = np.exp(-(away**2) / 2)
        weights = spread / spread.sum(axis=0) @ self.weights
        return TuningGap(weights=weights, common=True)


def margins(gaps: Mapping[float, TuningGap], b_crit: float) -> tuple[float, float]:
    """Return by which factors common gaps may have moved b_crit up and down.

    Gaps below the b_crit of the points found make E_min and b_crit too great; gaps above make S_min
    so, and b_crit small.
    """
    high = {size: math.log1p(gap.excess(MARGIN)) for size, gap in gaps.items()}
    below = [gap for size, gap in high.items() if size <= b_crit] or [*high.values()]
    above = [gap for size, gap in high.items() if size > b_crit] or [*high.values()]
    return math.exp(float(np.mean(below))), math.exp(float(np.mean(above)))


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class SearchedSteps:
    """What is known of the trials of a search, in log steps.

    Attributes:
        reached: of the trials that reached the target, at least one: the mean of each and its
            re-runs; for the best point what is fitted.
        deviations: the standard deviation of each; 0 where it is taken for exact.
        ends: of every trial, up to where it is known not to have reached the target; infinite for
            one that did, or never would.
        noise: standard deviation over the seeds of one point; 0 where it is not known.
    """

    reached: Floats
    deviations: Floats
    ends: Floats
    noise: float = 0.0


def tuning_gap(trials: SearchedSteps, searched: int, *, best: float) -> TuningGap:
    """Return the gap of a search.

    Args:
        trials: of the search.
        searched: number of hyperparameters searched, >= 1.
        best: log steps of the best point that are fitted.
    """
    first = float(trials.reached.min())
    cut = trials.ends[np.isfinite(trials.ends)]
    # where nothing was stopped short, nothing near the best is hidden
    followed = cut.max(initial=trials.reached.max()) if cut.size else math.inf
    end = max(min(followed, max(first, best) + math.log(NEAR)), first + _LEAST_WINDOW)
    near = trials.reached <= end
    count = int(near.sum())
    above = np.add.outer(GAPS, trials.reached[near] - best)
    window = np.add.outer(GAPS, np.minimum(trials.ends, end) - best)
    heights = []
    for index in np.linspace(searched / 4, searched, _INDICES):
        # with the integral over c of c^(count - 1) exp(-c expected), from the least c on
        expected = np.exp(_log_rate(index + 1, window, trials.noise)).sum(axis=1) / (index + 1)
        heights.append(
            _log_rate(index, above, trials.deviations[near]).sum(axis=1)
            - count * np.log(expected)
            + np.log(np.maximum(gammaincc(count, LEAST_SHARE**searched * expected), _LEAST))
        )
    found = np.array(heights) + np.log(GAPS)  # as wide as the grid is there
    weights = np.exp(found - found.max()).sum(axis=0)
    return TuningGap(weights=weights / weights.sum())


def _log_rate(index: float, above: Floats, deviation: Floats | float) -> Floats:
    """Return the log of the rate, index t^(index - 1), at log steps above the best there is.

    Where these have a standard deviation, t is integrated out: the integral over t of
    t^(index - 1) times a normal density is a parabolic cylinder function. That of a rate is the one
    of the index + 1 over it, so the same holds for expected counts.
    """
    exact = np.asarray(deviation) <= 0
    scale = np.where(exact, 1.0, deviation)
    places = above / scale
    with np.errstate(divide="ignore", invalid="ignore"):
        far = (index - 1) * np.log(np.maximum(places, 0.0))
    blurred = np.interp(places, _BLURRED, _blurred(index))
    rates = np.where(exact | (places > _BLURRED[-1]), far, blurred)
    found: Floats = math.log(index) + (index - 1) * np.log(scale) + rates
    return found


@cache
def _blurred(index: float) -> Floats:
    """Return the log of the integral over t of t^(index - 1) phi(u - t), at `_BLURRED` u."""
    cylinder = np.maximum(pbdv(-index, -_BLURRED)[0], _LEAST)
    normal = math.log(math.sqrt(2 * math.pi))
    logs: Floats = gammaln(index) - _BLURRED**2 / 4 + np.log(cylinder) - normal
    return logs
