"""The critical batch sizes of a study, every definition side by side with its interval."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from analysis.fitting.estimates import Estimate
from analysis.fitting.fit import Fits, ScalingFit
from analysis.fitting.models import MODELS, Mask, batch_size_at_overhead, diversity_bound
from analysis.fitting.regimes import OVERHEAD, crossings, find_regimes

RESAMPLES = 400
_SEED = 2018

DEFINITIONS: Mapping[str, str] = {
    "b_crit": f"of the hyperbola {MODELS['hyperbola'].formula}, {MODELS['hyperbola'].critical}",
    "b_crit_power": f"of {MODELS['power'].formula}, {MODELS['power'].critical}",
    "b_crit_smooth": f"of {MODELS['smooth'].formula}, {MODELS['smooth'].critical}",
    "b_20": "where the hyperbola needs 20 % more examples to target than perfect scaling from the "
    "smallest measured batch size B_ref: 1.2 B_ref + 0.2 b_crit (Zhang et al. 2024)",
    "b_diversity": "bound B_S of gradient diversity: batches with B - 1 <= delta B_S need at most "
    "1 + delta times the examples of single ones; 1 + b_crit of the hyperbola (Yin et al. 2018)",
    "b_perfect": "end of perfect scaling: where examples to target, made monotonic, pass 1.2 x "
    "their value at the smallest measured batch size",
    "b_plateau": "start of the plateau: where steps to target, made monotonic, come within 1.1 x "
    "their value at the largest measured batch size",
}
"""What each critical batch size is, in words."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CriticalBatchSize:
    """A critical batch size by one definition.

    Attributes:
        name: which definition, as in `DEFINITIONS`.
        estimate: its value and interval, examples.
        note: what belongs to the number; empty where nothing does.
    """

    name: str
    estimate: Estimate
    note: str = ""

    def text(self) -> str:
        """Says it in words."""
        return f"{self.estimate.text(self.name)}{', ' if self.note else ''}{self.note}"


def critical_batch_sizes(
    fits: Fits, rng: np.random.Generator | None = None
) -> Mapping[str, CriticalBatchSize]:
    """Gives every critical batch size that the fits allow.

    Args:
        fits: the fitted curves; their points hold each batch size once.
        rng: for the intervals of `b_perfect` and `b_plateau`; None for a fixed one, so that the
            same table gives the same numbers.

    Returns:
        Critical batch sizes by name, in the order of `DEFINITIONS`.
    """
    b_crit = fits["hyperbola"].b_crit
    b_ref = float(fits.best.points.batch_sizes[~fits.best.points.missed][0])
    rng = np.random.default_rng(_SEED) if rng is None else rng
    perfect, plateau = _read_from_points(fits.best, rng)
    found = [CriticalBatchSize(name="b_crit", estimate=b_crit)]
    found += [
        CriticalBatchSize(name=f"b_crit_{name}", estimate=fit.b_crit)
        for name, fit in fits.by_name.items()
        if name != "hyperbola"
    ]
    found += [
        CriticalBatchSize(
            name="b_20", estimate=_overhead(b_ref, b_crit), note=f"with B_ref = {b_ref:g}"
        ),
        CriticalBatchSize(name="b_diversity", estimate=_diversity(b_crit)),
        perfect,
        plateau,
    ]
    return {size.name: size for size in found}


def _overhead(b_ref: float, b_crit: Estimate) -> Estimate:
    value, low, high = (
        batch_size_at_overhead(OVERHEAD, b_ref, end)
        for end in (b_crit.value, b_crit.low, b_crit.high)
    )
    return Estimate(value=value, low=low if b_crit.low > 0 else 0.0, high=high)


def _diversity(b_crit: Estimate) -> Estimate:
    low = diversity_bound(b_crit.low) if b_crit.low > 0 else 0.0
    return Estimate(value=diversity_bound(b_crit.value), low=low, high=diversity_bound(b_crit.high))


def _read_from_points(
    fit: ScalingFit, rng: np.random.Generator
) -> tuple[CriticalBatchSize, CriticalBatchSize]:
    """Gives b_perfect and b_plateau with intervals by parametric bootstrap.

    Points are drawn about the fitted curve with its noise, both edges are read from them anew, and
    the interval is that of their quantiles, widened to hold the edge that was read (Efron and
    Tibshirani 1993, chapter 13). An edge of made-monotonic noisy points is biased outwards, and
    measured coverage at 95 % is not exact: 87 to 100 % over seven designs, mostly above 95 %; it is
    low where the true knee is sharper than the model that the points let one choose.

    Args:
        fit: the fitted curve.
        rng: for the draws.

    Returns:
        b_perfect and b_plateau.
    """
    reached = ~fit.points.missed
    sizes, steps = fit.points.batch_sizes[reached], fit.points.steps[reached]
    regimes = find_regimes(sizes, steps)
    noise = fit.noise.draw(rng, (RESAMPLES, sizes.size)) * fit.sigma / fit.noise.deviation
    curve = np.log(fit.predict(sizes))
    again = np.array([crossings(np.log(sizes), curve + row) for row in noise])
    tail = (1 - fit.level) / 2
    # the nearest of them: nothing lies between a number and a limit
    low, high = np.quantile(again, [tail, 1 - tail], axis=0, method="nearest").tolist()
    # what lies outside the measured range is bounded by its end
    low[0], high[1] = min(low[0], sizes[-1]), max(high[1], sizes[0])
    perfect = math.inf if regimes.perfect_seen else 0.0
    plateau = 0.0 if regimes.plateau_seen else math.inf
    return (
        CriticalBatchSize(
            name="b_perfect",
            estimate=_widened(regimes.b_perfect or perfect, low[0], high[0]),
            note=_share(again[:, 0] == math.inf, "no end of perfect scaling"),
        ),
        CriticalBatchSize(
            name="b_plateau",
            estimate=_widened(regimes.b_plateau or plateau, low[1], high[1]),
            note=_share(again[:, 1] == 0.0, "no start of the plateau"),
        ),
    )


def _widened(value: float, low: float, high: float) -> Estimate:
    return Estimate(value=value, low=min(low, value), high=max(high, value))


def _share(none: Mask, what: str) -> str:
    return f"{what} within the range in {none.mean():.0%} of resamples" if none.any() else ""
