"""Studies side by side: their curves with fits, as they are or normalised, and their b_crit."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analysis.comparison.compare import Compared, Comparison
from analysis.comparison.fixed_epochs import fixed_epochs
from analysis.escaping import unmathematical
from analysis.figures.comparison_data import B_CRIT, comparison_data, normalised_data
from analysis.figures.epochs import draw_epochs
from analysis.figures.kind import FigureKind, draw_named, write_all
from analysis.figures.labels import EndLabel, label_ends
from analysis.figures.looks import Look, looks
from analysis.figures.series import FIT, MEASURED, NOT_REACHED, PERFECT, draw_misses
from analysis.figures.style import (
    GREY,
    INK,
    SMALL,
    WIDTH,
    power_of_two_ticks,
    style,
)
from analysis.measures.federated import batch_axis, steps_axis
from analysis.tables.folder import ResultsFolder

_HEIGHT = 4.3
_AXES_INCHES = 3.6
_ROW_INCHES = 0.24
# bands of more studies than these hide each other
_MOST_BANDS = 4
# how many times past all points the axis of steps follows an interval
_BEYOND = 4
# an interval that ends before this share of the axes has room for words on its right
_RIGHTWARDS = 0.75


def draw_comparison(data: pd.DataFrame, comparison: Comparison) -> Figure:
    """Draws the curves, and below them each b_crit with its interval.

    Args:
        data: what `comparison_data` gives.
        comparison: the comparison, for title and words.

    Returns:
        The figure.
    """
    studies = comparison.studies
    low_panel = _ROW_INCHES * (len(studies) + 0.6)
    with style():
        figure = Figure(figsize=(WIDTH, _HEIGHT + low_panel + 0.2), layout="constrained")
        top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=[_AXES_INCHES, low_panel])
        _draw_curves(top, data[data["series"] != B_CRIT], comparison)
        top.set_ylabel(steps_axis(_configs(comparison)))
        top.tick_params(labelbottom=False)
        _draw_b_crit(bottom, data[data["series"] == B_CRIT], studies)
        bottom.set_xlabel(batch_axis(_configs(comparison)))
        figure.legend(handles=_legend(data, comparison), loc="outside lower center", ncols=3)
    return figure


def draw_normalised(data: pd.DataFrame, comparison: Comparison) -> Figure:
    """Draws the curves divided by each study's own steps at one batch size.

    Args:
        data: what `normalised_data` gives, at least one row.
        comparison: the comparison, for title and words.

    Returns:
        The figure.
    """
    to = comparison.normalisation
    with style():
        figure = Figure(figsize=(WIDTH, _HEIGHT), layout="constrained")
        axes = figure.add_subplot()
        _draw_curves(axes, data, comparison)
        fitted = "" if to.measured else " by its fit"
        axes.set_ylabel(f"Steps / own steps at B = {to.batch_size}{fitted}")
        axes.set_xlabel(batch_axis(_configs(comparison)))
        figure.legend(handles=_legend(data, comparison), loc="outside lower center", ncols=3)
    return figure


def _configs(comparison: Comparison) -> list[Mapping[str, Any]]:
    return [study.analysis.study.config for study in comparison.studies]


def _draw_curves(axes: Axes, data: pd.DataFrame, comparison: Comparison) -> None:
    studies = comparison.studies
    _scale(axes, data[data["series"] != PERFECT])
    for study in studies:
        own = data[data["study"] == study.name]
        series = {str(name): rows for name, rows in own.groupby("series")}
        _draw_study(axes, series, looks(studies)[study.name], len(studies) <= _MOST_BANDS)
    line = data[data["series"] == PERFECT]
    axes.plot(line["batch_size"], line["steps"], "--", color=GREY, lw=1.1, zorder=2)
    _label(axes, data, studies)
    axes.set_title(_title(comparison), loc="left", pad=8)


def _title(comparison: Comparison) -> str:
    alone = [study.analysis for study in comparison.studies]
    workloads = {unmathematical(one.subject.partition(",")[0]) for one in alone}
    what = f"{workloads.pop()}, validation" if len(workloads) == 1 else "Validation"
    targets = {analysis.target for analysis in alone}
    if len(targets) == 1:
        return f"{what} {comparison.quantity} < {targets.pop():g}"
    return f"{what} {comparison.quantity} to each study's own target"


def _scale(axes: Axes, data: pd.DataFrame) -> None:
    left, right = float(data["batch_size"].min()) / 1.3, float(data["batch_size"].max()) * 1.3
    shown = data.loc[data["series"] != FIT, ["steps", "low", "high"]]
    # an interval that two seeds leave open would squeeze everything else into a line
    least, most = shown["steps"].min() / _BEYOND, shown["steps"].max() * _BEYOND
    bottom = max(float(shown.min().min()), float(least)) / 1.4
    top = min(float(shown.max().max()), float(most)) * 1.4
    axes.set_xscale("log", base=2)
    axes.set_yscale("log", base=2)
    axes.set_xlim(left, right)
    axes.set_ylim(bottom, top)
    power_of_two_ticks(axes.xaxis, left, right)
    power_of_two_ticks(axes.yaxis, bottom, top)


def _draw_study(axes: Axes, series: dict[str, pd.DataFrame], look: Look, band: bool) -> None:
    if FIT in series:
        curve = series[FIT]
        axes.plot(curve["batch_size"], curve["steps"], color=look.color, lw=1.5, zorder=4)
        if band:
            ends = curve["low"], curve["high"]
            axes.fill_between(curve["batch_size"], *ends, color=look.color, alpha=0.13, lw=0)
    if MEASURED in series:
        points = series[MEASURED]
        steps, low, high = (points[name] for name in ("steps", "low", "high"))
        axes.errorbar(
            points["batch_size"],
            steps,
            yerr=[(steps - low).clip(lower=0).fillna(0), (high - steps).clip(lower=0).fillna(0)],
            fmt=look.marker,
            color=look.color,
            markersize=5,
            markeredgecolor="white",
            markeredgewidth=0.5,
            elinewidth=1.0,
            zorder=5,
        )
    if NOT_REACHED in series:
        draw_misses(axes, series[NOT_REACHED], look.color, size=6.5, zorder=5)


def _label(axes: Axes, data: pd.DataFrame, studies: Sequence[Compared]) -> None:
    """Writes each study's label on the right, with a dotted line to a curve that ends early."""
    ends = {}
    for study in studies:
        own = data[data["study"] == study.name]
        drawn = own[own["series"] == FIT] if FIT in set(own["series"]) else own
        if len(drawn):
            ends[study.name] = drawn.sort_values("batch_size").iloc[-1]
    last = max(float(end["batch_size"]) for end in ends.values())
    labels = []
    for name, end in ends.items():
        color, steps = looks(studies)[name].color, float(end["steps"])
        axes.plot([end["batch_size"], last], [steps] * 2, ":", color=color, lw=0.9, zorder=1)
        text = unmathematical(_short(str(end["label"])))
        labels.append(EndLabel(text=text, color=color, x=last, y=steps))
    lines = max(label.text.count("\n") + 1 for label in labels)
    label_ends(axes, labels, _AXES_INCHES / lines)


def _short(label: str) -> str:
    """Gives a label without the sections of its keys, each key on a line of its own."""
    return re.sub(r", (?=\w+ = )", ",\n", re.sub(r"(?:\w+\.)+(?=\w+ = )", "", label))


def _draw_b_crit(axes: Axes, data: pd.DataFrame, studies: Sequence[Compared]) -> None:
    left, right = axes.get_xlim()
    axes.set_ylim(len(studies) - 0.4, -0.6)
    axes.yaxis.set_visible(False)
    axes.spines["left"].set_visible(False)
    fits = {study.name: study.fit for study in studies}
    for row, (name, value, low, high) in enumerate(
        data[["study", "batch_size", "low", "high"]].itertuples(index=False)
    ):
        look, fit = looks(studies)[name], fits[name]
        open_low, open_high = math.isnan(low), math.isnan(high)
        start = left if open_low else min(max(low, left), right)
        stop = right if open_high else min(max(high, left), right)
        if not (open_low and open_high):
            axes.plot([start, stop], [row] * 2, color=look.color, lw=2.2, solid_capstyle="butt")
            if open_low or low < left:
                axes.plot([left], [row], "<", color=look.color, markersize=5, clip_on=False)
            if open_high or high > right:
                axes.plot([right], [row], ">", color=look.color, markersize=5, clip_on=False)
        if left < value < right:
            axes.plot([value], [row], look.marker, color=look.color, markersize=6)
        words = "no fit" if fit is None else fit.b_crit.text(r"$b_\mathrm{crit}$")
        rightwards = math.log(stop / left) < _RIGHTWARDS * math.log(right / left)
        at, side = (stop, 1) if rightwards else (start, -1)
        if open_low and open_high:
            at, side = math.sqrt(left * right), 0
        axes.annotate(
            words,
            (at, row),
            xytext=(7 * side, 0),
            textcoords="offset points",
            ha={1: "left", 0: "center", -1: "right"}[side],
            va="center",
            color=look.color,
            fontsize=SMALL,
        )


def _legend(data: pd.DataFrame, comparison: Comparison) -> list[Line2D]:
    measured = "median of fresh seeds" if comparison.medians else "fewest steps over trials"
    hyperbola = r"fit $S_\mathrm{min} + E_\mathrm{min}/B$"
    band = ", 95 % band" if len(comparison.studies) <= _MOST_BANDS else ""
    marks = {
        MEASURED: Line2D([], [], ls="", color=INK, marker="o", markersize=4.5, label=measured),
        NOT_REACHED: Line2D(
            [],
            [],
            ls="",
            color=INK,
            marker="^",
            markerfacecolor="white",
            label="not reached (lower bound)",
        ),
        FIT: Line2D([], [], color=INK, lw=1.5, label=f"{hyperbola}{band}"),
        PERFECT: Line2D([], [], color=GREY, lw=1.1, ls="--", label=PERFECT),
    }
    shown = set(data["series"])
    return [mark for name, mark in marks.items() if name in shown]


COMPARISON_FIGURES: Mapping[str, FigureKind[Comparison]] = {
    "comparison": FigureKind(data=comparison_data, draw=draw_comparison, needs="two studies"),
    "comparison_normalised": FigureKind(
        data=normalised_data,
        draw=draw_normalised,
        needs="a batch size that all studies reached, or a fit of each",
    ),
    "comparison_epochs": FigureKind(
        data=fixed_epochs,
        draw=draw_epochs,
        needs="two studies whose trials run to a budget of epochs",
    ),
}
"""All figures of a comparison by name, which is also the stem of their files."""


def draw(comparison: Comparison, name: str = "comparison") -> Figure:
    """Return the figure of that name in `COMPARISON_FIGURES`, without writing anything.

    Raises:
        AnalysisError: there is no figure of that name, or the studies lack the data for it.
    """  # noqa: DOC502  (raised inside)
    return draw_named(COMPARISON_FIGURES, name, comparison)


def write_comparison_figures(comparison: Comparison, folder: ResultsFolder) -> list[str]:
    """Write every figure that the comparison has data for: PNG, SVG and CSV.

    Returns:
        The names of the files written.
    """
    return write_all(COMPARISON_FIGURES, comparison, folder)
