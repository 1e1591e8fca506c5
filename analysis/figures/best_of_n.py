"""Best of N: the fewest steps that fewer trials would have found, at each batch size."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FixedLocator, NullLocator

from analysis.escaping import unmathematical
from analysis.figures.style import (
    BLUE,
    GREY,
    INK,
    ORANGE,
    PALE,
    PLAIN,
    SMALL,
    power_of_two_ticks,
    style,
)
from analysis.measures.targets import search_trials
from analysis.report.summary import Analysis
from analysis.search_quality.best_of_n import LEAST_REACH, SearchVerdict, best_of_n, search_sample
from analysis.search_quality.table import EVEN_ROLES

_PANEL = (1.6, 1.45)
_MOST_COLUMNS = 5
_FAINT = "#DADADA"
_SHADE = "#F1F0EC"
_TICKS = (1, 1.1, 1.2, 1.3, 1.4, 1.5, 1.75, 2, 2.5, 3, 4, 5, 7, 10, 20, 50, 100, 1000)
_MOST_TICKS = 5
_COLORS = {SearchVerdict.SETTLED: BLUE, SearchVerdict.FALLING: ORANGE, SearchVerdict.UNKNOWN: GREY}


def best_of_n_data(analysis: Analysis) -> pd.DataFrame:
    """Gives what the figure draws.

    Args:
        analysis: the analysis.

    Returns:
        One row per batch size that reached the target with its even sample of 2 trials or more,
        and n from 1 to its trials: batch_size, n, reach, steps, median as `best_of_n` gives them,
        and ratio, steps over those of all trials; no row where the sampler was adaptive.
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
    """Draws the curve of each batch size in a panel, before those of all others.

    Args:
        data: what `best_of_n_data` gives, at least one row.
        analysis: the analysis, for verdicts and the title.

    Returns:
        The figure.
    """
    sizes = sorted(data["batch_size"].unique())
    rows = -(-len(sizes) // _MOST_COLUMNS)
    columns = -(-len(sizes) // rows)
    with style():
        figure = Figure(
            figsize=(
                max(columns * _PANEL[0], 4.6) + 0.5,
                rows * _PANEL[1] + 1.2 + 0.6 * (rows == 1),
            ),
            layout="constrained",
        )
        panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
        _scale(panels[0], data)
        verdicts = analysis.search.set_index("batch_size")
        for panel, size in zip(panels, sizes, strict=False):
            _draw_panel(panel, data, size, verdicts.loc[size])
        for panel in panels[len(sizes) :]:
            panel.set_visible(False)
        for panel in panels[max(len(sizes) - columns, 0) : len(sizes)]:
            # above a gap in the last row too, where sharing takes the tick labels away
            panel.tick_params(labelbottom=True)
            panel.set_xlabel("Trials n", fontsize=SMALL + 0.5)
        figure.suptitle(unmathematical(analysis.title), fontsize=10.5, wrap=True)
        figure.supylabel("Expected fewest steps of n trials\nrelative to all trials", fontsize=9.5)
        figure.legend(
            handles=_legend(data, verdicts),
            loc="outside lower center",
            ncols=2 if columns > 3 else 1,
        )
    return figure


def _scale(panel: Axes, data: pd.DataFrame) -> None:
    most, highest = float(data["n"].max()), float(data["ratio"].max())
    panel.set_xscale("log", base=2)
    panel.set_yscale("log")
    panel.set_xlim(1, most * 1.15)
    power_of_two_ticks(panel.xaxis, 1, most * 1.15, most=4)
    top = max(highest, 1.1) ** 1.12
    panel.set_ylim(1 / top**0.07, top)
    ticks = [tick for tick in _TICKS if tick <= top]
    panel.yaxis.set_major_locator(FixedLocator(ticks[:: -(-len(ticks) // _MOST_TICKS)]))
    panel.yaxis.set_minor_locator(NullLocator())
    panel.yaxis.set_major_formatter(PLAIN)


def _draw_panel(panel: Axes, data: pd.DataFrame, size: int, verdict: "pd.Series[float]") -> None:
    for other, curve in data.groupby("batch_size"):
        if other != size:
            panel.plot(curve["n"], curve["ratio"].astype(float), color=_FAINT, lw=0.6, zorder=1)
    curve = data[data["batch_size"] == size]
    n, ratio = curve["n"].to_numpy(float), curve["ratio"].to_numpy(float)
    found = SearchVerdict(str(verdict["search"]))
    color = _COLORS[found]
    panel.axvspan(n[-1] / 2, n[-1], color=_SHADE, lw=0, zorder=0)
    sure = curve["reach"].to_numpy(float) >= LEAST_REACH
    last_loose = np.concatenate(([False], ~sure[:-1])) & sure  # where the dotted line ends
    panel.plot(n, np.where(sure & ~last_loose, np.nan, ratio), ":", color=color, lw=1.6, zorder=3)
    panel.plot(n, np.where(sure, ratio, np.nan), color=color, lw=1.8, zorder=3)
    panel.plot(n[-1:], ratio[-1:], "o", color=color, markersize=4, clip_on=False, zorder=4)
    panel.text(
        0.97,
        0.95,
        found if found == SearchVerdict.UNKNOWN else f"+{100 * float(verdict['gain']):.0f} %",
        transform=panel.transAxes,
        ha="right",
        va="top",
        fontsize=SMALL + 0.5,
        color=color,
    )
    panel.set_title(f"B = {size}", fontsize=SMALL + 0.5, pad=3)


def _legend(data: pd.DataFrame, verdicts: pd.DataFrame) -> list[Line2D | Patch]:
    shown = set(verdicts.loc[list(data["batch_size"].unique()), "search"])
    handles: list[Line2D | Patch] = [
        Line2D([], [], color=color, lw=1.8, marker="o", markersize=4, label=str(verdict))
        for verdict, color in _COLORS.items()
        if str(verdict) in shown
    ]
    if (data["reach"] < LEAST_REACH).any():
        words = f"lower bound: under {100 * LEAST_REACH:.0f} % of draws reach the target"
        handles.append(Line2D([], [], color=INK, lw=1.6, ls=":", label=words))
    handles.append(Patch(color=_SHADE, label="last doubling of trials: steps without it, +x %"))
    if data["batch_size"].nunique() > 1:
        handles.append(Line2D([], [], color=PALE, lw=0.9, label="other batch sizes"))
    return handles
