"""Steps to target with intervals, taken from an analysis for the cost of training.

They are read off the fitted curve, which estimates the best point there is at each batch size, with
an interval that covers the noise of seeds, under-tuning and the form of the curve. With too few
batch sizes to compare forms, each batch size has its own steps instead: the median over fresh seeds
of the best point found, with an interval that covers seeds and under-tuning; or else the fewest
steps found, without an interval.
"""

import math
from dataclasses import replace

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtr, ndtri

from analysis.fitting.critical import FORM, SEEDS, TUNING
from analysis.fitting.estimates import LEVEL, REACH, Estimate
from analysis.fitting.fit import Fits, ScalingFit
from analysis.fitting.tuning_gap import GAPS, TuningGap
from analysis.measures.replicates import all_have_replicates, fitted_points
from analysis.report.fits import ALIKE
from analysis.report.summary import Analysis

_MIN_SCALE = 1e-9


def steps_of(analysis: Analysis) -> tuple[dict[int, Estimate], tuple[str, ...]]:
    """Return steps to target by batch size that reached it, and what their intervals cover.

    An end more than a factor of `REACH` away is not set by the data, and therefore open.
    """
    steps, covered = _unlimited_steps(analysis)
    limited = {n: own.within(own.value / REACH, own.value * REACH) for n, own in steps.items()}
    return limited, covered


def _unlimited_steps(analysis: Analysis) -> tuple[dict[int, Estimate], tuple[str, ...]]:
    found, tuning = found_steps(analysis), analysis.tuning
    tuned = (TUNING,) if tuning is not None and not tuning.missing else ()
    if analysis.fits is not None and len(analysis.fits.by_name) > 1:
        return _on_the_curve(analysis.fits, list(found)), (SEEDS, *tuned, FORM)
    if not all_have_replicates(analysis.table):
        return {n: Estimate(value=v, low=0.0, high=math.inf) for n, v in found.items()}, ()
    table = analysis.table.set_index("batch_size")
    low, high = table["low"].astype(float).fillna(0.0), table["high"].astype(float).fillna(math.inf)
    steps = {}
    for size, value in found.items():
        own = Estimate(value=value, low=float(low[size]), high=float(high[size]))
        gap = None if tuning is None else tuning.gaps.get(float(size))
        steps[size] = own if gap is None else with_gap(own, gap)
    return steps, (SEEDS, *tuned)


def with_gap(found: Estimate, gap: TuningGap) -> Estimate:
    """Return steps found with an interval that also covers under-tuning.

    Its lower end is a quantile of log steps minus the gap, where log steps are normal and as spread
    as the interval of the steps found.
    """
    if found.low <= 0:
        return found
    tail = (1 - LEVEL) / 2
    scale = max(math.log(found.value / found.low) / -float(ndtri(tail)), _MIN_SCALE)

    def below(log_ratio: float) -> float:
        return float(gap.weights @ ndtr((log_ratio + GAPS) / scale)) - tail

    least = brentq(below, -GAPS[-1] - 9 * scale, 0.0)
    return replace(found, low=found.value * math.exp(least))


def _on_the_curve(fits: Fits, batch_sizes: list[int]) -> dict[int, Estimate]:
    sizes = np.array(batch_sizes, dtype=float)
    bands = np.array([fit.band(sizes) for fit in _close_fits(fits)])
    columns = zip(
        batch_sizes,
        fits.best.predict(sizes).tolist(),
        bands[:, 0].min(axis=0).tolist(),
        bands[:, 1].max(axis=0).tolist(),
        strict=True,
    )
    return {size: Estimate(value=value, low=low, high=high) for size, value, low, high in columns}


def _close_fits(fits: Fits) -> list[ScalingFit]:
    """Return the best fit and those that fit about as well."""
    criteria = [(fit, fit.aicc) for fit in fits.by_name.values()]
    least = min(aicc for _, aicc in criteria if aicc is not None)
    return [fit for fit, aicc in criteria if aicc is not None and aicc - least <= ALIKE]


def found_steps(analysis: Analysis) -> dict[int, float]:
    """Return the steps that the analysis fits, at each batch size that reached the target.

    They are medians over fresh seeds of the best point found, or the fewest over trials.
    """
    points = fitted_points(analysis.table)
    reached = ~points.missed
    sizes, steps = points.batch_sizes[reached], points.steps[reached]
    return {int(size): float(value) for size, value in zip(sizes, steps, strict=True)}
