"""The tuning gap: how far the best point found lies above the optimum, estimated from the trials.

The probability that a random point's log steps lie within t of the optimum is `c t^alpha` for small
t. In d dimensions alpha is d / 2 at a smooth optimum and d at a kink; a direction along which steps
do not change does not count. The trials of a search are then a Poisson process with rate
`n c alpha t^(alpha - 1)` above an unknown endpoint: the extreme-value problem of Hall 1982 (Ann.
Statist. 10, 556) and Smith 1985 (Biometrika 72, 67). Trials that were capped, diverged or exhausted
show that no others lie below the cap.

The gap's distribution follows by integrating out alpha and c: alpha is uniform from d / 4 to d, the
gap uniform, and c has the density 1 / c of a scale, from `MIN_SHARE`^d on. Nothing is sampled.

The trials of one search over all batch sizes crowd around its estimate of the optimum, and miss it
alike at neighboring batch sizes. Their gap follows the law above, blurred and at least
`MIN_COMMON`. Being common to batch sizes, it is not noise of each point but shifts the curve.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.special import gammaincc

from analysis.fitting.models import Floats

NEAR = 1.5
"""Multiple of the fewest steps up to which trials follow the power law; the slack of a race."""
MIN_SHARE = 1 / 20
"""Smallest share of each hyperparameter's range that takes at most e times the fewest steps. It
bounds the gap if only one trial came near the optimum."""

BLUR, MIN_COMMON = 0.9, 0.045
"""For a search over all batch sizes: standard deviation of the log of the gap that its trials show,
and least gap in log steps for each searched hyperparameter.

Its trials crowd, so true gaps are 2 to 5 times as great as shown. But gaps below and above b_crit
are alike and move it in opposite directions, so most of the error cancels."""
MARGIN = 0.75
"""Quantile of common gaps that the interval of b_crit covers. On 120 studies of quadratics used for
tuning, 119 intervals hold the truth; with a `MIN_COMMON` of 0.03, 116."""

GAPS: Floats = np.geomspace(1e-3, 8.0, 100)
"""Grid of gaps in log steps; a `TuningGap` has a weight for each."""
_INDICES = 7
_MIN_WINDOW = 1e-3


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class TuningGap:
    """The distribution of a search's gap, given its trials."""

    weights: Floats  # probability of each of `GAPS`, shape (gaps,)
    common: bool = False  # whether gaps at neighboring batch sizes are alike

    def excess(self, level: float) -> float:
        """Return a quantile of the share of steps above the optimum; the median for level 0.5."""
        return math.expm1(float(np.interp(level, np.cumsum(self.weights), GAPS)))

    def of_common_search(self, searched: int) -> "TuningGap":
        """Return the gap if the search was over all batch sizes.

        Args:
            searched: number of hyperparameters searched, >= 1.
        """
        logs = np.log(GAPS)
        spread = np.exp(-((np.subtract.outer(logs, logs) / BLUR) ** 2) / 2)
        weights = spread / spread.sum(axis=0) @ self.weights
        least = int(np.searchsorted(GAPS, searched * MIN_COMMON))
        weights[least] += weights[:least].sum()
        weights[:least] = 0.0
        return TuningGap(weights=weights, common=True)


def margins(gaps: Mapping[float, TuningGap], b_crit: float) -> tuple[float, float]:
    """Return the factors by which common gaps may have moved b_crit up and down.

    Gaps below b_crit make E_min and so b_crit too great; gaps above it make S_min too great and so
    b_crit too small. Gaps are alike at neighboring batch sizes, so the median on each side is used:
    a single gap is hardly known if a lucky trial ended the race.
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
        best: log steps of the best point, at most the first of `log_steps`; less if the best
            point came from another search.
        bound: log steps within which no trial that missed can have reached the target.
    """
    end = max(min(bound, log_steps[0] + math.log(NEAR)), log_steps[0] + _MIN_WINDOW)
    above = np.add.outer(GAPS, log_steps[log_steps <= end] - best)
    count, window = above.shape[1], GAPS + end - best
    indices = np.linspace(searched / 4, searched, _INDICES)[:, None]
    # the integral over c of c^(count - 1) exp(-c window^alpha), from the least c on
    least = trials * MIN_SHARE**searched * window**indices
    heights = (
        count * np.log(indices)
        + (indices - 1) * np.log(above).sum(axis=1)
        - count * indices * np.log(window)
        + np.log(np.maximum(gammaincc(count, least), 1e-300))
        + np.log(GAPS)  # the spacing of the grid, because the gap is uniform
    )
    weights = np.exp(heights - heights.max()).sum(axis=0)
    return TuningGap(weights=weights / weights.sum())
