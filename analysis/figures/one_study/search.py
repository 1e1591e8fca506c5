"""The search at each batch size: where its trials lie, and how they ended."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import NullLocator

from analysis.figures.drawing.axes import (
    key,
    legend_below,
    one_two_five_ticks,
    panel_grid,
    panel_label,
    title,
)
from analysis.figures.drawing.style import BLUE, GRAY, GREEN, INK, ORANGE, PALE, YELLOW, style
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
    "failed": {"marker": "+", "color": GRAY, "s": 26, "linewidths": 1.0},
}
_BEST: Mapping[str, Any] = {"marker": "*", "color": YELLOW, "edgecolors": INK, "s": 150}
_PANEL = (1.75, 1.65)
_AROUND = (0.4, 0.9)
_PAD = 0.04


def search_data(analysis: Analysis) -> pd.DataFrame:
    """Return where every search trial lies and how it ended.

    Returns:
        Columns batch_size, role, trial, status, steps, best (whether it is the winner), then both
        drawn axes on the scale searched (`lr`, `1 - momentum`), the second one best_error where
        one hyperparameter is searched. No rows where none is.
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
    """Return which trials are the winners, or in a recipe the one that its rule scales."""
    scaled = base_trial(analysis.study)
    if scaled is not None:
        return trials["role"].eq(scaled[0]) & trials["trial"].eq(scaled[1])
    winners, sizes = analysis.reached.set_index("batch_size"), trials["batch_size"]
    best = trials["trial"] == sizes.map(winners["trial"])
    best &= trials["role"] == sizes.map(winners["role"])
    return best.fillna(False).astype(bool)


def _searched(analysis: Analysis) -> dict[str, str]:
    """Return the column of each axis by its label: learning rate and momentum come first."""
    space = analysis.study.space
    first = sorted(space, key=lambda name: ({"lr": 0, "momentum": 1}.get(name, 2), name))[:2]
    if not first:
        return {}
    names = [*first, BEST_ERROR][:2]
    reversed_scale = {name for name, entry in space.items() if entry["scale"] == "reverse-log"}
    return {f"1 - {name}" if name in reversed_scale else name: name for name in names}


def draw_search(data: pd.DataFrame, analysis: Analysis) -> Figure:
    """Draw the rows of `search_data`: a panel per batch size, a marker per status, a star best."""
    sizes = sorted(data["batch_size"].unique())
    x, y = _searched(analysis)
    with style():
        names = [f"B = {size}" for size in sizes]
        figure, panels, lowest = panel_grid(names, _PANEL, _AROUND, least=4.0)
        for panel, size in zip(panels, sizes, strict=True):
            _draw_panel(panel, data[data["batch_size"] == size], analysis)
        for panel in lowest:
            panel_label(panel, _axis_label(x, analysis))
        title(figure, analysis.title)
        figure.supylabel(_axis_label(y, analysis), fontsize=10)
        legend_below(figure, _legend(data), columns=6)
    return figure


def _draw_panel(panel: Axes, trials: pd.DataFrame, analysis: Analysis) -> None:
    (x, first), (y, second) = _searched(analysis).items()
    space = analysis.study.space
    _set_axis(panel, "x", space[first])
    _set_axis(panel, "y", space.get(second))
    if (first, second) == ("lr", "momentum") and y.startswith("1 - "):
        _draw_effective_lr(panel)
    elif second == BEST_ERROR:
        panel.axhline(analysis.target, color=GRAY, lw=0.8, ls="--", zorder=1)
    for status, marker in _MARKERS.items():
        group = trials[(trials["status"] == status) & ~trials["best"]]
        panel.scatter(group[x].astype(float), group[y].astype(float), zorder=3, **marker)
    best = trials[trials["best"]]
    panel.scatter(best[x].astype(float), best[y].astype(float), zorder=4, linewidths=0.7, **_BEST)


def _set_axis(panel: Axes, side: str, entry: Mapping[str, Any] | None) -> None:
    """Set scale and limits: the searched box with a small margin; for errors, what is drawn."""
    axis = panel.xaxis if side == "x" else panel.yaxis
    if entry is None:
        panel.set(**{f"{side}scale": "log"})
        one_two_five_ticks(axis)
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
    """Draw lines of equal lr / (1 - momentum), a decade apart."""
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
        return f"Lowest validation {analysis.quantity}"
    names = {"lr": "Learning rate", "1 - momentum": "1 \N{MINUS SIGN} momentum"}
    return names.get(label, label)


def _legend(data: pd.DataFrame) -> list[Line2D]:
    handles = []
    for status, marker in _MARKERS.items():
        if (data["status"] == status).any():
            color = marker.get("color", marker.get("edgecolors"))
            fill = marker.get("facecolors", color)
            mark = {"marker": marker["marker"], "color": color, "markerfacecolor": fill}
            handles.append(key(status, ls="", markersize=5, **mark))
    if data["best"].any():
        star = {"marker": "*", "color": YELLOW, "markeredgecolor": INK, "markersize": 10}
        handles.append(key("best", ls="", **star))
    return handles
