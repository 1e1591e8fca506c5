"""What the figures of steps against batch size have in common: names of series, and misses."""

import pandas as pd
from matplotlib.axes import Axes

MEASURED = "measured"
NOT_REACHED = "not reached"
FIT = "fit"
PERFECT = "perfect scaling"

CURVE_POINTS = 121


def draw_misses(
    axes: Axes,
    points: pd.DataFrame,
    color: str,
    size: float,
    zorder: float,
    label: str | None = None,
) -> None:
    """Draws batch sizes that missed the target: steps are a lower bound, an open triangle.

    Args:
        axes: where to.
        points: columns batch_size and steps.
        color: of the triangles.
        size: theirs, points.
        zorder: theirs among what else is drawn.
        label: for a legend; None for none.
    """
    axes.plot(
        points["batch_size"],
        points["steps"],
        "^",
        color=color,
        markerfacecolor="white",
        markersize=size,
        zorder=zorder,
        label=label,
    )
