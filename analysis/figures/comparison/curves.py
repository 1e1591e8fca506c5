"""Studies side by side: their curves with fits, as they are or normalized, and their b_crit."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from analysis.comparison.compare import Compared, Comparison
from analysis.figures.comparison.studies import side_by_side, study_keys, study_styles
from analysis.figures.drawing.colors import readable
from analysis.figures.drawing.marks import B_CRIT_SIGN, draw_estimate, label_estimate
from analysis.figures.drawing.series import (
    FIT,
    LEFT_OUT,
    MEASURED,
    NOT_REACHED,
    PERFECT,
    curve_sizes,
    draw_series,
    perfect_line,
    series_keys,
    series_rows,
    steps_axis_scale,
    through,
)
from analysis.figures.drawing.sheet import Sheet
from analysis.figures.drawing.ticks import batch_size_axis, label_axis
from analysis.measures.federated import batch_axis, steps_axis

B_CRIT = "b_crit"
_HEIGHT = 3.8
_ROW, _AXIS = 0.32, 0.5
# the bands of more studies hide each other
_MOST_BANDS = 4
# of a row, below the bar
_BELOW = 0.25


def comparison_data(comparison: Comparison) -> pd.DataFrame:
    """Return points, curves and critical batch sizes of all studies.

    Returns:
        Columns study, label, series, batch_size, steps, low, high. Series `measured`: low and high
        are the interval of the median, where medians are compared; `not reached`: steps is a lower
        bound; `left out`: one that no curve explains; `fit`: the hyperbola over the study's batch
        sizes, low and high are its band; `b_crit`: batch_size, low and high are its value and
        interval, null without bound.
    """
    parts = [_series(study, 1.0, comparison.medians) for study in comparison.studies]
    return pd.concat([*parts, *map(_b_crit_row, comparison.studies)], ignore_index=True)


def normalised_data(comparison: Comparison) -> pd.DataFrame:
    """Return points and curves with each study's steps divided by its `normalisation`.

    Returns:
        As `comparison_data` without b_crit, and the line of perfect scaling from there. No rows
        where the comparison has no normalisation.
    """
    to = comparison.normalisation
    if to.batch_size is None:
        return pd.DataFrame()
    parts = [_series(study, to.by[study.name], comparison.medians) for study in comparison.studies]
    sizes = comparison.table["batch_size"]
    at = np.array([float(sizes.min()), float(sizes.max())])
    parts.append(series_rows(PERFECT, at, to.batch_size / at))
    return pd.concat(parts, ignore_index=True)


def _series(study: Compared, divisor: float, medians: bool) -> pd.DataFrame:
    points = study.points
    kind = np.where(points.missed, NOT_REACHED, MEASURED)
    if study.fit is not None:
        kind = np.where(points.out_of_reach(), LEFT_OUT, kind)
    columns = {"series": kind, "batch_size": points.batch_sizes, "steps": points.steps}
    parts = [pd.DataFrame(columns)]
    if medians:
        ends = study.analysis.table.set_index("batch_size")[["low", "high"]].astype(float)
        shown = ends.reindex(points.batch_sizes.astype(int)).to_numpy()
        shown[points.missed] = np.nan
        parts[0][["low", "high"]] = shown
    if study.fit is not None:
        at = curve_sizes(points.batch_sizes)
        low, high = study.fit.band(at)
        parts.append(series_rows(FIT, at, study.fit.predict(at), low=low, high=high))
    data = pd.concat(parts, ignore_index=True).reindex(
        columns=["series", "batch_size", "steps", "low", "high"]
    )
    data[["steps", "low", "high"]] /= divisor
    data.insert(0, "study", study.name)
    data.insert(1, "label", study.label)
    return data


def _b_crit_row(study: Compared) -> pd.DataFrame:
    ends = {} if study.b_crit is None else study.b_crit.record()
    row = {
        "study": study.name,
        "label": study.label,
        "series": B_CRIT,
        "batch_size": ends.get("value"),
        "steps": None,
        "low": ends.get("low"),
        "high": ends.get("high"),
    }
    numbers = dict.fromkeys(("batch_size", "steps", "low", "high"), "float64")
    return pd.DataFrame([row]).astype(numbers)


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
    band = through(*(study.points for study in comparison.studies))
    band += ", 95% band" if len(comparison.studies) <= _MOST_BANDS else ""
    studies = comparison.studies
    named = study_keys(studies, study_styles(studies))
    return [*named, *series_keys(set(data["series"]), measured, band)]
