"""The shapes that a curve can have, how likely each is, and which of them the data accept.

A shape is a point of a box, each side from 0 to 1: `bend` stretches over log b_crit from where the
curve is all plateau to where it is all perfect scaling, `turn` over the logarithm of the exponent.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from analysis.fitting.estimates import Estimate
from analysis.fitting.likelihood import Maximum, Noise, accepted_locations, maximum
from analysis.fitting.models import Floats, Mask, Model
from analysis.fitting.points import Points

LEAST_EXPONENT = 0.2
GREATEST_EXPONENT = 20.0
"""Beyond these an exponent counts as 0, or as infinite."""

# this far outside the measured batch sizes a hyperbola is its limit to seven digits; on the way
# there the box is coarse, as the curve hardly changes
_REACH = math.log(1e7)
_NEAR = 3.0
_COARSE = 41
_BENDS = 81
_TURNS = 21
_STENCIL = np.linspace(-1.0, 1.0, 17)
_SECTION = np.linspace(0.0, 1.0, 17)
_LEVELS = 5
# by how little a limit may be less likely than the best shape inside the box, and be preferred
_AS_GOOD = 1e-6


@dataclass(frozen=True, kw_only=True, slots=True)
class Shape:
    """The most likely curve: its place in the box, and its parameters."""

    bend: float
    turn: float
    log_b_crit: float
    exponent: float
    log_s_min: float
    scale: float
    log_likelihood: float

    @property
    def plateau_only(self) -> bool:
        """Whether it is a plateau throughout."""
        return self.bend == 0.0

    @property
    def perfect_only(self) -> bool:
        """Whether it falls throughout."""
        return self.bend == 1.0

    @property
    def at_limit(self) -> bool:
        """Whether it has no b_crit."""
        return self.plateau_only or self.perfect_only


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Region:
    """The accepted shapes, shape (m,), and for each the accepted log S_min from `low` to `high`."""

    log_b_crit: Floats
    exponent: Floats
    low: Floats
    high: Floats
    reaches_plateau_only: bool
    reaches_perfect_only: bool
    turns: tuple[float, float]

    def interval(self, offset: Floats) -> tuple[Floats, Floats]:
        """Gives the extremes of log S_min + offset, offset given per shape on the last axis."""
        return (self.low + offset).min(axis=-1), (self.high + offset).max(axis=-1)

    def exponent_estimate(self, best: Shape) -> Estimate:
        """Gives the exponent; an end of the box becomes 0 or infinity."""
        ends = {0.0: 0.0, 1.0: math.inf}
        value, low, high = (
            ends.get(turn, float(_exponent(turn))) for turn in (best.turn, *self.turns)
        )
        return Estimate(value=value, low=low, high=high)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Shapes:
    """The likelihood of every shape, log S_min and spread at their best for each."""

    points: Points
    model: Model
    noise: Noise
    turns: Floats

    @classmethod
    def of(cls, points: Points, model: Model, noise: Noise) -> "Shapes":
        """Gives the shapes of a model; one without exponent has a box of one line, k = 1."""
        fixed = math.log(1 / LEAST_EXPONENT) / math.log(GREATEST_EXPONENT / LEAST_EXPONENT)
        turns = np.linspace(0.0, 1.0, _TURNS) if model.exponent else np.array([fixed])
        return cls(points=points, model=model, noise=noise, turns=turns)

    def glance(self) -> float:
        """Gives the log-likelihood of about the best shape."""
        return float(self._along_bend(self.turns, levels=2)[1].max())

    def best(self) -> Shape:
        """Finds the most likely shape."""
        turn = self._best_turn()
        bends, heights = self._along_bend(np.array([turn]))
        bend, height = float(bends[0]), float(heights[0])
        for limit in (0.0, 1.0):
            if self.height(np.array(limit), np.array(turn)) >= height - _AS_GOOD:
                bend = limit
        found = self._maximum(np.array(bend), np.array(turn))
        log_b_crit, exponent = self._parameters(np.array(bend), np.array(turn))
        return Shape(
            bend=bend,
            turn=turn,
            log_b_crit=float(log_b_crit),
            exponent=float(exponent),
            log_s_min=float(found.location),
            scale=float(found.scale),
            log_likelihood=float(found.log_likelihood),
        )

    def region(self, best: Shape, least: float) -> Region:
        """Finds the accepted shapes: those with a log-likelihood of at least `least`."""
        first, last = self._accepted_turns(best, least)
        turns = np.linspace(first, last, 1 if first == last else _TURNS)
        bends, heights = self._along_bend(turns)
        # the best shape of an outermost turn is accepted, but for rounding
        low, high = self._accepted_bends(turns, bends, np.minimum(least, heights))
        share = np.linspace(0.0, 1.0, _BENDS if turns.size > 1 else 5 * _BENDS)
        bend = low[:, None] + share * (high - low)[:, None]
        turn = np.broadcast_to(turns[:, None], bend.shape)
        bend, turn = bend.ravel(), turn.ravel()
        log_s_low, log_s_high = accepted_locations(
            self._values(bend, turn), self.points.missed, self.noise, least
        )
        log_b_crit, exponent = self._parameters(bend, turn)
        return Region(
            log_b_crit=log_b_crit,
            exponent=exponent,
            low=log_s_low,
            high=log_s_high,
            reaches_plateau_only=bool((low == 0.0).any()),
            reaches_perfect_only=bool((high == 1.0).any()),
            turns=(first, last),
        )

    def height(self, bend: Floats, turn: Floats) -> Floats:
        """Gives the log-likelihood of shapes."""
        return self._maximum(bend, turn).log_likelihood

    def _maximum(self, bend: Floats, turn: Floats) -> Maximum:
        return maximum(self._values(bend, turn), self.points.missed, self.noise)

    def _values(self, bend: Floats, turn: Floats) -> Floats:
        log_b_crit, exponent = self._parameters(bend, turn)
        x = np.subtract.outer(log_b_crit, np.log(self.points.batch_sizes))
        return np.log(self.points.steps) - self.model.rise(x, exponent[..., None])

    def _parameters(self, bend: Floats, turn: Floats) -> tuple[Floats, Floats]:
        """Gives log b_crit and exponent."""
        exponent = _exponent(turn)
        log_sizes = np.log(self.points.batch_sizes)
        low, high = log_sizes.min(), log_sizes.max()
        knots = (0.0, 0.15, 0.85, 1.0)
        inside = np.interp(bend, knots, (low, low, high, high))
        outside = np.interp(bend, knots, (-_REACH, -_NEAR, _NEAR, _REACH))
        return inside + outside / exponent, exponent

    def _along_bend(self, turns: Floats, levels: int = _LEVELS) -> tuple[Floats, Floats]:
        """Finds the best bend for each turn, shape (m,), and its log-likelihood."""

        def height(bend: Floats) -> Floats:
            return self.height(bend, np.broadcast_to(turns[:, None], bend.shape))

        grid = np.broadcast_to(np.linspace(0.0, 1.0, _COARSE), (turns.size, _COARSE))
        return _climb(height, grid, levels)

    def _best_turn(self) -> float:
        if self.turns.size == 1:
            return float(self.turns[0])

        def height(turns: Floats) -> Floats:
            return self._along_bend(turns[0], levels=4)[1][None]

        return float(_climb(height, self.turns[None], _LEVELS - 1)[0][0])

    def _accepted_turns(self, best: Shape, least: float) -> tuple[float, float]:
        """Gives the accepted turns farthest from the best one on either side."""
        if self.turns.size == 1:
            return best.turn, best.turn

        def accepted(turns: Floats) -> Mask:
            rows: Mask = self._along_bend(turns.ravel(), levels=4)[1] >= least
            return rows.reshape(turns.shape)

        ends = _outermost(accepted, np.array([best.turn]), self.turns, sections=2)
        return float(ends[0, 0]), float(ends[1, 0])

    def _accepted_bends(self, turns: Floats, bends: Floats, least: Floats) -> Floats:
        """Gives for each turn the accepted bends farthest from its best one, shape (2, m)."""

        def accepted(bends: Floats) -> Mask:
            rows: Mask = self.height(*np.broadcast_arrays(bends, turns[:, None])) >= least[:, None]
            return rows

        return _outermost(accepted, bends, np.linspace(0.0, 1.0, _COARSE), sections=6)


def _outermost(
    accepted: Callable[[Floats], Mask], best: Floats, grid: Floats, sections: int
) -> Floats:
    """Finds the accepted places farthest from the best one on either side, row by row.

    Args:
        accepted: which places of each row are accepted, shape (m, any).
        best: an accepted place of each row, shape (m,).
        grid: rising places from 0 to 1, on which the outermost is looked for first.
        sections: how often the step in which it lies is cut in 16.

    Returns:
        Lower and upper ends, shape (2, m).
    """
    on_grid = np.where(accepted(np.broadcast_to(grid, (best.size, grid.size))), grid, best[:, None])
    inside = np.stack([np.minimum(on_grid.min(-1), best), np.maximum(on_grid.max(-1), best)])
    step = np.array([-1.0, 1.0])[:, None] / (grid.size - 1)
    outside = np.clip(inside + step, 0.0, 1.0)
    for _ in range(sections):
        places = inside[..., None] + (outside - inside)[..., None] * _SECTION
        good = np.stack([accepted(side) for side in places])
        last = np.where(good, np.arange(_SECTION.size), 0).max(axis=-1)
        beyond = np.minimum(last + 1, _SECTION.size - 1)
        inside, outside = (
            np.take_along_axis(places, at[..., None], axis=-1)[..., 0] for at in (last, beyond)
        )
    return inside


def _exponent(turn: Floats | float) -> Floats:
    range_ = GREATEST_EXPONENT / LEAST_EXPONENT
    return np.asarray(LEAST_EXPONENT * range_ ** np.asarray(turn))


def _climb(height: Callable[[Floats], Floats], grid: Floats, levels: int) -> tuple[Floats, Floats]:
    """Finds the highest place in [0, 1] of each row, on a grid and then on ever finer ones."""
    span = 1.0 / (grid.shape[-1] - 1)
    rows = np.arange(grid.shape[0])
    heights = height(grid)
    top = heights.argmax(axis=-1)
    place, best = grid[rows, top], heights[rows, top]
    for _ in range(levels):
        near = np.clip(place[:, None] + span * _STENCIL, 0.0, 1.0)
        heights = height(near)
        top = heights.argmax(axis=-1)
        place, best = near[rows, top], heights[rows, top]
        span /= 8  # two steps of the stencil
    # a parabola through the last three heights places the top beyond what rounding leaves of them
    step = 8 * span * (_STENCIL[1] - _STENCIL[0])
    middle = np.clip(top, 1, heights.shape[-1] - 2)
    left, centre, right = (heights[rows, middle + side] for side in (-1, 0, 1))
    curvature = left - 2 * centre + right
    inner = (top == middle) & (place > step) & (place < 1 - step) & (curvature < 0)
    safe = np.where(inner, curvature, -1.0)
    return (
        np.where(inner, place + step * (left - right) / (2 * safe), place),
        np.where(inner, centre - (left - right) ** 2 / (8 * safe), best),
    )
