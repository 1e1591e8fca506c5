"""The critical batch sizes of a study by every definition, each with its interval."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from analysis.fitting.estimates import Estimate, size_text
from analysis.fitting.fit import Fits
from analysis.fitting.models import MODELS, Mask, batch_size_at_overhead, diversity_bound
from analysis.fitting.regimes import OVERHEAD, Regime, Verdict, crossings, regimes_of

RESAMPLES = 400
_SEED = 2018

DEFINITIONS: Mapping[str, str] = {
    "b_crit": f"of the hyperbola {MODELS['hyperbola'].formula}, {MODELS['hyperbola'].critical}",
    "b_crit_power": f"of {MODELS['power'].formula}, {MODELS['power'].critical}",
    "b_crit_smooth": f"of {MODELS['smooth'].formula}, {MODELS['smooth'].critical}",
    "b_20": "where the hyperbola needs 20% more examples to target than perfect scaling from the "
    "smallest measured batch size B_ref: 1.2 B_ref + 0.2 b_crit (Zhang et al. 2024)",
    "b_diversity": "bound B_S of gradient diversity: batches with B - 1 <= delta B_S need at most "
    "1 + delta times the examples of single ones; 1 + b_crit of the hyperbola (Yin et al. 2018)",
    "b_perfect": "end of perfect scaling: where examples to target, made monotonic, pass 1.2 times "
    "their value at the smallest measured batch size",
    "b_plateau": "start of the plateau: where steps to target, made monotonic, come within 1.1 "
    "times their value at the largest measured batch size",
}
"""Definition of each critical batch size as text."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CriticalBatchSize:
    """A critical batch size by one definition.

    Attributes:
        name: key in `DEFINITIONS`.
        estimate: value and interval, in examples.
        note: a condition or caveat of the number as text; may be empty.
    """

    name: str
    estimate: Estimate
    note: str = ""


def critical_batch_sizes(
    fits: Fits, rng: np.random.Generator | None = None
) -> Mapping[str, CriticalBatchSize]:
    """Return every critical batch size that the fits allow, by name in the order of `DEFINITIONS`.

    Args:
        fits: the fitted curves; their points hold each batch size once.
        rng: for the intervals of `b_perfect` and `b_plateau`; None for a fixed seed, so that the
            same table yields the same numbers.
    """
    b_crit = fits["hyperbola"].b_crit
    b_ref = float(fits.best.points.batch_sizes[~fits.best.points.missed][0])
    rng = np.random.default_rng(_SEED) if rng is None else rng
    perfect, plateau = _read_from_points(fits, rng)
    found = [CriticalBatchSize(name="b_crit", estimate=b_crit)]
    found += [
        CriticalBatchSize(name=f"b_crit_{name}", estimate=fit.b_crit)
        for name, fit in fits.by_name.items()
        if name != "hyperbola"
    ]
    found += [
        CriticalBatchSize(
            name="b_20",
            estimate=_transformed(b_crit, lambda b: batch_size_at_overhead(OVERHEAD, b_ref, b)),
            note=f"with B_ref = {size_text(b_ref)}",
        ),
        CriticalBatchSize(name="b_diversity", estimate=_transformed(b_crit, diversity_bound)),
        perfect,
        plateau,
    ]
    return {size.name: size for size in found}


def _transformed(b_crit: Estimate, function: Callable[[float], float]) -> Estimate:
    """Return an increasing function of an estimate; an open lower end stays open."""
    low = function(b_crit.low) if b_crit.low > 0 else 0.0
    return Estimate(value=function(b_crit.value), low=low, high=function(b_crit.high))


def _read_from_points(
    fits: Fits, rng: np.random.Generator
) -> tuple[CriticalBatchSize, CriticalBatchSize]:
    """Return b_perfect and b_plateau with intervals by parametric bootstrap.

    Points are sampled about the fitted curve with its noise, both edges are read from each sample,
    and the interval is that of their quantiles, widened to hold the edge read from the data (Efron
    and Tibshirani 1993, chapter 13). The profile likelihood does not apply, as the edges are not
    parameters of the curve. Edges of noisy points made monotonic are biased outward, so the
    coverage of 95 % intervals is not exact: 87 to 100 % in simulations of seven designs, mostly
    above 95 %; it is low if the true knee is sharper than the model that the points select. An edge
    of a regime that is not resolved is only bounded, from the side of the other regimes.
    """
    fit, regimes = fits.best, regimes_of(fits)
    reached = ~fit.points.missed
    sizes = fit.points.batch_sizes[reached]
    noise = fit.noise.sample(rng, (RESAMPLES, sizes.size)) * fit.sigma / fit.noise.std
    curve = np.log(fit.predict(sizes))
    edges = np.array([crossings(np.log(sizes), curve + row) for row in noise])
    tail = (1 - fit.level) / 2
    # "nearest", as 0 and infinity cannot be interpolated
    low, high = np.quantile(edges, [tail, 1 - tail], axis=0, method="nearest").tolist()
    # an edge that may lie outside the measured range is bounded only by the end of that range
    low[0], high[1] = min(low[0], sizes[-1]), max(high[1], sizes[0])
    # an edge that is not seen lies at the limit, whence the other end of its interval bounds it
    perfect = math.inf if regimes.verdicts[Regime.PERFECT] is Verdict.SEEN else 0.0
    plateau = 0.0 if regimes.verdicts[Regime.PLATEAU] is Verdict.SEEN else math.inf
    return (
        CriticalBatchSize(
            name="b_perfect",
            estimate=_widened(regimes.b_perfect or perfect, low[0], high[0]),
            note=_share_text(edges[:, 0] == math.inf, "no end of perfect scaling"),
        ),
        CriticalBatchSize(
            name="b_plateau",
            estimate=_widened(regimes.b_plateau or plateau, low[1], high[1]),
            note=_share_text(edges[:, 1] == 0.0, "no start of the plateau"),
        ),
    )


def _widened(value: float, low: float, high: float) -> Estimate:
    return Estimate(value=value, low=min(low, value), high=max(high, value))


def _share_text(missing: Mask, what: str) -> str:
    mean = float(missing.mean())
    share = f"{mean:.0%}" if mean >= 0.01 else "less than 1%"  # noqa: PLR2004
    return f"{what} within the range in {share} of resamples" if mean else ""
