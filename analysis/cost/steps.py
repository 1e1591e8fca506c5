"""Steps to target with their intervals, as the cost of training takes them from an analysis.

They are those of the best points there are: of the curve that the analysis fits, with an interval
that holds the noise of seeds, under-tuning and the form of the curve, each where the study shows
it. Without fits they are the medians over fresh seeds, or the fewest steps found, which have no
interval.
"""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from analysis.fitting.critical import FORM, SEEDS, TUNING
from analysis.fitting.estimates import Estimate
from analysis.fitting.fit import Fits, ScalingFit
from analysis.measures.replicates import all_have_replicates, fitted_points
from analysis.report.fits import ALIKE
from analysis.report.summary import Analysis


def steps_of(analysis: Analysis) -> tuple[dict[int, Estimate], tuple[str, ...]]:
    """Return steps to target by batch size that reached it, and what their intervals hold."""
    found = found_steps(analysis)
    if analysis.fits is not None:
        sizes = np.array(list(found), dtype=float)
        alike = _alike(analysis.fits)
        bands = [fit.band(sizes) for fit in alike]
        low = np.min([band[0] for band in bands], axis=0)
        high = np.max([band[1] for band in bands], axis=0)
        values = analysis.fits.best.predict(sizes)
        columns = zip(sizes.tolist(), values.tolist(), low.tolist(), high.tolist(), strict=True)
        tuned = analysis.tuning is not None and not analysis.tuning.missing
        chosen = analysis.fits.best.aicc is not None
        held = ((SEEDS, True), (TUNING, tuned), (FORM, chosen))
        return (
            {int(size): Estimate(value=v, low=lo, high=hi) for size, v, lo, hi in columns},
            tuple(name for name, is_held in held if is_held),
        )
    unknown = {size: Estimate(value=v, low=0.0, high=math.inf) for size, v in found.items()}
    if not all_have_replicates(analysis.table):
        return unknown, ()
    table = analysis.table.set_index("batch_size")
    low, high = table["low"].astype(float).fillna(0.0), table["high"].astype(float).fillna(math.inf)
    return {
        size: replace(one, low=float(low[size]), high=float(high[size]))
        for size, one in unknown.items()
    }, (SEEDS,)


def _alike(fits: Fits) -> Sequence[ScalingFit]:
    """Return the best fit and those that fit about as well."""
    least = fits.best.aicc
    close = [
        fit
        for fit in fits.by_name.values()
        if least is not None and fit.aicc is not None and fit.aicc - least <= ALIKE
    ]
    return close or [fits.best]


def found_steps(analysis: Analysis) -> dict[int, float]:
    """Return the steps of the best point found at each batch size that reached the target.

    They are what the analysis fits: medians over fresh seeds, or the fewest over trials.
    """
    points = fitted_points(analysis.table)
    reached = ~points.missed
    sizes, steps = points.batch_sizes[reached], points.steps[reached]
    return {int(size): float(value) for size, value in zip(sizes, steps, strict=True)}
