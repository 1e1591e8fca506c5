"""The search at each batch size: where its trials lie, and how they ended."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullLocator

from analysis.escaping import unmathematical
from analysis.figures.style import (
    BLUE,
    GREEN,
    GREY,
    INK,
    ORANGE,
    PALE,
    PLAIN,
    SMALL,
    YELLOW,
    style,
)
from analysis.measures.recipes import base_trial
from analysis.measures.targets import search_trials
from analysis.report.summary import Analysis

BEST_ERROR = "best_error"

_MARKERS: Mapping[str, Mapping[str, Any]] = {
    "reached": {"marker": "o", "color": BLUE, "s": 22},
    "exhausted": {"marker": "^", "color": ORANGE, "s": 22},
    "capped": {
        "marker": "s",
        "facecolors": "none",
        "edgecolors": GREEN,
        "s": 16,
        "linewidths": 0.9,
    },
    "diverged": {"marker": "x", "color": INK, "s": 18, "linewidths": 1.0},
    "failed": {"marker": "+", "color": GREY, "s": 26, "linewidths": 1.0},
}
_BEST: Mapping[str, Any] = {"marker": "*", "color": YELLOW, "edgecolors": INK, "s": 150}
_PANEL = (1.75, 1.65)
_MOST_COLUMNS = 5
_PAD = 0.04


def search_data(analysis: Analysis) -> pd.DataFrame:
    """Gives what the figure draws.

    Args:
        analysis: the analysis.

    Returns:
        One row per search trial: batch_size, role, trial, status, steps, best (whether it is the
        winner), then the drawn axes as they are searched (`lr`, `1 - momentum`), best_error for
        the second where one hyperparameter is searched; no row where none is.
    """
    axes = _searched(analysis)
    if not axes:
        return pd.DataFrame()
    trials = search_trials(analysis.study, analysis.target)
    data = trials[["batch_size", "role", "trial", "status", "steps"]].copy()
    data["best"] = _is_best(trials, analysis)
    for label, name in axes.items():
        data[label] = 1 - trials[name] if label.startswith("1 - ") else trials[name]
    return data


def _is_best(trials: pd.DataFrame, analysis: Analysis) -> "pd.Series[bool]":
    """Tells the winners, or in a recipe the trial that its rule scales."""
    scaled = base_trial(analysis.study)
    if scaled is not None:
        return trials["role"].eq(scaled[0]) & trials["trial"].eq(scaled[1])
    winners, sizes = analysis.reached.set_index("batch_size"), trials["batch_size"]
    best = trials["trial"] == sizes.map(winners["trial"])
    best &= trials["role"] == sizes.map(winners["role"])
    return best.fillna(False).astype(bool)


def _searched(analysis: Analysis) -> dict[str, str]:
    """Gives the two axes, label to column: learning rate and momentum where they are searched."""
    space = analysis.study.space
    first = sorted(space, key=lambda name: ({"lr": 0, "momentum": 1}.get(name, 2), name))[:2]
    if not first:
        return {}
    names = [*first, BEST_ERROR][:2]
    return {_label(name, space.get(name, {})): name for name in names}


def _label(name: str, entry: Mapping[str, Any]) -> str:
    return f"1 - {name}" if entry.get("scale") == "reverse-log" else name


def draw_search(data: pd.DataFrame, analysis: Analysis) -> Figure:
    """Draws the trials of each batch size in a panel, one marker per status, the best as a star.

    Args:
        data: what `search_data` gives, at least one row.
        analysis: the analysis, for the searched box and the title.

    Returns:
        The figure.
    """
    sizes = sorted(data["batch_size"].unique())
    columns = min(_MOST_COLUMNS, len(sizes))
    rows = -(-len(sizes) // columns)
    with style():
        figure = Figure(
            figsize=(max(columns * _PANEL[0], 4.0) + 0.4, rows * _PANEL[1] + 0.9),
            layout="constrained",
        )
        panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
        for panel, size in zip(panels, sizes, strict=False):
            _draw_panel(panel, data[data["batch_size"] == size], analysis)
            panel.set_title(f"B = {size}", fontsize=SMALL + 0.5, pad=3)
        for panel in panels[len(sizes) :]:
            panel.set_visible(False)
        x, y = _searched(analysis)
        for panel in panels[max(len(sizes) - columns, 0) : len(sizes)]:
            # above a gap in the last row too, where sharing takes the tick labels away
            panel.tick_params(labelbottom=True)
            panel.set_xlabel(_axis_label(x, analysis), fontsize=SMALL + 0.5)
        figure.suptitle(unmathematical(analysis.title), fontsize=10.5, wrap=True)
        figure.supylabel(_axis_label(y, analysis), fontsize=10)
        figure.legend(handles=_legend(data), loc="outside lower center", ncols=6, handletextpad=0.2)
    return figure


def _draw_panel(panel: Axes, trials: pd.DataFrame, analysis: Analysis) -> None:
    (x, first), (y, second) = _searched(analysis).items()
    space = analysis.study.space
    _set_axis(panel, "x", space[first])
    _set_axis(panel, "y", space.get(second))
    if (first, second) == ("lr", "momentum") and y.startswith("1 - "):
        _draw_effective_lr(panel)
    elif second == BEST_ERROR:
        panel.axhline(analysis.target, color=GREY, lw=0.8, ls="--", zorder=1)
    for status, marker in _MARKERS.items():
        group = trials[(trials["status"] == status) & ~trials["best"]]
        panel.scatter(group[x].astype(float), group[y].astype(float), zorder=3, **marker)
    best = trials[trials["best"]]
    panel.scatter(best[x].astype(float), best[y].astype(float), zorder=4, linewidths=0.7, **_BEST)


def _set_axis(panel: Axes, side: str, entry: Mapping[str, Any] | None) -> None:
    """Sets scale and limits: the searched box with a small margin; errors show themselves."""
    axis = panel.xaxis if side == "x" else panel.yaxis
    if entry is None:
        panel.set(**{f"{side}scale": "log"})
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.set_major_formatter(PLAIN)
        axis.set_minor_locator(NullLocator())
        return
    low, high, scale = float(entry["low"]), float(entry["high"]), entry["scale"]
    if scale == "reverse-log":
        low, high = 1 - high, 1 - low
    if scale == "linear":
        pad = _PAD * (high - low)
        panel.set(**{f"{side}lim": (low - pad, high + pad)})
        return
    pad = (high / low) ** _PAD
    panel.set(**{f"{side}scale": "log", f"{side}lim": (low / pad, high * pad)})
    axis.set_minor_locator(NullLocator())


def _draw_effective_lr(panel: Axes) -> None:
    """Draws lines of one lr / (1 - momentum), a decade apart; 1 - momentum is the second axis."""
    ends = np.array(panel.get_xlim())
    bottom, top = panel.get_ylim()
    first = math.floor(math.log10(ends[0] / top))
    last = math.ceil(math.log10(ends[1] / bottom))
    for power in range(first, last + 1):
        panel.plot(ends, ends / 10.0**power, color=PALE, lw=0.6, zorder=1, scalex=False)
    panel.set_xlim(*ends)
    panel.set_ylim(bottom, top)


def _axis_label(label: str, analysis: Analysis) -> str:
    if label == BEST_ERROR:
        return f"Least validation {analysis.quantity}"
    words = {"lr": "Learning rate", "1 - momentum": "1 \N{MINUS SIGN} momentum"}
    return words.get(label, label)


def _legend(data: pd.DataFrame) -> list[Line2D]:
    shown = [status for status in _MARKERS if (data["status"] == status).any()]
    handles = []
    for status in shown:
        marker = _MARKERS[status]
        hollow = "facecolors" in marker
        handles.append(
            Line2D(
                [],
                [],
                ls="",
                marker=marker["marker"],
                color=marker.get("color", marker.get("edgecolors")),
                markerfacecolor="none" if hollow else marker["color"],
                markersize=5,
                label=status,
            )
        )
    if data["best"].any():
        star = Line2D([], [], ls="", marker="*", color=YELLOW, markeredgecolor=INK, label="best")
        star.set_markersize(10)
        handles.append(star)
    return handles
