"""Curves of the optima: fits that account for under-tuning beside the noise of seeds.

Model: log steps_i = log S(B_i; theta) + sigma e_i + g_i, with the noise and brackets of
`analysis.fitting.fit` and the tuning gap g_i >= 0 of `analysis.fitting.tuning_gap`, which is
integrated out in each point's likelihood. So the curve, that of the best points there are, lies
below the points found. For each shape, the likelihood is maximized over S_min and sigma on grids:
it is not concave, so the solvers of `analysis.fitting.likelihood` do not apply. Intervals use the
same threshold as there.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from scipy import ndimage

from analysis.fitting.estimates import LEVEL
from analysis.fitting.fit import Fits, ScalingFit, fit_all, fit_of
from analysis.fitting.likelihood import threshold
from analysis.fitting.models import Floats
from analysis.fitting.noises import NOISES, Noise
from analysis.fitting.points import Points
from analysis.fitting.profile import BestShape, ConfidenceSet, sharpness_of
from analysis.fitting.shapes import Shapes
from analysis.fitting.tuning_gap import GAPS, TuningGap

_SCALES = np.geomspace(0.02, 0.8, 10)  # a race does not resolve steps below the least
_STEP = 0.008
_RESIDUALS = np.arange(-4.0, 9.0, _STEP)
# offsets of trial locations: from the mean, then in units of the grid step before, `_ZOOMS` times
_COARSE = np.linspace(-3.0, 1.5, 10)
_FINE = np.linspace(-1.0, 1.0, 7)
_ZOOMS = 4
_DISTANCES = np.append(0.0, np.geomspace(2e-3, 4.0, 40))  # from the best location to the ends
_MIN_DENSITY = 1e-300


def fit_best(points: Points, gaps: Mapping[float, TuningGap], level: float = LEVEL) -> Fits:
    """Return the curves of the optima; those of the points found if gaps are unknown or common.

    Args:
        points: the points found.
        gaps: the gap at each batch size that reached the target; empty if unknown.
        level: coverage of the intervals.

    Raises:
        AnalysisError: fewer than three batch sizes reached the target.
    """  # noqa: DOC502  (raised by fit_all)
    fits = fit_all(points, level)
    if any(gap.common for gap in gaps.values()):
        return replace(fits, common=gaps)
    return tuned_fits(fits, gaps) if gaps else fits


def tuned_fits(fits: Fits, gaps: Mapping[float, TuningGap]) -> Fits:
    """Return the curves of the optima, for the models that were fitted to the points found.

    Their residuals are those of the points less the expected gaps.
    """
    by_name: dict[str, ScalingFit] = {}
    likelihoods: dict[str, _Likelihood] = {}
    for name, fit in fits.by_name.items():
        noise = fit.noise.name
        if noise not in likelihoods:
            likelihoods[noise] = _Likelihood.of(fit.points, gaps, fit.noise)
        by_name[name] = _tuned(fit, likelihoods[noise])
    return Fits(by_name=by_name, missing=fits.missing, found=fits)


def _tuned(fit: ScalingFit, likelihood: "_Likelihood") -> ScalingFit:
    points, model = fit.points, fit.model
    tuned = replace(fit, _log_likelihood=likelihood.maximum)
    shapes = Shapes.of(tuned)
    best = _best(tuned, likelihood, shapes)
    accepted = _accepted(tuned, likelihood, shapes)
    tuned = fit_of(points, model, fit.noise, fit.level, best, accepted)
    above = np.log(points.middles) - np.log(tuned.predict(points.batch_sizes))
    gaps = np.where(points.missed, 0.0, likelihood.expected_gaps(above, best.scale))
    gain = best.log_likelihood - fit.log_likelihood
    return replace(
        tuned,
        b_crit=points.bounded(shapes.deviates(shapes.log_b_crit).estimate(fit.level)),
        aicc=None if fit.aicc is None else fit.aicc - 2 * gain,
        residuals=above - gaps,
        _log_likelihood=likelihood.maximum,
        shapes=shapes,
    )


def _best(fit: ScalingFit, likelihood: "_Likelihood", shapes: Shapes) -> BestShape:
    top = int(shapes.heights.argmax())
    at = slice(top, top + 1)
    log_b_crit, exponent = shapes.log_b_crit[at], shapes.exponent[at]
    location, scale, heights = likelihood.places(
        fit.points.log_plateaus(fit.model, log_b_crit, exponent)
    )
    limits = {shapes.log_b_crit.min(): 0.0, shapes.log_b_crit.max(): 1.0}
    return BestShape(
        knee=limits.get(log_b_crit[0], 0.5),
        sharpness=sharpness_of(float(exponent[0])),
        log_b_crit=float(log_b_crit[0]),
        exponent=float(exponent[0]),
        log_s_min=float(location[0]),
        scale=float(scale[0]),
        log_likelihood=float(heights[0]),
    )


def _accepted(fit: ScalingFit, likelihood: "_Likelihood", shapes: Shapes) -> ConfidenceSet:
    """Return the shapes that are likely enough, each with its accepted range of log S_min."""
    drop = threshold(fit.points.observed, fit.model.parameters, fit.level)
    least = shapes.heights.max() - drop
    inside = shapes.heights >= least
    log_b_crit, exponent = shapes.log_b_crit[inside], shapes.exponent[inside]
    low, high = likelihood.locations(
        fit.points.log_plateaus(fit.model, log_b_crit, exponent), least
    )
    sharpnesses = [sharpness_of(float(end)) for end in (exponent.min(), exponent.max())]
    return ConfidenceSet(
        log_b_crit=log_b_crit,
        exponent=exponent,
        low=low,
        high=high,
        reaches_plateau_only=bool(log_b_crit.min() == shapes.log_b_crit.min()),
        reaches_perfect_only=bool(log_b_crit.max() == shapes.log_b_crit.max()),
        sharpnesses=(sharpnesses[0], sharpnesses[1]),
    )


@cache
def _kernel(noise: str, missed: bool) -> Floats:
    """Return the density, or for misses the survival function, at each scale, gap and residual."""
    scales = _SCALES[:, None, None]
    z = (_RESIDUALS - GAPS[:, None]) / scales
    family = NOISES[noise]
    return np.exp(family.survival(z)[0]) if missed else np.exp(family.density(z)[0]) / scales


def _mean_below(density: Floats, width: float) -> Floats:
    """Return the mean density in a bracket of some width below each of `_RESIDUALS`."""
    # summed from either end, because a difference of small probabilities loses no digits
    below = _STEP * (np.cumsum(density, axis=1) - density / 2)
    above = _STEP * (np.cumsum(density[:, ::-1], axis=1)[:, ::-1] - density / 2)
    begins = (0.0, width / _STEP)
    lower = below - ndimage.shift(below, begins, order=1, mode="nearest")
    upper = ndimage.shift(above, begins, order=1, mode="nearest") - above
    mean: Floats = np.where(below < above, lower, upper) / width
    return mean


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Likelihood:
    """Log-likelihood of each point's residual from the curve, the gap integrated out."""

    tables: Floats  # at each scale of the noise, point and one of `_RESIDUALS`, flattened
    # where the table of each scale and point begins, shape (scales, n)
    starts: "np.ndarray[tuple[int, ...], np.dtype[np.intp]]"
    weights: Floats  # of the gaps of each point, shape (n, gaps)
    noise: Noise

    @classmethod
    def of(cls, points: Points, gaps: Mapping[float, TuningGap], noise: Noise) -> "_Likelihood":
        # a batch size that missed has no gap of its own: it gets the mean of the others
        others = np.mean([gap.weights for gap in gaps.values()], axis=0)
        weights = np.array(
            [
                others if missed else gaps[size].weights
                for size, missed in zip(points.batch_sizes.tolist(), points.missed, strict=True)
            ]
        )
        # for a matrix product of this size, the threads of a BLAS would cost more than they save
        tables = np.einsum("ng,sgr->snr", weights, _kernel(noise.name, missed=False))
        if points.missed.any():
            kernel = _kernel(noise.name, missed=True)
            tables[:, points.missed] = np.einsum("ng,sgr->snr", weights[points.missed], kernel)
        for point, width in enumerate(points.censoring.widths):
            if width >= _STEP:  # a narrower one is as good as exact
                tables[:, point] = _mean_below(tables[:, point], width)
        starts = np.arange(tables[..., 0].size, dtype=np.intp).reshape(tables.shape[:2])
        return cls(
            tables=np.log(np.maximum(tables, _MIN_DENSITY)).ravel(),
            starts=starts * len(_RESIDUALS),
            weights=weights,
            noise=noise,
        )

    def maximum(self, values: Floats) -> Floats:
        """Return the log-likelihood of rows of values, maximized over location and scale.

        The values are those of `Points.log_plateaus`, shape (..., n).
        """
        rows = values.reshape(-1, values.shape[-1])
        return self.places(rows)[2].reshape(values.shape[:-1])

    def places(self, values: Floats) -> tuple[Floats, Floats, Floats]:
        """Return the best location, scale and log-likelihood of rows, each of shape (m,)."""
        center = np.broadcast_to(values.mean(axis=1), (len(_SCALES), len(values)))
        span = 1.0
        for zoom in range(1 + _ZOOMS):
            offsets = span * _FINE if zoom else _COARSE
            grid_heights = self._heights(values, center[..., None] + offsets)
            top = grid_heights.argmax(axis=-1)
            center = center + offsets[top]
            span = offsets[1] - offsets[0]
        heights = np.take_along_axis(grid_heights, top[..., None], axis=-1)[..., 0]
        scale, rows = heights.argmax(axis=0), np.arange(len(values))
        # the top of the parabola through the best scale and its neighbors
        middle = np.clip(scale, 1, len(_SCALES) - 2)
        left, top_height, right = (heights[middle + side, rows] for side in (-1, 0, 1))
        bend = left - 2 * top_height + right
        inner = (scale == middle) & (bend < 0)
        offset = np.where(inner, (left - right) / (2 * np.where(inner, bend, -1.0)), 0.0)
        gain = np.where(inner, (left - right) * offset / 4, 0.0)
        scales = _SCALES[scale] * (_SCALES[1] / _SCALES[0]) ** offset
        return center[scale, rows], scales, heights[scale, rows] + gain

    def locations(self, values: Floats, least: float) -> tuple[Floats, Floats]:
        """Return the locations on either side of each row's best at which its height is `least`."""
        center = self.places(values)[0]
        rows, count = np.arange(len(center)), len(_DISTANCES)
        ends = []
        for offsets in (-_DISTANCES, _DISTANCES):
            tried = np.broadcast_to(center[:, None] + offsets, (len(_SCALES), len(center), count))
            heights = self._heights(values, tried).max(axis=0)
            last = np.where(heights >= least, np.arange(count), 0).max(axis=1)
            beyond = np.minimum(last + 1, count - 1)
            inside, outside = heights[rows, last], heights[rows, beyond]
            share = np.clip((inside - least) / np.maximum(inside - outside, 1e-9), 0.0, 1.0)
            ends.append(center + offsets[last] + share * (offsets[beyond] - offsets[last]))
        return ends[0], ends[1]

    def expected_gaps(self, above: Floats, scale: float) -> Floats:
        """Return the expected gap of each point, given how far it lies above the curve."""
        likely = self.noise.density((above[:, None] - GAPS) / scale)[0]
        weights = self.weights * np.exp(likely - likely.max(axis=1, keepdims=True))
        mean: Floats = weights @ GAPS / np.maximum(weights.sum(axis=1), _MIN_DENSITY)
        return mean

    def _heights(self, values: Floats, locations: Floats) -> Floats:
        """Return the log-likelihood at locations, shape (scales, m, any)."""
        heights = np.zeros(locations.shape)
        for starts, column in zip(self.starts.T, values.T, strict=True):
            place = (column[:, None] - locations - _RESIDUALS[0]) / _STEP + 0.5
            index = np.clip(place, 0, len(_RESIDUALS) - 1).astype(np.intp)
            heights += self.tables[index + starts[:, None, None]]
        return heights
