"""Steps against batch size for several targets: points, fitted curves, and misses."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analysis.escaping import unmathematical
from analysis.figures.labels import EndLabel, label_ends
from analysis.figures.series import CURVE_POINTS, FIT, MEASURED, NOT_REACHED, draw_misses
from analysis.figures.style import INK, WIDTH, power_of_two_ticks, ramp, style
from analysis.measures.federated import batch_axis, steps_axis
from analysis.measures.goals import Goal
from analysis.report.summary import Analysis

_HEIGHT = 4.2
_AXES_INCHES = 3.4
# room for the labels on the right, as a factor of the batch size per factor shown
_LABEL_SHARE = 0.11


def goals_data(analysis: Analysis) -> pd.DataFrame:
    """Gives what the figure draws.

    Args:
        analysis: the analysis.

    Returns:
        Columns target, series, batch_size, steps. Series `measured`; `not reached`: steps is a
        lower bound, the longest trial; `fit`: the curve. No row where fewer than two targets can
        be judged.
    """
    parts = [part for goal in analysis.goals for part in _parts(goal)]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def _parts(goal: Goal) -> list[pd.DataFrame]:
    table = goal.table
    hit = table["steps"].notna()
    missed = ~hit & (table["stopped_at"] > 0)
    parts = [
        _series(goal, MEASURED, table["batch_size"][hit], table["steps"][hit]),
        _series(goal, NOT_REACHED, table["batch_size"][missed], table["stopped_at"][missed]),
    ]
    if goal.fit is not None:
        sizes = table["batch_size"].to_numpy(float)
        at = np.geomspace(sizes.min(), sizes.max(), CURVE_POINTS)
        parts.append(_series(goal, FIT, at, goal.fit.predict(at)))
    return [part for part in parts if len(part)]


def _series(goal: Goal, name: str, batch_sizes: object, steps: object) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "target": goal.target,
            "series": name,
            "batch_size": np.asarray(batch_sizes, dtype=np.float64),
            "steps": np.asarray(steps, dtype=np.float64),
        }
    )


def draw_goals(data: pd.DataFrame, analysis: Analysis) -> Figure:
    """Draws steps against batch size on logarithmic axes, one colour per target.

    Args:
        data: what `goals_data` gives, at least one row.
        analysis: the analysis, for the title.

    Returns:
        The figure.
    """
    targets = sorted(data["target"].unique())
    with style():
        figure = Figure(figsize=(WIDTH, _HEIGHT), layout="constrained")
        axes = figure.add_subplot()
        _scale(axes, data)
        labels = []
        for target, color in zip(targets, ramp(len(targets)), strict=True):
            series = dict(iter(data[data["target"] == target].groupby("series")))
            _draw(axes, series, color)
            end = series.get(FIT, next(iter(series.values()))).iloc[-1]
            labels.append(
                EndLabel(
                    text=f"< {target:g}",
                    color=color,
                    x=float(data["batch_size"].max()),
                    y=float(end["steps"]),
                )
            )
        label_ends(axes, labels, _AXES_INCHES)
        title = f"{unmathematical(analysis.subject)}, validation {analysis.quantity}"
        axes.set_title(title, loc="left", pad=8)
        axes.set_xlabel(batch_axis([analysis.study.config]))
        axes.set_ylabel(steps_axis([analysis.study.config]))
        # below the axes it overlaps nothing, wherever misses lie
        figure.legend(handles=_legend(set(data["series"])), loc="outside lower center", ncols=3)
    return figure


def _scale(axes: Axes, data: pd.DataFrame) -> None:
    left, right = float(data["batch_size"].min()), float(data["batch_size"].max())
    bottom, top = float(data["steps"].min()) / 1.3, float(data["steps"].max()) * 1.4
    room = (right / left) ** _LABEL_SHARE if right > left else 2.0
    axes.set_xscale("log", base=2)
    axes.set_yscale("log", base=2)
    axes.set_xlim(left / 1.3, right * max(room, 1.3))
    axes.set_ylim(bottom, top)
    power_of_two_ticks(axes.xaxis, left / 1.01, right * 1.01)
    power_of_two_ticks(axes.yaxis, bottom, top)
    axes.spines["bottom"].set_bounds(left / 1.3, right * 1.1)


def _draw(axes: Axes, series: dict[str, pd.DataFrame], color: str) -> None:
    if FIT in series:
        curve = series[FIT]
        axes.plot(curve["batch_size"], curve["steps"], color=color, lw=1.3, zorder=3)
    if MEASURED in series:
        points = series[MEASURED]
        axes.plot(
            points["batch_size"],
            points["steps"],
            "o",
            color=color,
            markersize=4.5,
            markeredgecolor="white",
            markeredgewidth=0.5,
            zorder=4,
        )
    if NOT_REACHED in series:
        draw_misses(axes, series[NOT_REACHED], color, size=6, zorder=4)


def _legend(shown: set[str]) -> list[Line2D]:
    marks = {
        MEASURED: Line2D([], [], ls="", marker="o", color=INK, label="fewest steps over trials"),
        NOT_REACHED: Line2D(
            [],
            [],
            ls="",
            marker="^",
            color=INK,
            markerfacecolor="white",
            label="target not reached (lower bound)",
        ),
        FIT: Line2D([], [], color=INK, lw=1.3, label=r"fit $S_\mathrm{min} + E_\mathrm{min}/B$"),
    }
    marks[MEASURED].set_markersize(4.5)
    return [mark for name, mark in marks.items() if name in shown]
