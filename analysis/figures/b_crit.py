"""The critical batch size against the target, with its interval; bounds as arrows."""

import math

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from analysis.escaping import unmathematical
from analysis.figures.style import (
    GREY,
    INK,
    PLAIN,
    SMALL,
    power_of_two_ticks,
    ramp,
    style,
)
from analysis.fitting.models import Floats
from analysis.measures.goals import LEVEL
from analysis.report.summary import Analysis

_SIZE = (4.6, 3.6)
_ARROW_SHARE = 0.09


def b_crit_data(analysis: Analysis) -> pd.DataFrame:
    """Gives what the figure draws.

    Args:
        analysis: the analysis.

    Returns:
        One row per target, from the tightest: target, b_crit, low, high; null where the data set
        no bound, b_crit then too. No row where nothing bounds it at two targets or more.
    """
    rows = []
    for goal in analysis.goals:
        record = {} if goal.b_crit is None else goal.b_crit.record()
        known = goal.b_crit is not None and goal.b_crit.identified
        value = record["value"] if known else None
        rows.append((goal.target, value, record.get("low"), record.get("high")))
    data = pd.DataFrame(rows, columns=["target", "b_crit", "low", "high"], dtype=float)
    bounded = data["low"].notna() | data["high"].notna()
    return data if bounded.sum() > 1 else pd.DataFrame()


def draw_b_crit(data: pd.DataFrame, analysis: Analysis) -> Figure:
    """Draws the critical batch size against the target, tighter targets to the right.

    Args:
        data: what `b_crit_data` gives, at least one row.
        analysis: the analysis, for the title.

    Returns:
        The figure.
    """
    with style():
        figure = Figure(figsize=_SIZE, layout="constrained")
        axes = figure.add_subplot()
        _scale(axes, data)
        for row, color in zip(data.to_numpy(float), ramp(len(data)), strict=True):
            _draw(axes, row, color)
        known = data[data["b_crit"].notna()]
        axes.plot(known["target"], known["b_crit"], "-", color=GREY, lw=0.9, zorder=2)
        axes.set_title(unmathematical(analysis.subject), loc="left", pad=8)
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
    bottom, top = low / pad, high * pad
    axes.set_xscale("log")
    axes.set_yscale("log", base=2)
    loose, tight = float(data["target"].max()), float(data["target"].min())
    aside = (loose / tight) ** 0.08
    axes.set_xlim(loose * aside, tight / aside)
    axes.set_ylim(bottom, top)
    axes.xaxis.set_major_locator(FixedLocator(data["target"].tolist()))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(PLAIN)
    power_of_two_ticks(axes.yaxis, bottom, top, most=8)


def _draw(axes: Axes, row: Floats, color: str) -> None:
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
            color=GREY,
        )
