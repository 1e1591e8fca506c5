"""Best of N: the fewest steps that fewer trials would have found, at each batch size."""

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import FixedLocator, NullLocator

from analysis.figures.drawing.axes import (
    PLAIN,
    base_two_x,
    key,
    legend_below,
    panel_grid,
    panel_label,
    title,
)
from analysis.figures.drawing.style import BLUE, GRAY, INK, ORANGE, PALE, SMALL, style
from analysis.measures.targets import search_trials
from analysis.report.summary import Analysis
from analysis.search_quality.best_of_n import LEAST_REACH, SearchVerdict, best_of_n, search_sample
from analysis.search_quality.table import EVEN_ROLES

_PANEL = (1.6, 1.45)
_FAINT = "#DADADA"
_SHADE = "#F1F0EC"
_TICKS = (1, 1.1, 1.2, 1.3, 1.4, 1.5, 1.75, 2, 2.5, 3, 4, 5, 7, 10, 20, 50, 100, 1000)
_MOST_TICKS = 5
_COLORS = {SearchVerdict.SETTLED: BLUE, SearchVerdict.FALLING: ORANGE, SearchVerdict.UNKNOWN: GRAY}


def best_of_n_data(analysis: Analysis) -> pd.DataFrame:
    """Return the best-of-N curve of each batch size whose search reached the target.

    Returns:
        Columns batch_size, then n, reach, steps and median as in `best_of_n`, and ratio: steps
        relative to all trials. One row per batch size and n from 1 to its number of trials, at
        least 2. No rows where the sampler is adaptive: its trials are no random sample.
    """
    if analysis.study.adaptive:
        return pd.DataFrame()
    trials = search_trials(analysis.study, analysis.target)
    parts = []
    for size, group in trials[trials["role"].isin(EVEN_ROLES)].groupby("batch_size", sort=True):
        curve = best_of_n(search_sample(group))
        if len(curve) > 1 and curve["steps"].notna().all():
            curve.insert(0, "batch_size", size)
            parts.append(curve.assign(ratio=curve["steps"] / curve["steps"].iloc[-1]))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def draw_best_of_n(data: pd.DataFrame, analysis: Analysis) -> Figure:
    """Draw the rows of `best_of_n_data`: one panel per batch size, the other curves behind."""
    sizes = sorted(data["batch_size"].unique())
    with style():
        # one row of panels leaves the label of the y axis little height
        around = (0.5, 1.2 if len(sizes) > 5 else 1.8)  # noqa: PLR2004
        names = [f"B = {size}" for size in sizes]
        figure, panels, lowest = panel_grid(names, _PANEL, around, least=4.6)
        _scale(panels[0], data)
        verdicts = analysis.search.set_index("batch_size")
        for panel, size in zip(panels, sizes, strict=True):
            _draw_panel(panel, data, size, verdicts.loc[size])
        for panel in lowest:
            panel_label(panel, "Trials n")
        title(figure, analysis.title)
        figure.supylabel("Expected fewest steps of n trials\nrelative to all trials", fontsize=9.5)
        legend_below(figure, _legend(data, verdicts), columns=2 if len(lowest) > 3 else 1)  # noqa: PLR2004
    return figure


def _scale(panel: Axes, data: pd.DataFrame) -> None:
    base_two_x(panel, 1, float(data["n"].max()) * 1.15, most=4)
    top = max(float(data["ratio"].max()), 1.1) ** 1.12
    panel.set_yscale("log")
    panel.set_ylim(1 / top**0.07, top)
    ticks = [tick for tick in _TICKS if tick <= top]
    panel.yaxis.set_major_locator(FixedLocator(ticks[:: -(-len(ticks) // _MOST_TICKS)]))
    panel.yaxis.set_minor_locator(NullLocator())
    panel.yaxis.set_major_formatter(PLAIN)


def _draw_panel(panel: Axes, data: pd.DataFrame, size: int, quality: "pd.Series[float]") -> None:
    for other, curve in data.groupby("batch_size"):
        if other != size:
            panel.plot(curve["n"], curve["ratio"].astype(float), color=_FAINT, lw=0.6, zorder=1)
    curve = data[data["batch_size"] == size]
    n, ratio = curve["n"].to_numpy(float), curve["ratio"].to_numpy(float)
    verdict = SearchVerdict(str(quality["search"]))
    color = _COLORS[verdict]
    panel.axvspan(n[-1] / 2, n[-1], color=_SHADE, lw=0, zorder=0)
    sure = curve["reach"].to_numpy(float) >= LEAST_REACH
    joint = np.concatenate(([False], ~sure[:-1])) & sure  # dotted and solid line meet there
    panel.plot(n, np.where(sure & ~joint, np.nan, ratio), ":", color=color, lw=1.6, zorder=3)
    panel.plot(n, np.where(sure, ratio, np.nan), color=color, lw=1.8, zorder=3)
    panel.plot(n[-1:], ratio[-1:], "o", color=color, markersize=4, clip_on=False, zorder=4)
    panel.text(
        0.97,
        0.95,
        verdict if verdict == SearchVerdict.UNKNOWN else f"+{float(quality['gain']):.0%}",
        transform=panel.transAxes,
        ha="right",
        va="top",
        fontsize=SMALL + 0.5,
        color=color,
    )


def _legend(data: pd.DataFrame, verdicts: pd.DataFrame) -> list[Artist]:
    shown = set(verdicts.loc[list(data["batch_size"].unique()), "search"])
    handles: list[Artist] = [
        key(str(verdict), color=color, lw=1.8, marker="o", markersize=4)
        for verdict, color in _COLORS.items()
        if str(verdict) in shown
    ]
    if (data["reach"] < LEAST_REACH).any():
        label = f"lower bound: < {LEAST_REACH:.0%} of samples reach the target"
        handles.append(key(label, color=INK, lw=1.6, ls=":"))
    handles.append(Patch(color=_SHADE, label="last doubling of trials (+x% steps without)"))
    if data["batch_size"].nunique() > 1:
        handles.append(key("other batch sizes", color=PALE, lw=0.9))
    return handles
