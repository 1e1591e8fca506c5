"""Profile likelihood of a curve over its shape: b_crit, and an exponent if the model has one.

For each shape, log S_min and the noise scale are maximized out (`analysis.fitting.likelihood`), so
at most two parameters remain, few enough for a grid search. Why not standard errors: where the
points show no plateau or no perfect scaling, the likelihood is flat in log b_crit towards that
limit, and only a profile yields an interval that is open there.

Shapes lie in the unit square. `knee` maps monotonically to log b_crit: 0 is a pure plateau and 1
pure perfect scaling, both included, and 0.15 to 0.85 covers the measured batch sizes. `sharpness`
is the place of the log exponent between those of `MIN_EXPONENT` and `GREATEST_EXPONENT`.
"""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from analysis.fitting.estimates import Estimate
from analysis.fitting.likelihood import LocationScale, accepted_locations, maximize
from analysis.fitting.maxima import maximize_rows, outermost
from analysis.fitting.models import Floats, Mask, Model
from analysis.fitting.noises import Noise
from analysis.fitting.points import Points

MIN_EXPONENT = 0.2
GREATEST_EXPONENT = 20.0
"""An exponent at these counts as 0, or as infinite."""

# Distances in log b_crit from the measured batch sizes. At LIMIT a hyperbola equals its limit to
# seven digits, so the search box loses nothing; beyond NEAR the curve hardly changes, so a coarser
# grid suffices.
LIMIT = math.log(1e7)
NEAR = 3.0
# The grid is fine enough. The fit changes as the knee passes a batch size, over at least the knee's
# width 1 / k, and 28 grid steps cover the measured range and NEAR / k on either side. So a step is
# finer than the spacing of up to 20 batch sizes at factors of 2, or than the width of the knee.
# Each level then refines the best place sixteenfold.
_KNEES = 41
_SHARPNESSES = 21
_LEVELS, _MORE_LEVELS = 3, 4
_SET_KNEES = 81
# a limit is preferred to an interior shape that is more likely only by rounding
_TIE = 1e-6


@dataclass(frozen=True, kw_only=True, slots=True)
class BestShape:
    """The most likely curve: its place in the unit square and its parameters."""

    knee: float
    sharpness: float
    log_b_crit: float
    exponent: float
    log_s_min: float
    scale: float
    log_likelihood: float

    @property
    def plateau_only(self) -> bool:
        """Whether the curve is a plateau throughout."""
        return self.knee == 0.0

    @property
    def perfect_only(self) -> bool:
        """Whether the curve is perfect scaling throughout."""
        return self.knee == 1.0


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ConfidenceSet:
    """The accepted shapes, arrays of shape (m,)."""

    log_b_crit: Floats
    exponent: Floats
    low: Floats  # least accepted log S_min of each shape
    high: Floats  # and the greatest
    reaches_plateau_only: bool
    reaches_perfect_only: bool
    sharpnesses: tuple[float, float]  # least and greatest

    def interval(self, offset: Floats) -> tuple[Floats, Floats]:
        """Return the extremes of log S_min + offset, with the shapes on the last axis."""
        return (self.low + offset).min(axis=-1), (self.high + offset).max(axis=-1)

    def exponent_estimate(self, best: BestShape) -> Estimate:
        """Return the exponent and its interval; an end of the box becomes 0 or infinity."""
        limits = {0.0: 0.0, 1.0: math.inf}
        value, low, high = (
            limits.get(sharpness, float(_exponent(sharpness)))
            for sharpness in (best.sharpness, *self.sharpnesses)
        )
        return Estimate(value=value, low=low, high=high)


@dataclass(frozen=True, kw_only=True, eq=False)
class ProfileLikelihood:
    """Log-likelihood of every shape, maximized over log S_min and the noise scale."""

    points: Points
    model: Model
    noise: Noise
    sharpnesses: Floats

    @classmethod
    def of(cls, points: Points, model: Model, noise: Noise) -> "ProfileLikelihood":
        """Return the profile likelihood of a model; without an exponent, sharpness is fixed."""
        fixed = math.log(1 / MIN_EXPONENT) / math.log(GREATEST_EXPONENT / MIN_EXPONENT)
        sharpnesses = np.linspace(0.0, 1.0, _SHARPNESSES) if model.exponent else np.array([fixed])
        return cls(points=points, model=model, noise=noise, sharpnesses=sharpnesses)

    @cached_property
    def _ridge(self) -> Floats:
        """The log-likelihood of the best knee at each of `sharpnesses`."""
        return self._best_knees(self.sharpnesses)[1]

    def rough_maximum(self) -> float:
        """Return the greatest log-likelihood on the grid of sharpnesses."""
        return float(self._ridge.max())

    def best(self) -> BestShape:
        """Return the most likely shape."""
        sharpness = self._best_sharpness()
        knees, heights = self._best_knees(np.array([sharpness]), _MORE_LEVELS)
        knee, height = float(knees[0]), float(heights[0])
        for limit in (0.0, 1.0):
            at_limit = self._maximize(np.array(limit), np.array(sharpness))
            if at_limit.log_likelihood >= height - _TIE:
                knee = limit
        maximum = self._maximize(np.array(knee), np.array(sharpness))
        log_b_crit, exponent = self._parameters(np.array(knee), np.array(sharpness))
        return BestShape(
            knee=knee,
            sharpness=sharpness,
            log_b_crit=float(log_b_crit),
            exponent=float(exponent),
            log_s_min=float(maximum.location),
            scale=float(maximum.scale),
            log_likelihood=float(maximum.log_likelihood),
        )

    def confidence_set(self, best: BestShape, least: float) -> ConfidenceSet:
        """Return a grid over the shapes whose log-likelihood is at least `least`."""
        first, last = self._accepted_sharpnesses(best, least)
        sharpnesses = np.linspace(first, last, 1 if first == last else _SHARPNESSES)
        knees, heights = self._best_knees(sharpnesses, _MORE_LEVELS)
        # rounding must not reject the best knee of an outermost sharpness
        low, high = self._accepted_knees(sharpnesses, knees, np.minimum(least, heights))
        count = _SET_KNEES if sharpnesses.size > 1 else 5 * _SET_KNEES
        knee = low[:, None] + np.linspace(0.0, 1.0, count) * (high - low)[:, None]
        sharpness = np.broadcast_to(sharpnesses[:, None], knee.shape)
        knee, sharpness = knee.ravel(), sharpness.ravel()
        log_s_low, log_s_high = accepted_locations(
            self._values(knee, sharpness), self.points.censoring, self.noise, least
        )
        log_b_crit, exponent = self._parameters(knee, sharpness)
        return ConfidenceSet(
            log_b_crit=log_b_crit,
            exponent=exponent,
            low=log_s_low,
            high=log_s_high,
            reaches_plateau_only=bool((low == 0.0).any()),
            reaches_perfect_only=bool((high == 1.0).any()),
            sharpnesses=(first, last),
        )

    def _maximize(self, knee: Floats, sharpness: Floats) -> LocationScale:
        return maximize(self._values(knee, sharpness), self.points.censoring, self.noise)

    def _values(self, knee: Floats, sharpness: Floats) -> Floats:
        return self.points.log_plateaus(self.model, *self._parameters(knee, sharpness))

    def _parameters(self, knee: Floats, sharpness: Floats) -> tuple[Floats, Floats]:
        """Return log b_crit and the exponent of shapes."""
        exponent = _exponent(sharpness)
        log_sizes = np.log(self.points.batch_sizes)
        low, high = log_sizes.min(), log_sizes.max()
        knots = (0.0, 0.15, 0.85, 1.0)
        inside = np.interp(knee, knots, (low, low, high, high))
        outside = np.interp(knee, knots, (-LIMIT, -NEAR, NEAR, LIMIT))
        # a sharper curve reaches its limits closer to the measured range
        return inside + outside / exponent, exponent

    def _best_knees(self, sharpnesses: Floats, levels: int = _LEVELS) -> tuple[Floats, Floats]:
        """Return the best knee for each sharpness and its log-likelihood, each of shape (m,)."""

        def log_likelihood(knees: Floats) -> Floats:
            each = np.broadcast_to(sharpnesses[:, None], knees.shape)
            return self._maximize(knees, each).log_likelihood

        grid = np.broadcast_to(np.linspace(0.0, 1.0, _KNEES), (sharpnesses.size, _KNEES))
        return maximize_rows(log_likelihood, grid, log_likelihood(grid), levels)

    def _best_sharpness(self) -> float:
        if self.sharpnesses.size == 1:
            return float(self.sharpnesses[0])

        def log_likelihood(sharpnesses: Floats) -> Floats:
            return self._best_knees(sharpnesses[0])[1][None]

        grid = self.sharpnesses[None]
        return float(maximize_rows(log_likelihood, grid, self._ridge[None], _LEVELS)[0][0])

    def _accepted_sharpnesses(self, best: BestShape, least: float) -> tuple[float, float]:
        if self.sharpnesses.size == 1:
            return best.sharpness, best.sharpness

        def accepted(sharpnesses: Floats) -> Mask:
            return self._best_knees(sharpnesses[0])[1][None] >= least

        at, grid = np.array([best.sharpness]), self.sharpnesses
        ends = outermost(accepted, at, grid, self._ridge[None] >= least, quarters=4)
        return float(ends[0, 0]), float(ends[1, 0])

    def _accepted_knees(self, sharpnesses: Floats, knees: Floats, least: Floats) -> Floats:
        """Return the least and greatest accepted knee for each sharpness, shape (2, m)."""

        def accepted(places: Floats) -> Mask:
            shapes = np.broadcast_arrays(places, sharpnesses[:, None])
            rows: Mask = self._maximize(*shapes).log_likelihood >= least[:, None]
            return rows

        grid = np.linspace(0.0, 1.0, _KNEES)
        on_grid = accepted(np.broadcast_to(grid, (knees.size, _KNEES)))
        return outermost(accepted, knees, grid, on_grid, quarters=12)


def sharpness_of(exponent: float) -> float:
    """Return the place of an exponent in [0, 1]."""
    ratio = GREATEST_EXPONENT / MIN_EXPONENT
    return round(math.log(exponent / MIN_EXPONENT) / math.log(ratio), 12)


def _exponent(sharpness: Floats | float) -> Floats:
    ratio = GREATEST_EXPONENT / MIN_EXPONENT
    return np.asarray(MIN_EXPONENT * ratio ** np.asarray(sharpness))
