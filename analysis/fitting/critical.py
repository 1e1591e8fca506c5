"""The critical batch sizes of a study by every definition, each with its interval."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from analysis.fitting.edges import OVERHEAD, edges_of
from analysis.fitting.estimates import Estimate, size_text
from analysis.fitting.fit import Fits
from analysis.fitting.models import MODELS
from analysis.fitting.regimes import Regime, Verdict, regimes_of
from analysis.fitting.shapes import average_of
from analysis.fitting.tuning_gap import margins

SEEDS, TUNING, FORM = "seeds", "under-tuning", "form of the curve"
"""Sources of uncertainty."""
NO_TUNING = "the interval does not cover under-tuning"
"""Note on a `b_crit` of the points found, not of the optima."""

DEFINITIONS: Mapping[str, str] = {
    "b_crit": "E_min / S_min, where perfect scaling and plateau would cross, averaged over the "
    "models by how well each fits; the interval covers the noise of seeds, under-tuning and the "
    "form of the curve, as far as the study shows them",
    "b_crit_hyperbola": f"of the hyperbola {MODELS['hyperbola'].formula}, "
    f"{MODELS['hyperbola'].critical}",
    "b_crit_power": f"of {MODELS['power'].formula}, {MODELS['power'].critical}",
    "b_crit_smooth": f"of {MODELS['smooth'].formula}, {MODELS['smooth'].critical}",
    "b_20": "where the hyperbola needs 20% more examples to target than perfect scaling from the "
    "smallest measured batch size B_ref: 1.2 B_ref + 0.2 b_crit_hyperbola (Zhang et al. 2024)",
    "b_diversity": "bound B_S of gradient diversity: batches with B - 1 <= delta B_S need at most "
    "1 + delta times the examples of single ones; 1 + b_crit_hyperbola (Yin et al. 2018)",
    "b_perfect": "end of perfect scaling: where examples to target, averaged over the models, "
    "exceed 1.2 times their value at the smallest measured batch size",
    "b_plateau": "start of the plateau: where steps to target, averaged over the models, come "
    "within 1.1 times their value at the largest measured batch size",
}
"""Definition of each critical batch size as text."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CriticalBatchSize:
    """A critical batch size by one definition."""

    name: str  # key in `DEFINITIONS`
    estimate: Estimate  # value and interval, in examples
    note: str = ""  # a condition or caveat; may be empty
    # for `b_crit`, estimates by source of uncertainty: `SEEDS`, `TUNING`, `FORM`. Each interval
    # also covers the sources before it; no interval covers a source that is missing
    parts: Mapping[str, Estimate] = field(default_factory=dict)


def critical_batch_sizes(fits: Fits) -> Mapping[str, CriticalBatchSize]:
    """Return every critical batch size that the fits allow, by name in the order of `DEFINITIONS`.

    The points of the fits have each batch size once.
    """
    hyperbola = fits["hyperbola"].b_crit
    b_ref = float(fits.best.points.batch_sizes[~fits.best.points.missed][0])
    sizes = [
        b_crit_of(fits),
        *(
            CriticalBatchSize(name=f"b_crit_{name}", estimate=fit.b_crit)
            for name, fit in fits.by_name.items()
        ),
        CriticalBatchSize(
            name="b_20",
            # under the hyperbola E(B) = (1 + p) E(B_ref) there, with p = OVERHEAD
            estimate=_transformed(hyperbola, lambda b: (1 + OVERHEAD) * b_ref + OVERHEAD * b),
            note=f"with B_ref = {size_text(b_ref)}",
        ),
        # under the hyperbola E(B) / E(1) = 1 + (B - 1) / (1 + b_crit)
        CriticalBatchSize(name="b_diversity", estimate=_transformed(hyperbola, lambda b: 1 + b)),
        *_edges(fits),
    ]
    return {size.name: size for size in sizes}


def b_crit_of(fits: Fits) -> CriticalBatchSize:
    """Return the critical batch size averaged over models, the headline of a study.

    Its interval covers the noise of seeds, under-tuning if the fits are of the optima, and the form
    of the curve if more than the hyperbola is fitted. It is the interval of the average, widened to
    contain that of seeds alone; parts of a single model are of the one with the lowest AICc.
    A tuning gap that batch sizes share is a margin around both intervals.
    """
    chosen, average = fits.best.model.name, average_of(fits).b_crit_estimate
    seeds = (fits.found or fits)[chosen].b_crit
    parts = {SEEDS: seeds}
    if fits.found is not None:
        parts[TUNING] = fits[chosen].b_crit
    if fits.common:
        average, parts[TUNING] = (_with_margins(b_crit, fits) for b_crit in (average, seeds))
    if len(fits.by_name) > 1:
        parts[FORM] = average
    widened = replace(average, low=min(average.low, seeds.low), high=max(average.high, seeds.high))
    note = "" if TUNING in parts else NO_TUNING
    return CriticalBatchSize(name="b_crit", estimate=widened, note=note, parts=parts)


def _with_margins(b_crit: Estimate, fits: Fits) -> Estimate:
    down, up = margins(fits.common, b_crit.value)
    widened = replace(b_crit, low=b_crit.low / down, high=b_crit.high * up)
    return fits.best.points.bounded(widened)


def _transformed(b_crit: Estimate, function: Callable[[float], float]) -> Estimate:
    """Return the image of an estimate; the function increases, and an open low end stays open."""
    low = function(b_crit.low) if b_crit.low > 0 else 0.0
    return Estimate(value=function(b_crit.value), low=low, high=function(b_crit.high))


def _edges(fits: Fits) -> tuple[CriticalBatchSize, CriticalBatchSize]:
    """Return b_perfect and b_plateau.

    If its regime is not resolved, an edge is only bounded, on the side of the other regimes.
    """
    perfect, plateau = edges_of(fits)
    verdicts = regimes_of(fits).verdicts
    if verdicts[Regime.PERFECT] is not Verdict.SEEN:
        perfect = replace(perfect, value=0.0, low=0.0)
    if verdicts[Regime.PLATEAU] is not Verdict.SEEN:
        plateau = replace(plateau, value=math.inf, high=math.inf)
    return (
        CriticalBatchSize(name="b_perfect", estimate=perfect),
        CriticalBatchSize(name="b_plateau", estimate=plateau),
    )
