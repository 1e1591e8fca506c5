"""Series in figures of steps against batch size: their rows, drawing and legend.

Rows have the columns series, batch_size and steps, and low and high for intervals.
"""

from collections.abc import Collection, Mapping
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from analysis.figures.drawing.colors import ink, pale, paper
from analysis.figures.drawing.marks import bound_mark, tip_mark
from analysis.figures.drawing.sheet import bound_key, key
from analysis.figures.drawing.ticks import log_axis
from analysis.fitting.fit import Fits
from analysis.fitting.models import Floats
from analysis.fitting.points import Points
from analysis.measures.replicates import fitted_points

MEASURED = "measured"
NOT_REACHED = "not reached"
LEFT_OUT = "left out"
FIT = "fit"
PERFECT = "perfect scaling"

BOUND = "lower bound: steps that were too few"
LEFT_OUT_BOUND = "lower bound that no curve explains, not fitted"
PERFECT_LINE = "perfect scaling (steps fall as 1/B)"

_CURVE_POINTS = 121
_BEYOND = 4  # factor by which intervals may widen the axis of steps beyond the points
_MARGIN = 1.35


def series_rows(name: str, batch_sizes: object, steps: object, **columns: object) -> pd.DataFrame:
    """Return the rows of one series, with further columns of numbers in the given order."""
    numbers = {"batch_size": batch_sizes, "steps": steps, **columns}
    rows = {column: np.asarray(values, dtype=np.float64) for column, values in numbers.items()}
    return pd.DataFrame({"series": name, **rows})


def bound_rows(table: pd.DataFrame) -> pd.DataFrame:
    """Return the lower bounds in a table of steps: those fitted, and those no curve explains.

    Returns:
        Columns series (`not reached` or `left out`), batch_size, steps.
    """
    points = fitted_points(table)
    left_out = points.out_of_reach() if points.observed else np.zeros_like(points.missed)
    fitted = points.missed & ~left_out
    return pd.concat(
        [
            series_rows(NOT_REACHED, points.batch_sizes[fitted], points.steps[fitted]),
            series_rows(LEFT_OUT, points.batch_sizes[left_out], points.steps[left_out]),
        ],
        ignore_index=True,
    )


def by_series(rows: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return the rows of each series by its name."""
    return {str(name): own for name, own in rows.groupby("series")}


def curve_sizes(batch_sizes: object) -> Floats:
    """Return the batch sizes at which a curve over the given ones is drawn."""
    sizes = np.asarray(batch_sizes, dtype=np.float64)
    return np.geomspace(sizes.min(), sizes.max(), _CURVE_POINTS)


def steps_axis_scale(axes: Axes, points: pd.DataFrame, above: float = 0.0) -> float:
    """Scale the y axis to points and bounds, leaving the share `above` of the height free.

    Wide intervals, as of few seeds, are cut: they would squeeze everything else into a line.

    Returns:
        The upper end of what is drawn, in steps.
    """
    shown = points.reindex(columns=["steps", "low", "high"]).astype(float)
    least, most = float(shown["steps"].min()), float(shown["steps"].max())
    bottom = max(float(shown.min().min()), least / _BEYOND) / _MARGIN
    top = min(float(shown.max().max()), most * _BEYOND) * _MARGIN
    bounds = points.loc[points["series"].isin([NOT_REACHED, LEFT_OUT]), "steps"]
    if len(bounds):
        top = max(top, float(bounds.max()) * (top / bottom) ** 0.15)
    log_axis(axes.yaxis, bottom, bottom * (top / bottom) ** (1 / (1 - above)), ticks_to=top)
    axes.spines["left"].set_bounds(bottom, top)
    return top


def draw_points(axes: Axes, rows: pd.DataFrame, top: float, **marks: Any) -> None:
    """Draw points with their intervals; one that ends above `top` or is unbounded has a tip."""
    sizes, steps = rows["batch_size"], rows["steps"]
    if "low" in rows:
        known = rows["low"].notna() | rows["high"].notna()
        below = (steps - rows["low"]).where(known).clip(lower=0).fillna(0)
        ends = rows["high"].fillna(np.inf).where(known, steps).clip(upper=top)
        color, z = marks["color"], marks["zorder"] - 0.5
        axes.errorbar(
            sizes, steps, yerr=[below, ends - steps], fmt="none", color=color, lw=1.1, zorder=z
        )
        cut = known & ~(rows["high"] <= top)
        if cut.any():
            axes.plot(sizes[cut], ends[cut], color=color, zorder=z, **tip_mark("up"))
    edge: dict[str, Any] = {"markeredgecolor": paper(), "markeredgewidth": 0.6, "linestyle": ""}
    axes.plot(sizes, steps, **edge | marks)


def draw_bounds(axes: Axes, series: Mapping[str, pd.DataFrame], color: str) -> None:
    """Draw the lower bounds; those left out of the fit are pale."""
    for name, own in ((NOT_REACHED, color), (LEFT_OUT, left_out_color(color))):
        if name in series:
            rows = series[name]
            axes.plot(rows["batch_size"], rows["steps"], color=own, zorder=6, **bound_mark())


def left_out_color(color: str) -> str:
    """Return the color of bounds that are left out of a fit of this color."""
    return pale(0.4, color)


def draw_series(
    axes: Axes, rows: pd.DataFrame, top: float, band: bool = False, shift: float = 1.0, **mark: Any
) -> None:
    """Draw the measured points with their intervals, the bounds and the fitted curve of a study.

    Intervals are cut at `top` (from `steps_axis_scale`); `shift` multiplies the batch sizes of the
    points, so that those of several studies lie side by side.
    """
    color = mark["color"]
    series = by_series(rows)
    if FIT in series:
        curve = series[FIT]
        axes.plot(curve["batch_size"], curve["steps"], color=color, zorder=4)
        if band:
            ends = curve["low"], curve["high"]
            axes.fill_between(curve["batch_size"], *ends, color=color, alpha=0.13, lw=0)
    for name in (MEASURED, NOT_REACHED, LEFT_OUT):
        if name in series:
            series[name] = series[name].assign(batch_size=series[name]["batch_size"] * shift)
    if MEASURED in series:
        draw_points(axes, series[MEASURED], top, zorder=5, **mark)
    draw_bounds(axes, series, color)


def series_keys(shown: Collection[str], measured: str, band: str = "") -> list[Line2D]:
    """Return the legend entries of the series shown.

    `measured` labels the points; `band` follows the name of the fit (see `fit_note`).
    """
    keys = {
        MEASURED: key(measured, ls="", color=ink(), marker="o"),
        NOT_REACHED: bound_key(BOUND, ink()),
        LEFT_OUT: bound_key(LEFT_OUT_BOUND, left_out_color(ink())),
        FIT: key(f"hyperbola fit{band}", color=ink()),
        PERFECT: key(PERFECT_LINE, **perfect_line()),
    }
    return [entry for name, entry in keys.items() if name in shown]


def bracket_note(*fitted: Points) -> str:
    """Return what follows the name of fits in a legend if they run through brackets."""
    return " through brackets" if any(points.bracketed.any() for points in fitted) else ""


def fit_note(*fits: Fits) -> str:
    """Return what follows the name of fits in a legend: why their curves do not pass the marks."""
    corrected = [one.found is not None for one in fits]
    if not any(corrected):
        return bracket_note(*(one["hyperbola"].points for one in fits))
    return " of the optimum" if all(corrected) else " of the optimum where known"


def perfect_line() -> dict[str, Any]:
    """Return the style of the line of perfect scaling."""
    width = 0.7 * matplotlib.rcParams["lines.linewidth"]
    return {"color": pale(0.34), "linestyle": "--", "linewidth": width, "zorder": 3}
