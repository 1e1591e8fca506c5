"""The critical batch size against the target, with its interval; bounds as arrows."""

import math

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from analysis.escaping import escape_math
from analysis.figures.drawing.axes import PLAIN, base_two_y, single_axes
from analysis.figures.drawing.style import GRAY, INK, SMALL, ramp, style
from analysis.fitting.models import Floats
from analysis.measures.goals import LEVEL
from analysis.report.summary import Analysis

_ARROW_SHARE = 0.09


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


def draw_b_crit(data: pd.DataFrame, analysis: Analysis) -> Figure:
    """Draw the rows of `b_crit_data`, tighter targets to the right."""
    with style():
        figure, axes = single_axes(3.6, width=4.6)
        _scale(axes, data)
        for row, color in zip(data.to_numpy(float), ramp(len(data)), strict=True):
            _draw_estimate(axes, row, color)
        known = data[data["b_crit"].notna()]
        axes.plot(known["target"], known["b_crit"], "-", color=GRAY, lw=0.9, zorder=2)
        axes.set_title(escape_math(analysis.subject))
        axes.set_xlabel(f"Target: validation {analysis.quantity} (tighter \N{RIGHTWARDS ARROW})")
        axes.set_ylabel(r"Critical batch size $b_\mathrm{crit}$ (examples)")
        axes.text(
            0.02,
            0.98,
            f"{LEVEL:.0%} intervals",
            transform=axes.transAxes,
            va="top",
            fontsize=SMALL,
            color=INK,
        )
    return figure


def _scale(axes: Axes, data: pd.DataFrame) -> None:
    ends = data[["low", "high"]].to_numpy(float)
    low, high = float(np.nanmin(ends)), float(np.nanmax(ends))
    # room for the arrows too
    pad = max(1.8, (high / low) ** (_ARROW_SHARE / (1 - 2 * _ARROW_SHARE) + 0.05))
    base_two_y(axes, low / pad, high * pad, most=8)
    loosest, tightest = float(data["target"].max()), float(data["target"].min())
    margin = (loosest / tightest) ** 0.08
    axes.set_xscale("log")
    axes.set_xlim(loosest * margin, tightest / margin)
    axes.xaxis.set_major_locator(FixedLocator(data["target"].tolist()))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(PLAIN)


def _draw_estimate(axes: Axes, row: Floats, color: str) -> None:
    """Draw a value with its interval, or an arrow from each bound, or that there is none."""
    target, value, low, high = row.tolist()
    if not math.isnan(value):
        axes.plot([target] * 2, [low, high], color=color, lw=1.8, solid_capstyle="butt", zorder=3)
        axes.plot([target], [value], "o", color=color, markersize=6.5, zorder=4)
        return
    bottom, top = axes.get_ylim()
    reach = (top / bottom) ** _ARROW_SHARE
    for bound, away in ((low, reach), (high, 1 / reach)):
        if not math.isnan(bound):
            axes.annotate(
                "",
                (target, bound * away),
                (target, bound),
                arrowprops={"arrowstyle": "-|>", "color": color, "lw": 1.6, "shrinkA": 0},
            )
            axes.plot([target], [bound], "_", color=color, markersize=9, markeredgewidth=1.8)
    if math.isnan(low) and math.isnan(high):
        axes.text(
            target,
            0.03,
            "not identified",
            transform=axes.get_xaxis_transform(),
            ha="center",
            va="bottom",
            rotation=90,
            fontsize=SMALL,
            color=GRAY,
        )
