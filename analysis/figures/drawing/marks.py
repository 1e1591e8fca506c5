"""Marks of bounds and intervals: arrows for bounds, tips for ends outside the axes."""

import math
from collections.abc import Mapping
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.path import Path
from matplotlib.transforms import Affine2D

from analysis.fitting.estimates import Estimate

B_CRIT_SIGN = r"$b_\mathrm{crit}$"
"""The symbol of the critical batch size."""

_UPWARD = Path(
    [(-0.5, 0), (0.5, 0), (0, 0), (0, 2), (-0.5, 1.4), (0, 2), (0.5, 1.4)],
    [Path.MOVETO, Path.LINETO, Path.MOVETO, Path.LINETO, Path.MOVETO, Path.LINETO, Path.LINETO],
)
# matplotlib's markers: triangles whose tip is at the point
_TIPS: Mapping[str, int] = {"left": 8, "right": 9, "up": 10}
_BAR: Mapping[str, Any] = {"solid_capstyle": "butt", "zorder": 4}


def bound_mark(downward: bool = False, legend: bool = False) -> Mapping[str, Any]:
    """Return the style of a bound: a line at its value with an arrow towards the truth.

    In a legend the mark is small and centered.
    """
    arrow = Affine2D().translate(0, -1 if legend else 0).rotate_deg(180 if downward else 0)
    size = matplotlib.rcParams["lines.markersize"]
    return {
        "marker": arrow.transform_path(_UPWARD),
        "linestyle": "",
        "markersize": (1.8 if legend else 4) * size,
        "markerfacecolor": "none",
        "markeredgewidth": 1.3,
    }


def tip_mark(side: str) -> Mapping[str, Any]:
    """Return the style of the tip of an interval that continues `left`, `right` or `up`."""
    size = 0.8 * matplotlib.rcParams["lines.markersize"]
    return {"marker": _TIPS[side], "linestyle": "", "markersize": size, "clip_on": False}


def draw_estimate(axes: Axes, height: float, estimate: Estimate, **mark: Any) -> None:
    """Draw an estimate along the x axis, whose limits are set, as a bar with a mark at its value.

    The height is a share of the axes. A bar that ends outside the axes has a tip at the edge. An
    estimate that is not identified has no mark, and an unbounded one no bar.
    """
    if estimate.low <= 0 and math.isinf(estimate.high):
        return
    left, right = axes.get_xlim()
    low, high = (min(max(end, left), right) for end in (estimate.low, estimate.high))
    color = mark["color"]
    place: dict[str, Any] = {"transform": axes.get_xaxis_transform()}
    axes.plot([low, high], [height] * 2, color=color, lw=1.9, **_BAR, **place)
    if estimate.low < left:
        axes.plot([left], [height], color=color, **tip_mark("left"), **place)
    if estimate.high > right:
        axes.plot([right], [height], color=color, **tip_mark("right"), **place)
    if estimate.identified and left < estimate.value < right:
        axes.plot([estimate.value], [height], zorder=5, **mark, **place)


def label_estimate(axes: Axes, height: float, estimate: Estimate, text: str, color: str) -> None:
    """Write a label above the bar of an estimate, within the axes; arguments as `draw_estimate`."""
    left, right = axes.get_xlim()
    low = min(max(estimate.low, left), right)
    high = min(estimate.high, right)
    middle = math.log(math.sqrt(low * high) / left) / math.log(right / left)
    # any label fits at an edge of the axes or in the middle
    side, at, shift = ("left", 0.0, 4) if middle < 1 / 3 else ("center", 0.5, 0)
    if middle > 2 / 3:
        side, at = "right", 1.0
    axes.annotate(
        text,
        (at, height),
        xycoords=axes.transAxes,
        xytext=(shift, 4),
        textcoords="offset points",
        ha=side,
        va="bottom",
        fontsize="small",
        color=color,
    )
