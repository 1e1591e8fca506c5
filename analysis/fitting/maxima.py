"""Maxima and accepted ranges of functions on [0, 1], row by row and without derivatives."""

from collections.abc import Callable

import numpy as np

from analysis.fitting.models import Floats, Mask

_MAX_LEVELS = 12
_FINER = 16
_STENCIL = np.arange(-2.0, 3.0)
_QUARTERS = np.array([1, 2, 3])


def maximize_rows(
    function: Callable[[Floats], Floats], grid: Floats, heights: Floats, levels: int
) -> tuple[Floats, Floats]:
    """Return the place of each row's maximum in [0, 1] and its value, each of shape (m,).

    The function is evaluated on ever finer stencils, each about the top of the parabola through the
    best place so far and its neighbors. A higher maximum is missed only if it is narrower than a
    grid step.

    Args:
        function: maps places to heights, shape (m, any).
        grid: evenly spaced places from 0 to 1, shape (m, g).
        heights: the heights on the grid.
        levels: how often the grid step is divided by 16.
    """
    step = np.full(grid.shape[0], 1.0 / (grid.shape[-1] - 1))
    finest = step / _FINER**levels
    place, best, beyond = _tops(grid, heights, step)
    for _ in range(_MAX_LEVELS):
        if not beyond.any() and (step == finest).all():
            break
        # a maximum beyond the stencil is searched for on a coarser one
        step = np.where(beyond, 2 * step, np.maximum(step / _FINER, finest))
        near = np.clip(place[:, None] + step[:, None] * _STENCIL, 0.0, 1.0)
        place, best, beyond = _tops(near, function(near), step)
    return place, best


def _tops(places: Floats, heights: Floats, step: Floats) -> tuple[Floats, Floats, Mask]:
    """Return place and height of the top of each row, and whether a higher one may lie beyond.

    The parabola through three heights locates a maximum more finely than their rounding allows.
    """
    rows, top, last = np.arange(step.size), heights.argmax(axis=-1), heights.shape[-1] - 1
    place, best = places[rows, top], heights[rows, top]
    beyond = ((top == 0) & (place > 0)) | ((top == last) & (place < 1))
    middle = np.clip(top, 1, last - 1)
    left, center, right = (heights[rows, middle + side] for side in (-1, 0, 1))
    curvature = left - 2 * center + right
    inner = (top == middle) & (place > step) & (place < 1 - step) & (curvature < 0)
    safe = np.where(inner, curvature, -1.0)
    return (
        np.where(inner, place + step * (left - right) / (2 * safe), place),
        np.where(inner, center - (left - right) ** 2 / (8 * safe), best),
        beyond,
    )


def outermost(
    accepted: Callable[[Floats], Mask], best: Floats, grid: Floats, on_grid: Mask, quarters: int
) -> Floats:
    """Return the lowest and highest accepted place in [0, 1] of each row, shape (2, m).

    The outermost accepted grid point is taken even if points between it and the best one are
    rejected, so an interval is never cut at a dip of the likelihood.

    Args:
        accepted: maps places to whether they are accepted, shape (m, any).
        best: an accepted place of each row, shape (m,).
        grid: rising places from 0 to 1.
        on_grid: which of these are accepted, shape (m, g).
        quarters: how often the grid step that contains the end is divided by 4.
    """
    places = np.where(on_grid, grid, best[:, None])
    inside = np.stack([np.minimum(places.min(-1), best), np.maximum(places.max(-1), best)])
    step = np.array([-1.0, 1.0])[:, None] / (grid.size - 1)
    size = np.clip(inside + step, 0.0, 1.0) - inside
    for _ in range(quarters):
        size = size / 4
        places = inside[..., None] + size[..., None] * _QUARTERS
        good = np.split(accepted(np.concatenate(places, axis=-1)), 2, axis=-1)
        inside = inside + size * np.where(good, _QUARTERS, 0).max(axis=-1)
    return inside
