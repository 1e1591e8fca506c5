"""Where a curve leaves perfect scaling, and where it reaches the plateau.

Perfect scaling ends where examples to target exceed those of the smallest batch size by `OVERHEAD`;
the plateau starts where steps come within `MARGIN` of those of the largest. Both depend on the
measured range. Edges are read from fitted curves: read off noisy points, even after isotonic
regression, they would lie too far out.
"""

import math
from collections.abc import Callable

import numpy as np

from analysis.fitting.estimates import Estimate
from analysis.fitting.fit import Fits
from analysis.fitting.models import Floats
from analysis.fitting.shapes import average_of

OVERHEAD = 0.2
"""Share of extra examples up to which scaling counts as perfect (Zhang et al. 2024)."""
MARGIN = 0.1
"""Share of extra steps up to which a batch size is on the plateau."""

# batch sizes are rounded on the way through their logarithm
_TOLERANCE = 1e-9


def edges_of(fits: Fits) -> tuple[Estimate, Estimate]:
    """Return the end of perfect scaling and the start of the plateau, averaged over models.

    Each curve is read at the measured batch sizes. An end of perfect scaling beyond their range is
    infinite, and its lower bound at most the largest batch size; a start of the plateau before the
    range is 0, and its upper bound at least the smallest.
    """
    average = average_of(fits)
    sizes = average.points.batch_sizes[~average.points.missed]
    log_sizes = np.log(sizes)

    def edge(read: Callable[[Floats, Floats], Floats]) -> list[float]:
        deviates = average.deviates(lambda shapes: _log(read(log_sizes, shapes.rises(log_sizes))))
        estimate = deviates.estimate(average.level)
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
    """Return an edge; infinite or 0 if it lies beyond the measured range."""
    if not at_or_below(edge, float(sizes[-1])):
        return math.inf
    return edge if at_or_above(edge, float(sizes[0])) else 0.0


def at_or_below(batch_size: float, edge: float) -> bool:
    """Return whether a batch size lies at or below an edge."""
    return batch_size <= edge * (1 + _TOLERANCE)


def at_or_above(batch_size: float, edge: float) -> bool:
    """Return whether a batch size lies at or above an edge."""
    return batch_size >= edge * (1 - _TOLERANCE)


def end_of_perfect_scaling(log_sizes: Floats, log_steps: Floats) -> Floats:
    """Return where each row of curves leaves perfect scaling; infinite if it does not."""
    edge = _crossing(log_sizes, log_sizes + log_steps, math.log1p(OVERHEAD))
    return np.where(np.isnan(edge), math.inf, edge)


def start_of_plateau(log_sizes: Floats, log_steps: Floats) -> Floats:
    """Return where each row of curves reaches the plateau; 0 if all of it is on the plateau."""
    # steps to target rise from the largest batch size down
    return np.nan_to_num(_crossing(log_sizes[::-1], log_steps[:, ::-1], math.log1p(MARGIN)))


def _crossing(log_sizes: Floats, curves: Floats, margin: float) -> Floats:
    """Return where each row of rising curves exceeds its first value by a margin; else NaN."""
    level = curves[:, :1] + margin
    right = (curves > level).argmax(axis=1)
    rows, left = np.arange(len(curves)), np.maximum(right - 1, 0)
    low, high = curves[rows, left], curves[rows, right]
    share = (level[:, 0] - low) / np.where(right > 0, high - low, 1.0)
    crossing = np.exp(log_sizes[left] + share * (log_sizes[right] - log_sizes[left]))
    return np.where(right > 0, crossing, math.nan)
