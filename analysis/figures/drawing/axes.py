"""How figures are laid out: logarithmic axes, grids of panels, titles and legends."""

import math
from collections.abc import Sequence
from typing import Any, Literal

import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullLocator

from analysis.escaping import escape_math
from analysis.figures.drawing.style import SMALL, WIDTH

MARGIN = 1.3
"""Factor left free beyond the smallest and the largest batch size."""
PLAIN = FuncFormatter(lambda value, _: f"{value:.15g}")
"""Writes tick labels without an exponent."""

_MOST_COLUMNS = 5
_PANEL_TITLE = SMALL + 0.5


def power_of_two_ticks(axis: Axis, low: float, high: float, most: int = 10) -> None:
    """Put ticks at powers of two from `low` > 0 to `high`; skip some if there are over `most`."""
    powers = [k for k in range(-64, 64) if low <= 2.0**k <= high]
    stride = max(math.ceil(len(powers) / most), 1)
    axis.set_major_locator(FixedLocator([2.0**k for k in powers[::stride]]))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(PLAIN)


def one_two_five_ticks(axis: Axis) -> None:
    """Put ticks at 1, 2 and 5 in every decade of a logarithmic axis."""
    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(PLAIN)


def base_two_x(axes: Axes, low: float, high: float, most: int = 10) -> None:
    """Scale the x axis by powers of two from `low` > 0 to `high`."""
    axes.set_xscale("log", base=2)
    axes.set_xlim(low, high)
    power_of_two_ticks(axes.xaxis, low, high, most)


def base_two_y(axes: Axes, low: float, high: float, most: int = 10) -> None:
    """Scale the y axis by powers of two from `low` > 0 to `high`."""
    axes.set_yscale("log", base=2)
    axes.set_ylim(low, high)
    power_of_two_ticks(axes.yaxis, low, high, most)


def batch_size_axis(axes: Axes, sizes: "pd.Series[Any]", most: int = 10) -> None:
    """Scale the x axis to these batch sizes with a margin on both sides."""
    base_two_x(axes, float(sizes.min()) / MARGIN, float(sizes.max()) * MARGIN, most)


def batch_size_axis_with_labels(
    axes: Axes,
    sizes: "pd.Series[Any]",
    share: float,
    side: Literal["left", "right"] = "right",
    most: int = 10,
) -> None:
    """Scale the x axis to these batch sizes, with room on one side for labels of the lines' ends.

    Args:
        axes: the axes.
        sizes: the batch sizes drawn.
        share: the room, as a share of the range that the batch sizes span.
        side: where the labels are.
        most: how many ticks at most.
    """
    low, high = float(sizes.min()), float(sizes.max())
    room = max((high / low) ** share, MARGIN) if high > low else 2.0
    left, right = (room, MARGIN) if side == "left" else (MARGIN, room)
    axes.set_xscale("log", base=2)
    axes.set_xlim(low / left, high * right)
    # no ticks below the labels
    power_of_two_ticks(axes.xaxis, low / 1.01, high * 1.01, most)


def single_axes(height: float, width: float = WIDTH) -> tuple[Figure, Axes]:
    """Return a figure of a size in inches, with one pair of axes."""
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.add_subplot()


def panel_grid(
    names: Sequence[str], panel: tuple[float, float], around: tuple[float, float], least: float
) -> tuple[Figure, list[Axes], list[Axes]]:
    """Make a figure with a grid of small panels that share their axes.

    Args:
        names: title of each panel.
        panel: width and height of one panel, inches.
        around: width and height of what is around the panels, inches.
        least: least width of all panels together, inches.

    Returns:
        The figure, the panels in reading order, and those that end a column.
    """
    rows = math.ceil(len(names) / _MOST_COLUMNS)
    columns = math.ceil(len(names) / rows)
    width, height = max(columns * panel[0], least) + around[0], rows * panel[1] + around[1]
    figure = Figure(figsize=(width, height), layout="constrained")
    grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
    panels = list(grid[: len(names)])
    for axes, name in zip(panels, names, strict=True):
        axes.set_title(name, fontsize=_PANEL_TITLE, loc="center", pad=3)
    for axes in grid[len(names) :]:
        axes.set_visible(False)
    lowest = panels[-columns:]
    for axes in lowest:
        # sharing takes the tick labels away where the last row has a gap
        axes.tick_params(labelbottom=True)
    return figure, panels, lowest


def panel_label(axes: Axes, text: str) -> None:
    """Label the x axis of a small panel."""
    axes.set_xlabel(text, fontsize=_PANEL_TITLE)


def title(figure: Figure, text: str) -> None:
    """Put a title above all panels of a figure, at the left; no part of it is read as a formula."""
    figure.suptitle(escape_math(text), x=0.01, ha="left", wrap=True)


def key(label: str, **style: Any) -> Line2D:
    """Return an entry of a legend, styled as `Line2D` is."""
    return Line2D([], [], label=label, **style)


def legend_below(figure: Figure, handles: Sequence[Artist], columns: int = 3) -> None:
    """Put a legend below the axes, where it overlaps nothing."""
    figure.legend(handles=list(handles), loc="outside lower center", ncols=columns)
