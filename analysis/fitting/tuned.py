"""Critical batch sizes of the best points there are, with the noise of seeds and under-tuning.

Model: log steps_i = log S(B_i; theta) + sigma e_i + g_i, with the noise of a fit and the tuning gap
g_i >= 0 of `analysis.fitting.tuning_gap`, integrated out in each point's likelihood. The curve is
that of the best points there are, below the points. The likelihood is maximized over S_min, sigma
and the exponent on grids: it is not concave, so the solvers of `analysis.fitting.profile` do not
apply. A value is in the interval by the same threshold as there.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from analysis.fitting.estimates import REACH, Estimate
from analysis.fitting.fit import Fits, ScalingFit
from analysis.fitting.likelihood import Noise, threshold
from analysis.fitting.models import Floats
from analysis.fitting.points import Points
from analysis.fitting.profile import GREATEST_EXPONENT, LEAST_EXPONENT
from analysis.fitting.tuning_gap import GAPS, TuningGap

_SCALES = np.geomspace(0.02, 0.8, 8)  # below the least a race does not resolve steps
_STEP = 0.01
_RESIDUALS = np.arange(-4.0, 9.0, _STEP)
_COARSE = np.linspace(-4.0, 0.5, 46)
_FINE = np.linspace(-1.0, 1.0, 9)
_ZOOMS = 3
_KNEES, _KNEES_WITH_EXPONENT = 161, 61
_EXPONENTS = np.linspace(math.log(LEAST_EXPONENT), math.log(GREATEST_EXPONENT), 13)
_FINER_EXPONENTS = (_EXPONENTS[1] - _EXPONENTS[0]) * np.linspace(-0.5, 0.5, 5)
_BEYOND = 3 * REACH


def tuned_b_crits(fits: Fits, gaps: Mapping[float, TuningGap]) -> Mapping[str, Estimate]:
    """Return b_crit of every fitted model for the best points there are, by name of the model.

    Args:
        fits: the fitted curves.
        gaps: the gap at each batch size that reached the target.
    """
    return {name: tuned_b_crit(fit, gaps) for name, fit in fits.by_name.items()}


def tuned_b_crit(fit: ScalingFit, gaps: Mapping[float, TuningGap]) -> Estimate:
    """Return b_crit of the best points there are; see `tuned_b_crits`.

    Neither end is nearer to the value, as a factor, than that of the fit without gaps: gaps take up
    scatter that may be a misfit of the curve, so alone they could make the interval too narrow.
    """
    points, fixed = fit.points, fit.model.exponent is None
    log_sizes = np.log(points.batch_sizes)
    ends = log_sizes.min() - math.log(_BEYOND), log_sizes.max() + math.log(_BEYOND)
    knees = np.linspace(*ends, _KNEES if fixed else _KNEES_WITH_EXPONENT)
    likelihood = _Likelihood.of(points, gaps, fit.noise)
    x = np.subtract.outer(knees, log_sizes)

    def height(log_exponents: Floats) -> Floats:
        rise = fit.model.rise(x, np.exp(log_exponents)[:, None])
        return likelihood.maximum(np.log(points.steps) - rise)

    heights = height(np.zeros_like(knees)) if fixed else _over_exponents(height, len(knees))
    found = _read(knees, heights, threshold(points.observed, fit.model.parameters, fit.level))
    return _no_narrower(found, fit.b_crit).within(
        points.batch_sizes.min() / REACH, points.batch_sizes.max() * REACH
    )


def _over_exponents(height: Callable[[Floats], Floats], knees: int) -> Floats:
    """Return the greatest height at each knee over the exponents: a grid, then finer ones."""
    center = np.zeros(knees)
    for offsets in (_EXPONENTS, _FINER_EXPONENTS, _FINER_EXPONENTS / 4):
        tried = center + offsets[:, None]
        heights = np.stack([height(row) for row in tried])
        center = np.take_along_axis(tried, heights.argmax(axis=0)[None], axis=0)[0]
    best: Floats = heights.max(axis=0)
    return best


def _no_narrower(tuned: Estimate, fitted: Estimate) -> Estimate:
    if not (0 < fitted.value < math.inf):
        return Estimate(
            value=tuned.value,
            low=min(tuned.low, fitted.low),
            high=max(tuned.high, fitted.high),
        )
    return Estimate(
        value=tuned.value,
        low=min(tuned.low, tuned.value * (fitted.low / fitted.value)),
        high=max(tuned.high, tuned.value * (fitted.high / fitted.value)),
    )


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Likelihood:
    """Log-likelihood of each point's residual from the curve, the gap integrated out.

    Attributes:
        tables: at every scale of the noise and every one of `_RESIDUALS`, shape (n, scales,
            residuals).
    """

    tables: Floats

    @classmethod
    def of(cls, points: Points, gaps: Mapping[float, TuningGap], noise: Noise) -> "_Likelihood":
        z = (_RESIDUALS[:, None] - GAPS) / _SCALES[:, None, None]
        density = np.exp(noise.density(z)[0]) / _SCALES[:, None, None]
        survival = np.exp(noise.survival(z)[0]) if points.missed.any() else density
        # a batch size that missed has no gap of its own: the mean of those of the others
        others = np.mean([gap.weights for gap in gaps.values()], axis=0)
        found = [
            survival @ others if missed else density @ gaps[size].weights
            for size, missed in zip(points.batch_sizes.tolist(), points.missed, strict=True)
        ]
        return cls(tables=np.log(np.maximum(found, 1e-300)))

    def maximum(self, values: Floats) -> Floats:
        """Return the log-likelihood of rows of values, maximized over location and scale.

        Args:
            values: log steps less the curve's rise over its plateau, shape (m, n).
        """
        rows = np.broadcast_to(values.mean(axis=1), (len(_SCALES), len(values)))
        center, heights = self._best(values, rows, _COARSE)
        span = _COARSE[1] - _COARSE[0]
        for _ in range(_ZOOMS):
            center, heights = self._best(values, center, span * _FINE)
            span *= _FINE[1] - _FINE[0]
        best: Floats = heights.max(axis=0)
        return best

    def _best(self, values: Floats, center: Floats, offsets: Floats) -> tuple[Floats, Floats]:
        """Return the best location about a center and its height, each of shape (scales, m)."""
        locations = center[..., None] + offsets
        heights = np.zeros_like(locations)
        scales = np.arange(len(_SCALES))[:, None, None]
        for table, column in zip(self.tables, values.T, strict=True):
            place = (column[:, None] - locations - _RESIDUALS[0]) / _STEP
            place = np.clip(place, 0.0, len(_RESIDUALS) - 1.001)
            before = place.astype(np.intp)
            low, high = table[scales, before], table[scales, before + 1]
            heights += low + (place - before) * (high - low)
        top = heights.argmax(axis=-1)[..., None]
        return (
            np.take_along_axis(locations, top, axis=-1)[..., 0],
            np.take_along_axis(heights, top, axis=-1)[..., 0],
        )


def _read(knees: Floats, heights: Floats, drop: float) -> Estimate:
    """Return b_crit and its interval from the profile over log b_crit."""
    least, top = heights.max() - drop, int(heights.argmax())
    accepted = np.flatnonzero(heights >= least)
    first, last = int(accepted[0]), int(accepted[-1])

    def end(inside: int, outside: int) -> float:
        share = (heights[inside] - least) / (heights[inside] - heights[outside])
        return math.exp(knees[inside] + share * (knees[outside] - knees[inside]))

    return Estimate(
        value=math.exp(_vertex(knees, heights, top)),
        low=0.0 if first == 0 else end(first, first - 1),
        high=math.inf if last == len(knees) - 1 else end(last, last + 1),
    )


def _vertex(knees: Floats, heights: Floats, top: int) -> float:
    """Return the place of the parabola's top through the highest point and its neighbors."""
    if not 0 < top < len(knees) - 1:
        return float(knees[top])
    left, middle, right = heights[top - 1 : top + 2].tolist()
    bend = left - 2 * middle + right
    shift = (left - right) / (2 * bend) if bend < 0 else 0.0
    return float(knees[top] + shift * (knees[1] - knees[0]))
