"""Steps against batch size for several targets: points, fitted curves, and misses."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.escaping import escape_math
from analysis.figures.drawing.axes import (
    MARGIN,
    base_two_y,
    batch_size_axis_with_labels,
    legend_below,
    single_axes,
)
from analysis.figures.drawing.labels import EndLabel, label_ends
from analysis.figures.drawing.series import (
    FIT,
    MEASURED,
    NOT_REACHED,
    curve_sizes,
    draw_series,
    series_keys,
    series_rows,
)
from analysis.figures.drawing.style import ramp, style
from analysis.measures.federated import batch_axis, steps_axis
from analysis.measures.goals import Goal
from analysis.report.summary import Analysis

_HEIGHT = 4.2
_AXES_INCHES = 3.4
_LABEL_SHARE = 0.11


def goals_data(analysis: Analysis) -> pd.DataFrame:
    """Return points and curves at every target that can be judged.

    Returns:
        Columns target, series, batch_size, steps. Series `measured`; `not reached`: steps is a
        lower bound, the longest trial; `fit`: the curve. No rows with fewer than two targets.
    """
    parts = [_rows(goal) for goal in analysis.goals]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def _rows(goal: Goal) -> pd.DataFrame:
    table = goal.table
    hit = table["steps"].notna()
    missed = ~hit & (table["stopped_at"] > 0)
    parts = [
        series_rows(MEASURED, table["batch_size"][hit], table["steps"][hit]),
        series_rows(NOT_REACHED, table["batch_size"][missed], table["stopped_at"][missed]),
    ]
    if goal.fit is not None:
        at = curve_sizes(table["batch_size"])
        parts.append(series_rows(FIT, at, goal.fit.predict(at)))
    rows = pd.concat([part for part in parts if len(part)])
    rows.insert(0, "target", goal.target)
    return rows


def draw_goals(data: pd.DataFrame, analysis: Analysis) -> Figure:
    """Draw the rows of `goals_data` on logarithmic axes, a color per target."""
    targets = sorted(data["target"].unique())
    with style():
        figure, axes = single_axes(_HEIGHT)
        _scale(axes, data)
        last = float(data["batch_size"].max())
        labels = []
        for target, color in zip(targets, ramp(len(targets)), strict=True):
            rows = data[data["target"] == target]
            draw_series(axes, rows, color)
            series = FIT if rows["series"].eq(FIT).any() else rows["series"].min()
            end = float(rows.loc[rows["series"] == series, "steps"].iloc[-1])
            labels.append(EndLabel(text=f"< {target:g}", color=color, x=last, y=end))
        label_ends(axes, labels, _AXES_INCHES)
        axes.set_title(f"{escape_math(analysis.subject)}, validation {analysis.quantity}")
        axes.set_xlabel(batch_axis([analysis.study.config]))
        axes.set_ylabel(steps_axis([analysis.study.config]))
        legend_below(figure, series_keys(set(data["series"]), "fewest steps over trials"))
    return figure


def _scale(axes: Axes, data: pd.DataFrame) -> None:
    sizes, steps = data["batch_size"], data["steps"]
    batch_size_axis_with_labels(axes, sizes, _LABEL_SHARE)
    base_two_y(axes, float(steps.min()) / 1.3, float(steps.max()) * 1.4)
    axes.spines["bottom"].set_bounds(float(sizes.min()) / MARGIN, float(sizes.max()) * 1.1)
