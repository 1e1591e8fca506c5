"""The critical batch size against the target, with its interval; bounds as arrows."""

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, NullLocator

from analysis.figures.drawing.colors import ink, pale, ramp
from analysis.figures.drawing.marks import bound_mark
from analysis.figures.drawing.sheet import Sheet, key
from analysis.figures.drawing.ticks import PLAIN, label_axis, log_axis
from analysis.fitting.estimates import LEVEL
from analysis.fitting.models import Floats
from analysis.report.summary import Analysis

_HEIGHT = 3.6
# of the height of the axes, for an arrow
_ARROW = 0.2


def b_crit_data(analysis: Analysis) -> pd.DataFrame:
    """Return the critical batch size at each target, one row per target from the tightest.

    Returns:
        Columns target, b_crit, low, high. The data set no bound where low or high is null, and do
        not identify b_crit where it is null. No rows unless two targets have a bound.
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


def draw_b_crit(sheet: Sheet, data: pd.DataFrame, analysis: Analysis) -> None:
    """Draw the rows of `b_crit_data`, tighter targets to the right."""
    axes = sheet.axes(_HEIGHT)
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


def _legend(data: pd.DataFrame) -> Sequence[Artist]:
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
    # room for the arrows too
    pad = max(1.5, (high / low) ** (_ARROW / (1 - 2 * _ARROW)))
    log_axis(axes.yaxis, low / pad, high * pad)
    loosest, tightest = float(data["target"].max()), float(data["target"].min())
    margin = (loosest / tightest) ** 0.08
    axes.set_xscale("log")
    axes.set_xlim(loosest * margin, tightest / margin)
    axes.xaxis.set_major_locator(FixedLocator(data["target"].tolist()))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(PLAIN)


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
