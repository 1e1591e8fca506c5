"""Where a curve leaves perfect scaling, and where it comes to the plateau.

Perfect scaling ends where examples to target exceed those of the smallest batch size by `OVERHEAD`;
the plateau starts where steps come within `MARGIN` of those of the largest. Both depend on the
measured range. Read off noisy points, even made monotonic by isotonic regression, edges lie too far
out.
"""

import math
from collections.abc import Callable

import numpy as np

from analysis.fitting.estimates import Estimate
from analysis.fitting.fit import Fits
from analysis.fitting.models import Floats
from analysis.fitting.shapes import average_of

OVERHEAD = 0.2
"""Share of additional examples up to which scaling counts as perfect (Zhang et al. 2024)."""
MARGIN = 0.1
"""Share of additional steps up to which a batch size is on the plateau."""

# batch sizes are rounded on the way through their logarithm
_TOLERANCE = 1e-9


def edges_of(fits: Fits) -> tuple[Estimate, Estimate]:
    """Return the end of perfect scaling and the start of the plateau, averaged over models.

    Both are read from every curve at the measured batch sizes. Where the end of perfect scaling may
    lie beyond the range, it is infinite, and bounded only by the end of the range; likewise the
    start of the plateau, from 0.
    """
    average = average_of(fits)
    sizes = average.points.batch_sizes[~average.points.missed]
    log_sizes = np.log(sizes)

    def edge(read: Callable[[Floats, Floats], Floats]) -> list[float]:
        found = average.deviates(lambda shapes: _log(read(log_sizes, shapes.rises(log_sizes))))
        estimate = found.estimate(average.level)
        return [_inside(end, sizes) for end in (estimate.value, estimate.low, estimate.high)]

    perfect, first, last = edge(end_of_perfect_scaling)
    plateau, low, high = edge(start_of_plateau)
    return (
        Estimate(value=perfect, low=min(first, sizes[-1]), high=last),
        Estimate(value=plateau, low=low, high=max(high, sizes[0])),
    )


def _log(values: Floats) -> Floats:
    with np.errstate(divide="ignore"):
        return np.log(values)


def _inside(edge: float, sizes: Floats) -> float:
    """Return an edge, infinite or 0 beyond the measured range."""
    if not up_to(edge, float(sizes[-1])):
        return math.inf
    return edge if onward(edge, float(sizes[0])) else 0.0


def up_to(batch_size: float, edge: float) -> bool:
    """Return whether a batch size lies at or below an edge."""
    return batch_size <= edge * (1 + _TOLERANCE)


def onward(batch_size: float, edge: float) -> bool:
    """Return whether a batch size lies at or above an edge."""
    return batch_size >= edge * (1 - _TOLERANCE)


def end_of_perfect_scaling(log_sizes: Floats, log_steps: Floats) -> Floats:
    """Return where rows of curves leave perfect scaling, infinite where they do not."""
    edge = _crossing(log_sizes, log_sizes + log_steps, math.log1p(OVERHEAD))
    return np.where(np.isnan(edge), math.inf, edge)


def start_of_plateau(log_sizes: Floats, log_steps: Floats) -> Floats:
    """Return where rows of curves come to the plateau, 0 where they are on it throughout."""
    # read from the largest batch size down, steps to target rise
    return np.nan_to_num(_crossing(log_sizes[::-1], log_steps[:, ::-1], math.log1p(MARGIN)))


def _crossing(log_sizes: Floats, curves: Floats, margin: float) -> Floats:
    """Return where each row of rising curves exceeds its first value by a margin; NaN nowhere."""
    level = curves[:, :1] + margin
    right = (curves > level).argmax(axis=1)
    rows, left = np.arange(len(curves)), np.maximum(right - 1, 0)
    low, high = curves[rows, left], curves[rows, right]
    share = (level[:, 0] - low) / np.where(right > 0, high - low, 1.0)
    found = np.exp(log_sizes[left] + share * (log_sizes[right] - log_sizes[left]))
    return np.where(right > 0, found, math.nan)
