"""Steps to target against batch size: points, fitted curve, regimes and critical batch size."""

import math
from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.escaping import escape_math
from analysis.figures.drawing.axes import base_two_y, batch_size_axis, legend_below, single_axes
from analysis.figures.drawing.series import (
    FIT,
    MEASURED,
    NOT_REACHED,
    PERFECT,
    curve_sizes,
    draw_misses,
    error_bars,
    series_rows,
)
from analysis.figures.drawing.style import BLUE, GRAY, INK, ORANGE, SMALL, style
from analysis.fitting.fit import ScalingFit
from analysis.fitting.models import hyperbola
from analysis.fitting.regimes import Regime, Regimes
from analysis.measures.federated import batch_axis, steps_axis
from analysis.measures.recipes import follows_rule
from analysis.report.summary import Analysis

MEDIAN = "median"
_FEWEST = "fewest steps over trials"
_LABELS = {
    MEASURED: f"{_FEWEST} (bar: evaluation before)",
    MEDIAN: "median over fresh seeds, 95% interval",
    NOT_REACHED: "target not reached (lower bound)",
    FIT: "fit, 95% band",
    PERFECT: PERFECT,
}
_SHADES = {Regime.PERFECT: "#E3EFF7", Regime.DIMINISHING: "#F1F0EC", Regime.PLATEAU: "#FBEADF"}
# shares of the height of the axes: room for the regimes' names on top, least height of b_crit's bar
_HEADROOM = 0.14
_LOWEST_B_CRIT = 0.55
_LINE = 0.05
# inches: width of the axes, and widths from which a regime's name fits on one line, on two, small
_AXES_INCHES = 5.6
_ONE_LINE = 1.5
_NAME = 0.85
_SMALL_NAME = 0.66


def steps_data(analysis: Analysis) -> pd.DataFrame:
    """Return points, misses, the curve of least AICc and the line of perfect scaling.

    Returns:
        Columns series, batch_size, steps, low, high. Series `measured`: low and high are the last
        measurement above the target and the first below; `median`: of the replicates, with its
        interval; `not reached`: steps is a lower bound, the longest trial; `fit`: with its band;
        `perfect scaling`: the line through the first point.
    """
    table, reached = analysis.table, analysis.reached
    # a batch size where no trial took a step has no bound to show
    missed = table[table["steps"].isna() & (table["stopped_at"] > 0)]
    steps = reached["steps"]
    bracket = {"low": reached["steps_before"], "high": steps}
    measured = series_rows(MEASURED, reached["batch_size"], steps, **bracket)
    again = reached[reached["steps_median"].notna()]
    interval = {end: again[end].to_numpy(float, na_value=np.nan) for end in ("low", "high")}
    medians = series_rows(MEDIAN, again["batch_size"], again["steps_median"], **interval)
    parts = [
        measured,
        medians,
        series_rows(NOT_REACHED, missed["batch_size"], missed["stopped_at"]),
    ]
    curve_at = curve_sizes(table["batch_size"])
    if analysis.fits is not None:
        best = analysis.fits.best
        low, high = best.band(curve_at)
        parts.append(series_rows(FIT, curve_at, best.predict(curve_at), low=low, high=high))
    points = medians if len(medians) else measured
    if len(points):
        examples = float(points["batch_size"].iloc[0] * points["steps"].iloc[0])
        parts.append(series_rows(PERFECT, curve_at, hyperbola(curve_at, 0.0, examples)))
    return pd.concat([part for part in parts if len(part)], ignore_index=True).reindex(
        columns=["series", "batch_size", "steps", "low", "high"]
    )


def draw_steps(data: pd.DataFrame, analysis: Analysis) -> Figure:
    """Draw the rows of `steps_data` with regimes and critical batch size, on logarithmic axes."""
    with style():
        figure, axes = single_axes(4.4)
        _scale(axes, data)
        labels = _labels(analysis)
        _draw_series(axes, data, labels)
        if analysis.regimes is not None:
            _draw_regimes(axes, analysis.regimes)
        if analysis.fit is not None:
            _draw_b_crit(axes, analysis.fit, _of_hyperbola(analysis))
        axes.set_title(escape_math(analysis.title))
        axes.set_xlabel(batch_axis([analysis.study.config]))
        axes.set_ylabel(steps_axis([analysis.study.config]))
        handles, names = axes.get_legend_handles_labels()
        by_name = dict(zip(names, handles, strict=True))
        shown = [by_name[label] for label in labels.values() if label in by_name]
        legend_below(figure, shown, columns=2)
    return figure


def _scale(axes: Axes, data: pd.DataFrame) -> None:
    points = data[data["series"].isin([MEASURED, MEDIAN, NOT_REACHED])]
    bottom, top = points["steps"].min() / 1.9, points["steps"].max() * 1.2
    top *= (top / bottom) ** (_HEADROOM / (1 - _HEADROOM))
    batch_size_axis(axes, points["batch_size"])
    base_two_y(axes, bottom, top)


def _labels(analysis: Analysis) -> Mapping[str, str]:
    """Return the label of each series; that of the fit names its model."""
    if analysis.fits is None:
        return _LABELS
    labels = {**_LABELS, FIT: f"{analysis.fits.best.model.name} {_LABELS[FIT]}"}
    if analysis.table["steps_median"].notna().any():
        seeds = follows_rule(analysis.study)
        labels[MEASURED] = "fewest steps over fresh seeds" if seeds else _FEWEST
    return labels


def _of_hyperbola(analysis: Analysis) -> str:
    """Return whose b_crit is marked, where another curve is drawn."""
    drawn_too = analysis.fits is None or analysis.fits.best is analysis.fit
    return "" if drawn_too else "of the hyperbola"


def _draw_series(axes: Axes, data: pd.DataFrame, labels: Mapping[str, str]) -> None:
    series = dict(iter(data.groupby("series")))
    fitted = MEDIAN if MEDIAN in series else MEASURED
    for name in (MEASURED, MEDIAN):
        if name in series:
            _draw_points(axes, series[name], labels[name], prominent=name == fitted)
    if NOT_REACHED in series:
        label = labels[NOT_REACHED]
        draw_misses(axes, series[NOT_REACHED], 7, color=BLUE, zorder=5, label=label)
    if FIT in series:
        curve = series[FIT]
        ends = curve["low"], curve["high"]
        axes.fill_between(curve["batch_size"], *ends, color=ORANGE, alpha=0.22, lw=0)
        axes.plot(curve["batch_size"], curve["steps"], color=ORANGE, zorder=4, label=labels[FIT])
    if PERFECT in series:
        line = series[PERFECT]
        (drawn,) = axes.plot(line["batch_size"], line["steps"], "--", color=GRAY, lw=1.1, zorder=3)
        drawn.set_label(labels[PERFECT])


def _draw_points(axes: Axes, points: pd.DataFrame, label: str, prominent: bool) -> None:
    """Draw points with their bars; small, open and without bars where they are not fitted."""
    axes.errorbar(
        points["batch_size"],
        points["steps"],
        yerr=error_bars(points),
        fmt="o",
        color=BLUE,
        markersize=5.5 if prominent else 4.0,
        markerfacecolor=BLUE if prominent else "white",
        markeredgecolor="white" if prominent else BLUE,
        markeredgewidth=0.6 if prominent else 1.0,
        elinewidth=1.2 if prominent else 0.0,
        capsize=2.5 if prominent else 0.0,
        zorder=6 if prominent else 5,
        label=label,
    )


def _draw_regimes(axes: Axes, regimes: Regimes) -> None:
    left, right = axes.get_xlim()
    spans = regimes.spans()
    for index, span in enumerate(spans):
        if span.regime is Regime.NOT_RESOLVED:
            continue
        low = left if index == 0 else span.low
        high = right if index == len(spans) - 1 else span.high
        axes.axvspan(low, high, color=_SHADES[span.regime], lw=0, zorder=0)
        inches = math.log(high / low) / math.log(right / left) * _AXES_INCHES
        upright = inches < _SMALL_NAME
        one_line = upright or inches > _ONE_LINE
        axes.text(
            math.sqrt(low * high),
            0.975,
            str(span.regime) if one_line else str(span.regime).replace(" ", "\n"),
            transform=axes.get_xaxis_transform(),
            ha="center",
            va="top",
            rotation=90 if upright else 0,
            fontsize=SMALL if inches > _NAME else SMALL - 1.5,
            color=INK,
            linespacing=1.1,
        )


def _draw_b_crit(axes: Axes, fit: ScalingFit, whose: str) -> None:
    left, right = axes.get_xlim()
    low, high = max(fit.b_crit.low, left), min(fit.b_crit.high, right)
    at = _height_above(axes, fit, min(low, right)) - (_LINE if whose else 0.0)
    place = axes.get_xaxis_transform()
    if left < fit.b_crit.value < right:
        axes.plot([fit.b_crit.value] * 2, [0, at], color=INK, lw=1, transform=place, zorder=2)
    if low < high:
        axes.plot([low, high], [at] * 2, color=INK, lw=1.8, transform=place, zorder=2)
    label = fit.b_crit.text(r"$b_\mathrm{crit}$")
    if fit.b_crit.value > right:
        label += " \N{RIGHTWARDS ARROW}"
    if whose:
        label += f"\n{whose}"
    rightwards = low < math.sqrt(left * right)
    axes.text(
        low if rightwards else min(high, right / 1.05),
        at + 0.02,
        label,
        transform=place,
        ha="left" if rightwards else "right",
        va="bottom",
        fontsize=SMALL + 0.5,
        color=INK,
    )


def _height_above(axes: Axes, fit: ScalingFit, batch_size: float) -> float:
    """Return a height above the curve from a batch size on, as a share of the axes."""
    bottom, top = axes.get_ylim()
    share = math.log(float(fit.predict(batch_size)) / bottom) / math.log(top / bottom)
    return min(max(share + 0.12, _LOWEST_B_CRIT), 1 - _HEADROOM - 0.08)
