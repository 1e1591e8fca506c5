"""The tuning gap: how far the best point found lies above the best there is, read off the trials.

Near its best point a landscape of log steps is met by a random point within t of the best with
probability `c t^alpha`. A smooth optimum in d dimensions has alpha = d / 2, one at a kink d, and a
valley along which nothing changes counts for fewer dimensions. The trials of a search are then a
Poisson process of rate `n c alpha t^(alpha - 1)` above the unknown end, the extreme value problem
of Hall 1982 (Ann. Statist. 10, 556) and Smith 1985 (Biometrika 72, 67). Trials that were capped,
that diverged or that were exhausted say that nothing more lies below the cap.

The gap is what is left when alpha and c are integrated out: alpha evenly from d / 4 to d, the gap
evenly, and c as a scale, 1 / c, down to `LEAST_SHARE`. Nothing is drawn.

The trials of one search over all batch sizes crowd where it takes the best to be, and miss it by
alike at neighboring ones. Their gap is that of the law above, blurred and at least `LEAST_COMMON`,
and common to them: so it is no noise of each point, but shifts the curve.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.special import gammaincc

from analysis.fitting.models import Floats

NEAR = 1.5
"""Times the fewest steps up to which trials follow the law of the tail; the slack of a race."""
LEAST_SHARE = 1 / 20
"""Share of the range of each hyperparameter within a factor e of the fewest steps, at least: what
bounds the gap where a single trial came near the best."""

BLUR, LEAST_COMMON = 0.9, 0.045
"""Of the gap of a common search: the standard deviation of the logarithm of what its trials show,
and the least it is taken for, in log steps for each searched hyperparameter.

Its trials crowd, so true gaps are 2 to 5 times as great as shown. But those below and above b_crit
are alike and move it opposite ways, so that most of them cancels."""
MARGIN = 0.75
"""Level of common gaps that the interval of b_crit holds. With it, those of 119 of 120 studies of
quadratics tuned on hold the truth; with a least of 0.03 those of 116."""

GAPS: Floats = np.geomspace(1e-3, 8.0, 100)
"""Gaps in log steps at which a `TuningGap` has its weights."""
_INDICES = 7
_LEAST_WINDOW = 1e-3


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class TuningGap:
    """What the trials of one search say of its gap."""

    weights: Floats  # probability of each of `GAPS`, shape (gaps,)
    common: bool = False  # whether gaps at neighboring batch sizes are alike

    def excess(self, level: float) -> float:
        """Return the share of steps above the best there is, at a quantile; 0.5 for the median."""
        return math.expm1(float(np.interp(level, np.cumsum(self.weights), GAPS)))

    def of_common_search(self, searched: int) -> "TuningGap":
        """Return the gap of a search that all batch sizes share, given what its trials show.

        It searched one hyperparameter or more.
        """
        logs = np.log(GAPS)
        spread = np.exp(-((np.subtract.outer(logs, logs) / BLUR) ** 2) / 2)
        weights = spread / spread.sum(axis=0) @ self.weights
        least = int(np.searchsorted(GAPS, searched * LEAST_COMMON))
        weights[least] += weights[:least].sum()
        weights[:least] = 0.0
        return TuningGap(weights=weights, common=True)


def margins(gaps: Mapping[float, TuningGap], b_crit: float) -> tuple[float, float]:
    """Return by which factors common gaps may have moved b_crit up and down.

    Gaps below the b_crit of the points found make E_min and b_crit too great; gaps above make S_min
    so, and b_crit small. They are alike, so a median tells them: where a lucky trial ended a race,
    the gap of one batch size is hardly known.
    """
    high = {size: math.log1p(gap.excess(MARGIN)) for size, gap in gaps.items()}
    below = [gap for size, gap in high.items() if size <= b_crit] or [*high.values()]
    above = [gap for size, gap in high.items() if size > b_crit] or [*high.values()]
    return math.exp(float(np.median(below))), math.exp(float(np.median(above)))


def tuning_gap(
    log_steps: Floats, trials: int, searched: int, *, best: float, bound: float
) -> TuningGap:
    """Return the gap of a search.

    Args:
        log_steps: of the trials that reached the target, at least one, rising.
        trials: number of trials, those that missed included.
        searched: number of hyperparameters searched, >= 1.
        best: log steps of the best point, at most the first of `log_steps`; less where the best
            point came from elsewhere.
        bound: log steps below which every trial that missed did not reach.
    """
    end = max(min(bound, log_steps[0] + math.log(NEAR)), log_steps[0] + _LEAST_WINDOW)
    above = np.add.outer(GAPS, log_steps[log_steps <= end] - best)
    count, window = above.shape[1], GAPS + end - best
    indices = np.linspace(searched / 4, searched, _INDICES)[:, None]
    # the integral over c of c^(count - 1) exp(-c window^alpha), from the least c on
    least = trials * LEAST_SHARE**searched * window**indices
    heights = (
        count * np.log(indices)
        + (indices - 1) * np.log(above).sum(axis=1)
        - count * indices * np.log(window)
        + np.log(np.maximum(gammaincc(count, least), 1e-300))
        + np.log(GAPS)  # as wide as the grid is there
    )
    weights = np.exp(heights - heights.max()).sum(axis=0)
    return TuningGap(weights=weights / weights.sum())
