"""Steps against batch size, and the critical batch size, at several targets."""

import math

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from analysis.figures.drawing.colors import ink, pale, ramp
from analysis.figures.drawing.kind import FigureKind
from analysis.figures.drawing.marks import bound_mark
from analysis.figures.drawing.series import (
    FIT,
    MEASURED,
    bound_rows,
    curve_sizes,
    draw_series,
    fit_note,
    series_keys,
    series_rows,
    steps_axis_scale,
)
from analysis.figures.drawing.sheet import Sheet, key
from analysis.figures.drawing.ticks import batch_size_axis, label_axis, log_axis, set_ticks
from analysis.fitting.estimates import LEVEL
from analysis.fitting.models import Floats
from analysis.measures.federated import batch_axis, steps_axis
from analysis.report.goals import Goal
from analysis.report.summary import Analysis

_HEIGHT = 3.9
_B_CRIT_HEIGHT = 3.6
_ARROW = 0.2  # height of an arrow as a share of the axes


def goals_data(analysis: Analysis) -> pd.DataFrame:
    """Return points and curves at each target.

    Returns:
        Columns target, series, batch_size, steps. Series `measured`; `not reached`: steps is the
        lower bound that is fitted, from the longest trial; `left out`: one that no curve explains;
        `fit`: the curve. No rows if there are fewer than two targets.
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


def _draw_goals(sheet: Sheet, data: pd.DataFrame, analysis: Analysis) -> None:
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
    keys = series_keys(set(data["series"]), "fewest steps over trials", fit_note(*fits))
    sheet.legend([*handles, *keys])


def b_crit_data(analysis: Analysis) -> pd.DataFrame:
    """Return the critical batch size at each target, one row per target from the tightest.

    Returns:
        Columns target, b_crit, low, high; an end without bound is null, and so is b_crit if it is
        not identified. No rows unless two targets have a bound.
    """
    rows = []
    for goal in analysis.goals:
        record = {} if goal.b_crit is None else goal.b_crit.record()
        identified = goal.b_crit is not None and goal.b_crit.identified
        value = record["value"] if identified else None
        rows.append((goal.target, value, record.get("low"), record.get("high")))
    data = pd.DataFrame(rows, columns=["target", "b_crit", "low", "high"], dtype=float)
    bounded = data["low"].notna() | data["high"].notna()
    return data if bounded.sum() > 1 else pd.DataFrame()


def _draw_b_crit(sheet: Sheet, data: pd.DataFrame, analysis: Analysis) -> None:
    axes = sheet.axes(_B_CRIT_HEIGHT)
    _scale(axes, data)
    for row, color in zip(data.to_numpy(float), ramp(len(data)), strict=True):
        _draw_estimate(axes, row, color)
    # the line breaks where b_crit is not identified
    axes.plot(data["target"], data["b_crit"], "-", color=pale(0.34), lw=0.9, zorder=2)
    nowhere = data.loc[data["low"].isna() & data["high"].isna(), "target"]
    unknown = ", ".join(f"{target:g}" for target in nowhere)
    label_axis(
        axes.xaxis,
        f"Target: validation {analysis.quantity} (tighter \N{RIGHTWARDS ARROW})"
        + (f"\nnot identified at {unknown}" if unknown else ""),
    )
    label_axis(axes.yaxis, "Critical batch size (examples)")
    sheet.title(analysis.subject)
    sheet.legend(_legend(data))


def _legend(data: pd.DataFrame) -> list[Line2D]:
    lower = data["b_crit"].isna() & data["low"].notna()
    upper = data["b_crit"].isna() & data["high"].notna()
    keys = {
        f"{LEVEL:.0%} interval": (data["b_crit"].notna().any(), {"marker": "o", "linewidth": 1.8}),
        "lower bound": (lower.any(), bound_mark(legend=True)),
        "upper bound": (upper.any(), bound_mark(downward=True, legend=True)),
    }
    return [key(label, color=ink(), **mark) for label, (drawn, mark) in keys.items() if drawn]


def _scale(axes: Axes, data: pd.DataFrame) -> None:
    ends = data[["low", "high"]].to_numpy(float)
    low, high = float(np.nanmin(ends)), float(np.nanmax(ends))
    # leaves room for the arrows
    pad = max(1.5, (high / low) ** (_ARROW / (1 - 2 * _ARROW)))
    log_axis(axes.yaxis, low / pad, high * pad)
    loosest, tightest = float(data["target"].max()), float(data["target"].min())
    margin = (loosest / tightest) ** 0.08
    axes.set_xscale("log")
    axes.set_xlim(loosest * margin, tightest / margin)
    set_ticks(axes.xaxis, data["target"].tolist())


def _draw_estimate(axes: Axes, row: Floats, color: str) -> None:
    """Draw a value with its interval, or an arrow from each bound."""
    target, value, low, high = row.tolist()
    if not math.isnan(value):
        axes.plot([target] * 2, [low, high], color=color, lw=1.8, solid_capstyle="butt", zorder=3)
        axes.plot([target], [value], "o", color=color, zorder=4)
        return
    for bound, downward in ((low, False), (high, True)):
        if not math.isnan(bound):
            axes.plot([target], [bound], color=color, **bound_mark(downward))


GOALS = FigureKind(
    data=goals_data, draw=_draw_goals, needs="two targets that the curves can be judged at"
)
B_CRIT_VS_TARGET = FigureKind(
    data=b_crit_data, draw=_draw_b_crit, needs="two targets at which the data bound b_crit"
)
