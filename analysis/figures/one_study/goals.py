"""Steps against batch size for several targets: points, fitted curves, and bounds."""

import pandas as pd

from analysis.figures.drawing.colors import ramp
from analysis.figures.drawing.series import (
    FIT,
    MEASURED,
    bound_rows,
    curve_sizes,
    draw_series,
    series_keys,
    series_rows,
    steps_axis_scale,
    through,
)
from analysis.figures.drawing.sheet import Sheet, key
from analysis.figures.drawing.ticks import batch_size_axis, label_axis
from analysis.measures.federated import batch_axis, steps_axis
from analysis.report.goals import Goal
from analysis.report.summary import Analysis

_HEIGHT = 3.9


def goals_data(analysis: Analysis) -> pd.DataFrame:
    """Return points and curves at every target that can be judged.

    Returns:
        Columns target, series, batch_size, steps. Series `measured`; `not reached`: steps is the
        lower bound that the fit uses, the longest trial; `left out`: one that no curve explains;
        `fit`: the curve. No rows with fewer than two targets.
    """
    parts = [_rows(goal) for goal in analysis.goals]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def _rows(goal: Goal) -> pd.DataFrame:
    table = goal.table
    hit = table["steps"].notna()
    parts = [
        series_rows(MEASURED, table["batch_size"][hit], table["steps"][hit]),
        bound_rows(table),
    ]
    if goal.fits is not None:
        at = curve_sizes(table["batch_size"])
        parts.append(series_rows(FIT, at, goal.fits["hyperbola"].predict(at)))
    rows = pd.concat([part for part in parts if len(part)])
    rows.insert(0, "target", goal.target)
    return rows


def draw_goals(sheet: Sheet, data: pd.DataFrame, analysis: Analysis) -> None:
    """Draw the rows of `goals_data` on logarithmic axes, a color per target."""
    axes = sheet.axes(_HEIGHT)
    points = data[data["series"] != FIT]
    batch_size_axis(axes, points["batch_size"])
    top = steps_axis_scale(axes, points)
    targets = sorted(data["target"].unique())
    handles = []
    for target, color in zip(targets, ramp(len(targets)), strict=True):
        draw_series(axes, data[data["target"] == target], top, color=color, marker="o")
        handles.append(key(f"target {target:g}", color=color, marker="o"))
    label_axis(axes.xaxis, batch_axis([analysis.study.config]))
    label_axis(axes.yaxis, steps_axis([analysis.study.config]))
    sheet.title(f"{analysis.subject}, validation {analysis.quantity}")
    fits = [goal.fits for goal in analysis.goals if goal.fits is not None]
    brackets = through(*(own["hyperbola"].points for own in fits))
    keys = series_keys(set(data["series"]), "fewest steps over trials", brackets)
    sheet.legend([*handles, *keys])
