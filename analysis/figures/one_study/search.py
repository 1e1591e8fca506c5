"""The search at each batch size: where its trials lie, and how they ended."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from analysis.figures.drawing.colors import STAR, color, ink, pale
from analysis.figures.drawing.kind import FigureKind
from analysis.figures.drawing.sheet import Sheet, key
from analysis.figures.drawing.ticks import log_axis, with_minus
from analysis.measures.recipes import base_trial
from analysis.measures.targets import search_trials
from analysis.report.summary import Analysis

BEST_ERROR = "best_error"
_MARKERS: Mapping[str, tuple[str, int | None, float, bool]] = {
    "reached": ("o", 0, 4.7, True),
    "exhausted": ("^", 1, 4.7, True),
    "capped": ("s", 2, 4.0, False),
    "pruned": ("v", 3, 4.0, False),
    "diverged": ("x", None, 4.2, True),
    "failed": ("+", 4, 5.1, True),
}
"""Shape of a status, index of its color in the cycle (None for ink), size, and whether filled."""
_PANEL = (11.3, 10.5)  # in font sizes
_PAD = 0.04
_MAX_DRAWN = 20_000
"""With more markers, vector formats contain a bitmap of them, not megabytes of paths."""


def search_data(analysis: Analysis) -> pd.DataFrame:
    """Return where every search trial lies and how it ended.

    Returns:
        Columns batch_size, role, trial, status, steps, best (whether it is the winner), then the
        two drawn axes as searched (`lr`, `1 - momentum`); the second one is best_error if only one
        hyperparameter is searched. No rows if none is.
    """
    axes = _axis_columns(analysis)
    if not axes:
        return pd.DataFrame()
    trials = search_trials(analysis.study, analysis.target)
    data = trials[["batch_size", "role", "trial", "status", "steps"]].copy()
    data["best"] = _is_best(trials, analysis)
    for label, name in axes.items():
        data[label] = 1 - trials[name] if label.startswith("1 - ") else trials[name]
    return data


def _is_best(trials: pd.DataFrame, analysis: Analysis) -> "pd.Series[bool]":
    """Return which trials are the winners, or in a recipe the one that its rule scales from."""
    scaled = base_trial(analysis.study)
    if scaled is not None:
        return trials["role"].eq(scaled[0]) & trials["trial"].eq(scaled[1])
    winners, sizes = analysis.reached.set_index("batch_size"), trials["batch_size"]
    best = trials["trial"] == sizes.map(winners["trial"])
    best &= trials["role"] == sizes.map(winners["role"])
    return best.fillna(False).astype(bool)


def _axis_columns(analysis: Analysis) -> dict[str, str]:
    """Return the columns of both axes by label, learning rate and momentum first."""
    space, searched = analysis.study.space, analysis.study.searched
    if not searched:
        return {}
    reversed_scale = {name for name, entry in space.items() if entry["scale"] == "reverse-log"}
    return {
        f"1 - {name}" if name in reversed_scale else name: name
        for name in [*searched[:2], BEST_ERROR][:2]
    }


def _draw(sheet: Sheet, data: pd.DataFrame, analysis: Analysis) -> None:
    sizes = sorted(data["batch_size"].unique())
    names = [f"B = {size}" for size in sizes]
    x, y = (_axis_label(label, analysis) for label in _axis_columns(analysis))
    panels = sheet.grid(names, _PANEL, x, sharex=True, sharey=True)
    for side, (label, name) in zip("xy", _axis_columns(analysis).items(), strict=True):
        _set_axis(panels[0], side, analysis.study.space.get(name), data[label])
    for panel, size in zip(panels, sizes, strict=True):
        own = data[data["batch_size"] == size]
        _draw_panel(panel, own, analysis, pictured=len(data) > _MAX_DRAWN)
    sheet.label_y(y)
    sheet.title(analysis.title)
    sheet.legend(_legend(data, analysis))


def _status_style(status: str) -> dict[str, Any]:
    shape, place, size, filled = _MARKERS[status]
    own = ink() if place is None else color(place)
    return {
        "marker": shape,
        "linestyle": "",
        "color": own,
        "markerfacecolor": own if filled else "none",
        "markersize": size,
    }


def _star_style(size: float) -> dict[str, Any]:
    outline = {"markeredgecolor": ink(), "markeredgewidth": 0.7}
    return {"marker": "*", "linestyle": "", "color": STAR, "markersize": size, **outline}


def _draw_panel(panel: Axes, trials: pd.DataFrame, analysis: Analysis, *, pictured: bool) -> None:
    x, y = _axis_columns(analysis)
    if _has_effective_lr(analysis):
        _draw_effective_lr(panel)
    elif y == BEST_ERROR:
        panel.axhline(analysis.target, color=pale(0.34), lw=0.8, ls="--", zorder=1)
    for status in _MARKERS:
        group = trials[(trials["status"] == status) & ~trials["best"]]
        panel.plot(
            *(group[side].astype(float) for side in (x, y)),
            zorder=3,
            rasterized=pictured,
            **_status_style(status),
        )
    best = trials[trials["best"]]
    panel.plot(best[x].astype(float), best[y].astype(float), zorder=4, **_star_style(12))


def _set_axis(
    panel: Axes, side: str, entry: Mapping[str, Any] | None, shown: "pd.Series[float]"
) -> None:
    """Set scale and limits: the searched range with a small margin; for errors, their range."""
    axis = panel.xaxis if side == "x" else panel.yaxis
    if entry is None:
        low, high, scale = float(shown.min()), float(shown.max()), "log"
        if not 0 < low < high:
            return
    else:
        low, high, scale = float(entry["low"]), float(entry["high"]), str(entry["scale"])
    if scale == "reverse-log":
        low, high = 1 - high, 1 - low
    if scale == "linear":
        pad = _PAD * (high - low)
        panel.set(**{f"{side}lim": (low - pad, high + pad)})
        return
    pad = (high / low) ** _PAD
    log_axis(axis, low / pad, high * pad, least=3)


def _has_effective_lr(analysis: Analysis) -> bool:
    """Return whether the axes are the two factors of an effective learning rate."""
    axes = list(_axis_columns(analysis))
    return axes == ["lr", "1 - momentum"] and analysis.study.gathers_momentum


def _draw_effective_lr(panel: Axes) -> None:
    """Draw lines of equal lr / (1 - momentum), a decade apart."""
    ends = np.array(panel.get_xlim())
    bottom, top = panel.get_ylim()
    first = math.floor(math.log10(ends[0] / top))
    last = math.ceil(math.log10(ends[1] / bottom))
    # as one line with gaps: many lines would be slow to draw
    powers = 10.0 ** np.arange(first, last + 1)[:, None]
    gapped = [np.append(ends, np.nan), np.append(ends, np.nan) / powers]
    lines = (side.ravel() for side in np.broadcast_arrays(*gapped))
    panel.plot(*lines, color=pale(0.73), lw=0.6, zorder=1)
    panel.set_xlim(*ends)
    panel.set_ylim(bottom, top)


def _axis_label(label: str, analysis: Analysis) -> str:
    if label == BEST_ERROR:
        return f"Lowest validation {analysis.quantity}"
    return "Learning rate" if label == "lr" else with_minus(label)


def _legend(data: pd.DataFrame, analysis: Analysis) -> list[Line2D]:
    others = data.loc[~data["best"], "status"]
    handles = [
        key(status, **_status_style(status)) for status in _MARKERS if others.eq(status).any()
    ]
    if data["best"].any():
        handles.append(key("best", **_star_style(9)))
    if _has_effective_lr(analysis):
        label = with_minus("equal lr / (1 - momentum)")
        handles.append(key(label, color=pale(0.73), lw=0.9))
    elif BEST_ERROR in data:
        handles.append(key("target", color=pale(0.34), lw=0.8, ls="--"))
    return handles


SEARCH = FigureKind(data=search_data, draw=_draw, needs="a searched hyperparameter")
