"""Best of N: the fewest steps that fewer trials would have found, at each batch size."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.patches import Patch

from analysis.figures.drawing.colors import color, ink, pale, readable
from analysis.figures.drawing.kind import FigureKind
from analysis.figures.drawing.sheet import Sheet, key
from analysis.figures.drawing.ticks import log_axis
from analysis.fitting.estimates import percent
from analysis.measures.targets import search_trials
from analysis.report.summary import Analysis
from analysis.search_quality.best_of_n import MIN_REACH, SearchVerdict, best_of_n, search_sample
from analysis.search_quality.table import EVEN_ROLES

_PANEL = (11, 10)  # in font sizes
_PLACES: Mapping[SearchVerdict, int] = {
    SearchVerdict.SETTLED: 0,
    SearchVerdict.FALLING: 1,
    SearchVerdict.UNKNOWN: 4,
}
"""Index of a verdict's color in the cycle."""


def best_of_n_data(analysis: Analysis) -> pd.DataFrame:
    """Return the best-of-N curve of each batch size whose search reached the target.

    Returns:
        Columns batch_size, then n, reach, steps and median as in `best_of_n`, and ratio: steps
        relative to all trials. One row per batch size and n from 1 to its number of trials, at
        least 2; only some n if there are very many. No rows if the sampler is adaptive, because
        its trials are not a random sample.
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


def _draw(sheet: Sheet, data: pd.DataFrame, analysis: Analysis) -> None:
    sizes = sorted(data["batch_size"].unique())
    verdicts = analysis.search.set_index("batch_size")
    names = [_name(size, verdicts.loc[size]) for size in sizes]
    panels = sheet.grid(names, _PANEL, "Trials n", sharex=True, sharey=True)
    _scale(panels[0], data)
    for panel, size in zip(panels, sizes, strict=True):
        own = color(_PLACES[_verdict(verdicts.loc[size])])
        panel.title.set_color(readable(own))
        _draw_panel(panel, data, size, own)
    sheet.label_y("Fewest steps of n trials, relative to all")
    sheet.title(analysis.title)
    sheet.legend(_legend(data, verdicts))


def _verdict(quality: "pd.Series[float]") -> SearchVerdict:
    return SearchVerdict(str(quality["search"]))


def _name(size: int, quality: "pd.Series[float]") -> str:
    if _verdict(quality) is SearchVerdict.UNKNOWN:
        return f"B = {size}"
    return f"B = {size}: +{percent(float(quality['gain']))}"


def _scale(panel: Axes, data: pd.DataFrame) -> None:
    log_axis(panel.xaxis, 1, float(data["n"].max()) * 1.15, least=3)
    top = max(float(data["ratio"].max()), 1.1) ** 1.12
    log_axis(panel.yaxis, 1, top, least=3)
    panel.set_ylim(bottom=1 / top**0.07)  # room for the line at 1, and no tick below it


def _draw_panel(panel: Axes, data: pd.DataFrame, size: int, own: str) -> None:
    # the others as one line with gaps: many lines would be slow to draw
    others = data[data["batch_size"] != size]
    begins = np.flatnonzero(others["n"] == 1)
    lines = (np.insert(others[name].to_numpy(float), begins, np.nan) for name in ("n", "ratio"))
    panel.plot(*lines, color=pale(0.83), lw=0.6, zorder=1)
    curve = data[data["batch_size"] == size]
    n, ratio = curve["n"].to_numpy(float), curve["ratio"].to_numpy(float)
    panel.axvspan(n[-1] / 2, n[-1], color=pale(0.93), lw=0, zorder=0)
    sure = curve["reach"].to_numpy(float) >= MIN_REACH
    joint = np.concatenate(([False], ~sure[:-1])) & sure  # of the dotted and the solid line
    panel.plot(n, np.where(sure & ~joint, np.nan, ratio), ":", color=own, zorder=3)
    panel.plot(n, np.where(sure, ratio, np.nan), color=own, zorder=3)
    panel.plot(n[-1:], ratio[-1:], "o", color=own, markersize=4, clip_on=False, zorder=4)


def _legend(data: pd.DataFrame, verdicts: pd.DataFrame) -> list[Artist]:
    shown = set(verdicts.loc[list(data["batch_size"].unique()), "search"])
    handles: list[Artist] = [
        key(str(verdict), color=color(place), marker="o", markersize=4)
        for verdict, place in _PLACES.items()
        if str(verdict) in shown
    ]
    if (data["reach"] < MIN_REACH).any():
        label = f"lower bound: < {MIN_REACH:.0%} of samples reach the target"
        handles.append(key(label, color=ink(), ls=":"))
    handles.append(Patch(color=pale(0.93), label="last doubling of trials (+x%: steps without it)"))
    if data["batch_size"].nunique() > 1:
        handles.append(key("other batch sizes", color=pale(0.73), lw=0.9))
    return handles


BEST_OF_N = FigureKind(
    data=best_of_n_data,
    draw=_draw,
    needs="a non-adaptive search of 2 trials or more that reached the target",
)
