"""The figures of a comparison by name; a study has the same color and marker in all of them."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analysis.comparison.compare import Compared, Comparison
from analysis.comparison.fixed_epochs import fixed_epochs
from analysis.escaping import escape_math
from analysis.figures.drawing.colors import OKABE_ITO, color, ramp, readable
from analysis.figures.drawing.kind import FigureKind, draw_named
from analysis.figures.drawing.marks import B_CRIT_SIGN, draw_estimate, label_estimate
from analysis.figures.drawing.series import (
    FIT,
    LEFT_OUT,
    MEASURED,
    NOT_REACHED,
    PERFECT,
    curve_sizes,
    draw_series,
    fit_note,
    perfect_line,
    series_keys,
    series_rows,
    steps_axis_scale,
)
from analysis.figures.drawing.sheet import Sheet, key
from analysis.figures.drawing.ticks import batch_size_axis, label_axis, log_axis
from analysis.measures.federated import batch_axis, steps_axis

B_CRIT = "b_crit"
_HEIGHT = 3.8
_EPOCHS_HEIGHT, _EPOCHS_MARGIN = 3.6, 1.2
_ROW, _AXIS = 0.32, 0.5
_MAX_BANDS = 4  # bands of more studies would hide each other
_BELOW = 0.25  # share of a row below the bar
_MARKERS = "osDvp"
_SPREAD = 0.2  # of all studies' points, as a share of the distance between two batch sizes


def comparison_data(comparison: Comparison) -> pd.DataFrame:
    """Return points, curves and critical batch sizes of all studies.

    Returns:
        Columns study, label, series, batch_size, steps, low, high. Series `measured`: low and high
        are the interval of the median, if medians are compared; `not reached`: steps is a lower
        bound; `left out`: one that no curve explains; `fit`: the hyperbola over the study's batch
        sizes, low and high are its band; `b_crit`: batch_size, low and high are its value and
        interval, null if unbounded.
    """
    parts = [_series(study, 1.0, comparison.medians) for study in comparison.studies]
    return pd.concat([*parts, *map(_b_crit_row, comparison.studies)], ignore_index=True)


def normalised_data(comparison: Comparison) -> pd.DataFrame:
    """Return points and curves with each study's steps divided by its `normalisation`.

    Returns:
        As `comparison_data` without b_crit, and the line of perfect scaling. No rows if the
        comparison has no normalisation.
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
        table = study.analysis.table.set_index("batch_size")[["low", "high"]].astype(float)
        ends = table.reindex(points.batch_sizes.astype(int)).to_numpy()
        ends[points.missed] = np.nan
        parts[0][["low", "high"]] = ends
    if study.fit is not None:
        at = curve_sizes(points.batch_sizes)
        low, high = study.fit.band(at)
        parts.append(series_rows(FIT, at, study.fit.predict(at), low=low, high=high))
    data = pd.concat(parts, ignore_index=True).reindex(
        columns=["series", "batch_size", "steps", "low", "high"]
    )
    data[["steps", "low", "high"]] /= divisor
    return _of_study(study, data)


def _b_crit_row(study: Compared) -> pd.DataFrame:
    ends = {} if study.b_crit is None else study.b_crit.record()
    value, low, high = ([ends.get(name)] for name in ("value", "low", "high"))
    return _of_study(study, series_rows(B_CRIT, value, [None], low=low, high=high))


def _of_study(study: Compared, rows: pd.DataFrame) -> pd.DataFrame:
    rows.insert(0, "study", study.name)
    rows.insert(1, "label", study.label)
    return rows


def _draw_comparison(sheet: Sheet, data: pd.DataFrame, comparison: Comparison) -> None:
    studies = comparison.studies
    top, bottom = sheet.stack([_HEIGHT, _ROW * len(studies) + _AXIS], sharex=True)
    _draw_curves(top, data[data["series"] != B_CRIT], comparison)
    label_axis(top.yaxis, steps_axis(_configs(comparison)))
    _draw_b_crit(bottom, studies)
    label_axis(bottom.xaxis, batch_axis(_configs(comparison)))
    sheet.title(_title(comparison))
    sheet.legend(_legend(data, comparison))


def _draw_normalised(sheet: Sheet, data: pd.DataFrame, comparison: Comparison) -> None:
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
    shifts = _side_by_side([study.name for study in studies], points["batch_size"])
    for name, mark in _study_styles(studies).items():
        own, band = data[data["study"] == name], len(studies) <= _MAX_BANDS
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
    """Draw the critical batch sizes of the studies below one another."""
    axes.yaxis.set_visible(False)
    axes.spines["left"].set_visible(False)
    marks = _study_styles(studies).values()
    for place, (study, mark) in enumerate(zip(studies, marks, strict=True)):
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
    band = fit_note(*(study.fits for study in comparison.studies if study.fits is not None))
    band += ", 95% band" if len(comparison.studies) <= _MAX_BANDS else ""
    studies = comparison.studies
    named = _study_keys(studies, _study_styles(studies))
    return [*named, *series_keys(set(data["series"]), measured, band)]


def _draw_epochs(sheet: Sheet, data: pd.DataFrame, comparison: Comparison) -> None:
    shown = [study for study in comparison.studies if study.name in set(data["study"])]
    axes = sheet.axes(_EPOCHS_HEIGHT)
    batch_size_axis(axes, data["batch_size"])
    low, high = float(data["low"].min()), float(data["high"].max())
    if low > 0:  # an error of 0 has no logarithm
        log_axis(axes.yaxis, low / _EPOCHS_MARGIN, high * _EPOCHS_MARGIN)
    styles = _study_styles(comparison.studies)
    shifts = _side_by_side([study.name for study in shown], data["batch_size"])
    for name, shift in shifts.items():
        points = data[data["study"] == name]
        axes.errorbar(
            points["batch_size"] * shift,
            points["error"],
            yerr=[points["error"] - points["low"], points["high"] - points["error"]],
            fmt="-",
            lw=1.3,
            elinewidth=0.9,
            markersize=4.5,
            **styles[name],
        )
    label_axis(axes.xaxis, "Batch size (examples)")
    label_axis(axes.yaxis, f"Lowest validation {comparison.quantity}")
    epochs = data["epochs"].iloc[0]
    sheet.title(f"Within {epochs:g} epochs: median over seeds, bars from best to worst")
    sheet.legend(_study_keys(shown, styles))


def _study_styles(studies: Sequence[Compared]) -> Mapping[str, Mapping[str, Any]]:
    """Return the color and marker of each study by its name."""
    few = len(studies) <= len(OKABE_ITO)
    colors = [color(place) for place in range(len(studies))] if few else ramp(len(studies))
    return {
        study.name: {"color": colors[place], "marker": _MARKERS[place % len(_MARKERS)]}
        for place, study in enumerate(studies)
    }


def _study_keys(
    studies: Sequence[Compared], styles: Mapping[str, Mapping[str, Any]]
) -> list[Line2D]:
    # labels without the sections of their keys
    names = {study.name: re.sub(r"(?:\w+\.)+(?=\w+ = )", "", study.label) for study in studies}
    return [key(escape_math(label), **styles[name]) for name, label in names.items()]


def _side_by_side(names: Sequence[str], sizes: "pd.Series[Any]") -> Mapping[str, float]:
    """Return factors by which to shift the points of each study, so that no interval is hidden."""
    distinct = pd.Series(sorted(set(sizes.astype(float))))
    nearest = float((distinct / distinct.shift()).min()) if len(distinct) > 1 else 2.0
    middle = (len(names) - 1) / 2
    step = _SPREAD / max(len(names) - 1, 1)
    return {name: nearest ** (step * (place - middle)) for place, name in enumerate(names)}


COMPARISON_FIGURES: Mapping[str, FigureKind[Comparison]] = {
    "comparison": FigureKind(data=comparison_data, draw=_draw_comparison, needs="two studies"),
    "comparison_normalised": FigureKind(
        data=normalised_data,
        draw=_draw_normalised,
        needs="a batch size that all studies reached, or a fit of each",
    ),
    "comparison_epochs": FigureKind(
        data=fixed_epochs,
        draw=_draw_epochs,
        needs="two studies whose trials run to a budget of epochs",
    ),
}
"""All figures of a comparison by name, the stem of their files."""


def draw(comparison: Comparison, name: str = "comparison", ax: Axes | None = None) -> Figure:
    """Return one of the `COMPARISON_FIGURES`; nothing is written."""
    return draw_named(COMPARISON_FIGURES, name, comparison, ax)
