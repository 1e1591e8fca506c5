"""What the figures of steps against batch size share: their rows, how these are drawn, the legend.

Rows have the columns series, batch_size and steps, and low and high where there is an interval.
"""

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from analysis.figures.drawing.axes import key
from analysis.figures.drawing.style import GRAY, INK
from analysis.fitting.models import Floats

MEASURED = "measured"
NOT_REACHED = "not reached"
FIT = "fit"
PERFECT = "perfect scaling"

BOUND: Mapping[str, Any] = {"linestyle": "", "markerfacecolor": "white"}
"""Style of an open marker: the value is a bound."""

_CURVE_POINTS = 121


def series_rows(name: str, batch_sizes: object, steps: object, **columns: object) -> pd.DataFrame:
    """Return the rows of one series; further columns of numbers follow in the order given."""
    numbers = {"batch_size": batch_sizes, "steps": steps, **columns}
    rows = {column: np.asarray(values, dtype=np.float64) for column, values in numbers.items()}
    return pd.DataFrame({"series": name, **rows})


def curve_sizes(batch_sizes: object) -> Floats:
    """Return the batch sizes at which a curve over these is drawn."""
    sizes = np.asarray(batch_sizes, dtype=np.float64)
    return np.geomspace(sizes.min(), sizes.max(), _CURVE_POINTS)


def draw_misses(axes: Axes, rows: pd.DataFrame, size: float, **style: Any) -> None:
    """Draw batch sizes that missed the target as open triangles: their steps are a lower bound."""
    axes.plot(rows["batch_size"], rows["steps"], marker="^", markersize=size, **BOUND, **style)


def draw_series(
    axes: Axes, rows: pd.DataFrame, color: str, marker: str = "o", band: bool = False
) -> None:
    """Draw measured points with their intervals, misses and the fitted curve of one search."""
    series = dict(iter(rows.groupby("series")))
    if FIT in series:
        curve = series[FIT]
        axes.plot(curve["batch_size"], curve["steps"], color=color, lw=1.5, zorder=4)
        if band:
            ends = curve["low"], curve["high"]
            axes.fill_between(curve["batch_size"], *ends, color=color, alpha=0.13, lw=0)
    if MEASURED in series:
        points = series[MEASURED]
        axes.errorbar(
            points["batch_size"],
            points["steps"],
            yerr=error_bars(points) if "low" in points else None,
            fmt=marker,
            color=color,
            markersize=5,
            markeredgecolor="white",
            markeredgewidth=0.5,
            elinewidth=1.0,
            zorder=5,
        )
    if NOT_REACHED in series:
        draw_misses(axes, series[NOT_REACHED], 6.5, color=color, zorder=5)


def error_bars(rows: pd.DataFrame) -> "list[pd.Series[float]]":
    """Return the lengths of the bars below and above the steps; 0 where an end is unknown."""
    below, above = rows["steps"] - rows["low"], rows["high"] - rows["steps"]
    return [length.clip(lower=0).fillna(0) for length in (below, above)]


def series_keys(shown: Collection[str], measured: str, band: str = "") -> list[Line2D]:
    """Return the legend's entries for the series shown.

    Args:
        shown: names of series.
        measured: what the measured points are.
        band: what follows the name of the fit.
    """
    keys = {
        MEASURED: key(measured, ls="", color=INK, marker="o", markersize=4.5),
        NOT_REACHED: key("not reached (lower bound)", color=INK, marker="^", **BOUND),
        FIT: key(rf"fit $S_\mathrm{{min}} + E_\mathrm{{min}}/B${band}", color=INK, lw=1.5),
        PERFECT: key(PERFECT, color=GRAY, lw=1.1, ls="--"),
    }
    return [entry for name, entry in keys.items() if name in shown]
