"""Studies side by side: their curves with fits, as they are or normalized, and their b_crit."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from analysis.comparison.compare import Compared, Comparison
from analysis.figures.comparison.data import B_CRIT
from analysis.figures.comparison.studies import side_by_side, study_keys, study_styles
from analysis.figures.drawing.colors import readable
from analysis.figures.drawing.marks import B_CRIT_SIGN, draw_estimate, label_estimate
from analysis.figures.drawing.series import (
    FIT,
    PERFECT,
    draw_series,
    perfect_line,
    series_keys,
    steps_axis_scale,
)
from analysis.figures.drawing.sheet import Sheet
from analysis.figures.drawing.ticks import batch_size_axis, label_axis
from analysis.measures.federated import batch_axis, steps_axis

_HEIGHT = 3.8
_ROW, _AXIS = 0.32, 0.5
# the bands of more studies hide each other
_MOST_BANDS = 4
# of a row, below the bar
_BELOW = 0.25


def draw_comparison(sheet: Sheet, data: pd.DataFrame, comparison: Comparison) -> None:
    """Draw the rows of `comparison_data`: the curves, and below them each b_crit."""
    studies = comparison.studies
    top, bottom = sheet.stack([_HEIGHT, _ROW * len(studies) + _AXIS], sharex=True)
    _draw_curves(top, data[data["series"] != B_CRIT], comparison)
    label_axis(top.yaxis, steps_axis(_configs(comparison)))
    _draw_b_crit(bottom, studies)
    label_axis(bottom.xaxis, batch_axis(_configs(comparison)))
    sheet.title(_title(comparison))
    sheet.legend(_legend(data, comparison))


def draw_normalised(sheet: Sheet, data: pd.DataFrame, comparison: Comparison) -> None:
    """Draw the rows of `normalised_data`."""
    to = comparison.normalisation
    axes = sheet.axes(_HEIGHT)
    _draw_curves(axes, data, comparison)
    fitted = " (fitted)" if not to.measured else ""
    label_axis(axes.yaxis, f"Steps relative to B = {to.batch_size}{fitted}")
    label_axis(axes.xaxis, batch_axis(_configs(comparison)))
    sheet.title(_title(comparison))
    sheet.legend(_legend(data, comparison))


def _configs(comparison: Comparison) -> list[Mapping[str, Any]]:
    return [study.analysis.study.config for study in comparison.studies]


def _draw_curves(axes: Axes, data: pd.DataFrame, comparison: Comparison) -> None:
    studies = comparison.studies
    points = data[~data["series"].isin([FIT, PERFECT])]
    batch_size_axis(axes, points["batch_size"])
    top = steps_axis_scale(axes, points)
    shifts = side_by_side([study.name for study in studies], points["batch_size"])
    for name, mark in study_styles(studies).items():
        own, band = data[data["study"] == name], len(studies) <= _MOST_BANDS
        draw_series(axes, own, top, band, shifts[name], **mark)
    line = data[data["series"] == PERFECT]
    axes.plot(line["batch_size"], line["steps"], **perfect_line())


def _title(comparison: Comparison) -> str:
    alone = [study.analysis for study in comparison.studies]
    workloads = {one.subject.partition(",")[0] for one in alone}
    what = f"{workloads.pop()}, validation" if len(workloads) == 1 else "Validation"
    targets = {analysis.target for analysis in alone}
    if len(targets) == 1:
        return f"{what} {comparison.quantity} < {targets.pop():g}"
    return f"{what} {comparison.quantity} to each study's own target"


def _draw_b_crit(axes: Axes, studies: Sequence[Compared]) -> None:
    """Draw the critical batch size of each study, one below the other."""
    axes.yaxis.set_visible(False)
    axes.spines["left"].set_visible(False)
    for place, (study, mark) in enumerate(
        zip(studies, study_styles(studies).values(), strict=True)
    ):
        height = 1 - (place + 1 - _BELOW) / len(studies)
        dark = readable(mark["color"])
        if study.b_crit is None:
            axes.text(
                0.5, height, f"no fit, no {B_CRIT_SIGN}", color=dark, ha="center", va="center",
                fontsize="small", transform=axes.transAxes,
            )  # fmt: skip
            continue
        draw_estimate(axes, height, study.b_crit, linestyle="", markersize=5, **mark)
        label_estimate(axes, height, study.b_crit, study.b_crit.text(B_CRIT_SIGN), dark)


def _legend(data: pd.DataFrame, comparison: Comparison) -> list[Line2D]:
    medians = "median over fresh seeds, 95% interval"
    measured = medians if comparison.medians else "fewest steps over trials"
    band = ", 95% band" if len(comparison.studies) <= _MOST_BANDS else ""
    studies = comparison.studies
    named = study_keys(studies, study_styles(studies))
    return [*named, *series_keys(set(data["series"]), measured, band)]
