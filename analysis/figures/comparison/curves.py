"""Studies side by side: their curves with fits, as they are or normalized, and their b_crit."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.comparison.compare import Compared, Comparison
from analysis.escaping import escape_math
from analysis.figures.comparison.data import B_CRIT
from analysis.figures.comparison.studies import study_styles
from analysis.figures.drawing.axes import base_two_y, batch_size_axis, legend_below, single_axes
from analysis.figures.drawing.labels import EndLabel, label_ends
from analysis.figures.drawing.series import FIT, PERFECT, draw_series, series_keys
from analysis.figures.drawing.style import GRAY, SMALL, WIDTH, style
from analysis.measures.federated import batch_axis, steps_axis

_HEIGHT = 4.3
_AXES_INCHES = 3.6
_ROW_INCHES = 0.24
# the bands of more studies hide each other
_MOST_BANDS = 4
# an interval may widen the axis of steps by this factor beyond all points
_BEYOND = 4
# an interval that ends before this share of the axes has room for a label on its right
_RIGHTWARDS = 0.75


def draw_comparison(data: pd.DataFrame, comparison: Comparison) -> Figure:
    """Draw the rows of `comparison_data`: the curves, and below them each b_crit."""
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
        _add_legend(figure, data, comparison)
    return figure


def draw_normalised(data: pd.DataFrame, comparison: Comparison) -> Figure:
    """Draw the rows of `normalised_data`."""
    to = comparison.normalisation
    with style():
        figure, axes = single_axes(_HEIGHT)
        _draw_curves(axes, data, comparison)
        fitted = " (fitted)" if not to.measured else ""
        axes.set_ylabel(f"Steps relative to the study's own at B = {to.batch_size}{fitted}")
        axes.set_xlabel(batch_axis(_configs(comparison)))
        _add_legend(figure, data, comparison)
    return figure


def _configs(comparison: Comparison) -> list[Mapping[str, Any]]:
    return [study.analysis.study.config for study in comparison.studies]


def _draw_curves(axes: Axes, data: pd.DataFrame, comparison: Comparison) -> None:
    studies = comparison.studies
    _scale(axes, data[data["series"] != PERFECT])
    for study in studies:
        mark = study_styles(studies)[study.name]
        own = data[data["study"] == study.name]
        draw_series(axes, own, mark.color, mark.marker, len(studies) <= _MOST_BANDS)
    line = data[data["series"] == PERFECT]
    axes.plot(line["batch_size"], line["steps"], "--", color=GRAY, lw=1.1, zorder=2)
    _label(axes, data, studies)
    axes.set_title(_title(comparison))


def _title(comparison: Comparison) -> str:
    alone = [study.analysis for study in comparison.studies]
    workloads = {escape_math(one.subject.partition(",")[0]) for one in alone}
    what = f"{workloads.pop()}, validation" if len(workloads) == 1 else "Validation"
    targets = {analysis.target for analysis in alone}
    if len(targets) == 1:
        return f"{what} {comparison.quantity} < {targets.pop():g}"
    return f"{what} {comparison.quantity} to each study's own target"


def _scale(axes: Axes, data: pd.DataFrame) -> None:
    shown = data.loc[data["series"] != FIT, ["steps", "low", "high"]]
    # an interval that two seeds leave open would squeeze everything else into a line
    least, most = shown["steps"].min() / _BEYOND, shown["steps"].max() * _BEYOND
    bottom = max(float(shown.min().min()), float(least)) / 1.4
    top = min(float(shown.max().max()), float(most)) * 1.4
    batch_size_axis(axes, data["batch_size"])
    base_two_y(axes, bottom, top)


def _label(axes: Axes, data: pd.DataFrame, studies: Sequence[Compared]) -> None:
    """Write each study's label on the right, with a dotted line to a curve that ends early."""
    ends = {}
    for study in studies:
        own = data[data["study"] == study.name]
        drawn = own[own["series"] == FIT] if FIT in set(own["series"]) else own
        if len(drawn):
            ends[study.name] = drawn.sort_values("batch_size").iloc[-1]
    last = max(float(end["batch_size"]) for end in ends.values())
    labels = []
    for name, end in ends.items():
        color, steps = study_styles(studies)[name].color, float(end["steps"])
        axes.plot([end["batch_size"], last], [steps] * 2, ":", color=color, lw=0.9, zorder=1)
        text = escape_math(_short(str(end["label"])))
        labels.append(EndLabel(text=text, color=color, x=last, y=steps))
    lines = max(label.text.count("\n") + 1 for label in labels)
    label_ends(axes, labels, _AXES_INCHES / lines)


def _short(label: str) -> str:
    """Return a label without the sections of its keys, each key on a line of its own."""
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
        mark, fit = study_styles(studies)[name], fits[name]
        open_low, open_high = math.isnan(low), math.isnan(high)
        start = left if open_low else min(max(low, left), right)
        stop = right if open_high else min(max(high, left), right)
        if not (open_low and open_high):
            axes.plot([start, stop], [row] * 2, color=mark.color, lw=2.2, solid_capstyle="butt")
            if open_low or low < left:
                axes.plot([left], [row], "<", color=mark.color, markersize=5, clip_on=False)
            if open_high or high > right:
                axes.plot([right], [row], ">", color=mark.color, markersize=5, clip_on=False)
        if left < value < right:
            axes.plot([value], [row], mark.marker, color=mark.color, markersize=6)
        label = "no fit" if fit is None else fit.b_crit.text(r"$b_\mathrm{crit}$")
        rightwards = math.log(stop / left) < _RIGHTWARDS * math.log(right / left)
        at, side = (stop, 1) if rightwards else (start, -1)
        if open_low and open_high:
            at, side = math.sqrt(left * right), 0
        axes.annotate(
            label,
            (at, row),
            xytext=(7 * side, 0),
            textcoords="offset points",
            ha={1: "left", 0: "center", -1: "right"}[side],
            va="center",
            color=mark.color,
            fontsize=SMALL,
        )


def _add_legend(figure: Figure, data: pd.DataFrame, comparison: Comparison) -> None:
    measured = "median over fresh seeds" if comparison.medians else "fewest steps over trials"
    band = ", 95% band" if len(comparison.studies) <= _MOST_BANDS else ""
    legend_below(figure, series_keys(set(data["series"]), measured, band))
