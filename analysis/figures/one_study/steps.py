"""Steps to target against batch size: points, bounds, curves, regimes and critical batch size."""

from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.patches import Patch

from analysis.figures.drawing.colors import color, ink, pale, paper, readable
from analysis.figures.drawing.kind import FigureKind
from analysis.figures.drawing.marks import B_CRIT_SIGN, draw_estimate, label_estimate
from analysis.figures.drawing.series import (
    BOUND,
    FIT,
    LEFT_OUT,
    LEFT_OUT_BOUND,
    MEASURED,
    NOT_REACHED,
    PERFECT,
    PERFECT_LINE,
    bound_rows,
    by_series,
    curve_sizes,
    draw_bounds,
    draw_points,
    fit_note,
    left_out_color,
    perfect_line,
    series_rows,
    steps_axis_scale,
)
from analysis.figures.drawing.sheet import Sheet, bound_key, key
from analysis.figures.drawing.ticks import batch_size_axis, inches, label_axis, token_axis
from analysis.fitting.critical import SEEDS
from analysis.fitting.estimates import Estimate
from analysis.fitting.fit import ScalingFit
from analysis.fitting.models import Floats
from analysis.fitting.regimes import Regime
from analysis.measures.federated import TOKENS, batch_axis, steps_axis
from analysis.measures.recipes import follows_rule
from analysis.measures.replicates import all_have_replicates
from analysis.report.summary import Analysis

MEDIAN = "median"
HYPERBOLA = "hyperbola"
"""Series of the hyperbola where another model is chosen; the chosen one is `fit`."""

_HEIGHT, _MORE = 4.0, 1.2
"""Height of the figure, and what an axis of tokens adds."""
_TOO_STEEP = (
    "An exponent above 1 is not a property of training: at a fixed point, steps cannot fall faster "
    "than 1/B. Tuning or noise differs between the batch sizes."
)
# height of a critical batch size with its label in font sizes, and the share of it below the bar
_ROW, _BELOW = 2.3, 0.35


def steps_data(analysis: Analysis) -> pd.DataFrame:
    """Return points, bounds, the curve with the lowest AICc, the hyperbola and perfect scaling.

    Returns:
        Columns series, batch_size, steps, low, high. Series `measured`: low and high are the last
        measurement above the target and the first below; `median`: of the replicates, with its
        interval, null at an end without bound; `not reached`: steps is the lower bound that is
        fitted; `left out`: one that no curve explains; `fit`: with its band; `hyperbola`: if
        another curve is chosen; `perfect scaling`: the line through the start of the curve, or
        through the first point if there is no curve.
    """
    table, reached = analysis.table, analysis.reached
    steps = reached["steps"]
    bracket = {"low": reached["steps_before"], "high": steps}
    measured = series_rows(MEASURED, reached["batch_size"], steps, **bracket)
    again = reached[reached["steps_median"].notna()]
    interval = {end: again[end].to_numpy(float, na_value=np.nan) for end in ("low", "high")}
    medians = series_rows(MEDIAN, again["batch_size"], again["steps_median"], **interval)
    parts = [measured, medians, bound_rows(table)]
    points = medians if all_have_replicates(table) else measured
    start = points[["batch_size", "steps"]].to_numpy(np.float64)[:1]
    curve_at = curve_sizes(table["batch_size"])
    if analysis.fits is not None and analysis.fit is not None:
        best = analysis.fits.best
        low, high = best.band(curve_at)
        parts.append(series_rows(FIT, curve_at, best.predict(curve_at), low=low, high=high))
        if best is not analysis.fit:
            parts.append(series_rows(HYPERBOLA, curve_at, analysis.fit.predict(curve_at)))
        start = np.array([[curve_at[0], best.predict(curve_at[:1])[0]]])
    if len(start) and len(table) > 1:
        parts.append(series_rows(PERFECT, curve_at, start.prod() / curve_at))
    return pd.concat([part for part in parts if len(part)], ignore_index=True).reindex(
        columns=["series", "batch_size", "steps", "low", "high"]
    )


def _draw(sheet: Sheet, data: pd.DataFrame, analysis: Analysis) -> None:
    tokens = analysis.study.config.get(TOKENS)
    axes = sheet.axes(_HEIGHT + (_MORE if tokens else 0))
    points = data[data["series"].isin([MEASURED, MEDIAN, NOT_REACHED, LEFT_OUT])]
    batch_size_axis(axes, points["batch_size"])
    row = _ROW * matplotlib.rcParams["font.size"] / 72 / inches(axes.yaxis)
    marks = _b_crit_marks(analysis)
    free = row * len(marks)
    top = steps_axis_scale(axes, points, above=free)
    handles = [
        *_draw_points(axes, data, top, analysis),
        *_draw_curves(axes, data, top, analysis),
        *_draw_regimes(axes, analysis, 1 - free),
    ]
    for place, mark in enumerate(marks):
        _draw_b_crit(axes, *mark, height=1 - free + (place + _BELOW) * row, top=1 - free)
    label_axis(axes.xaxis, batch_axis([analysis.study.config]))
    if tokens:
        token_axis(axes, tokens)
    label_axis(axes.yaxis, steps_axis([analysis.study.config]))
    sheet.title(analysis.title)
    sheet.legend(handles)


def _drawn_fits(analysis: Analysis) -> Sequence[tuple[ScalingFit, dict[str, Any]]]:
    """Return the fits to draw with their styles: the chosen one, and the hyperbola."""
    if analysis.fits is None or analysis.fit is None:
        return ()
    chosen = analysis.fits.best, {"color": color(1), "zorder": 4}
    if analysis.fits.best is analysis.fit:
        return (chosen,)
    thin = 0.6 * matplotlib.rcParams["lines.linewidth"]
    return chosen, (analysis.fit, {"color": ink(), "linewidth": thin, "zorder": 3.5})


def _draw_points(
    axes: Axes, data: pd.DataFrame, top: float, analysis: Analysis
) -> Sequence[Artist]:
    """Draw points and bounds; points that are not fitted are small, open and without bars."""
    series = by_series(data)
    blue, size = color(0), matplotlib.rcParams["lines.markersize"]
    medians = all_have_replicates(analysis.table)
    small = {
        "markerfacecolor": paper(),
        "markeredgecolor": blue,
        "markeredgewidth": 1.0,
        "markersize": 0.65 * size,
    }
    over = "fresh seeds" if follows_rule(analysis.study) else "trials"
    bars = not medians and MEASURED in series and series[MEASURED]["low"].notna().any()
    labels = {
        MEASURED: f"fewest steps over {over}" + (" (bar: evaluation before)" if bars else ""),
        MEDIAN: "median over fresh seeds" + (", 95% interval" if medians else ", not fitted"),
    }
    handles: list[Artist] = []
    for name, fitted in ((MEDIAN, medians), (MEASURED, not medians)):
        if name in series:
            mark = {"color": blue, "marker": "o", **({} if fitted else small)}
            rows = series[name] if fitted else series[name][["batch_size", "steps"]]
            draw_points(axes, rows, top, zorder=6 if fitted else 5, **mark)
            handles.append(key(labels[name], linestyle="", **mark))
    draw_bounds(axes, series, blue)
    bounds = {NOT_REACHED: (BOUND, blue), LEFT_OUT: (LEFT_OUT_BOUND, left_out_color(blue))}
    handles += [bound_key(label, own) for name, (label, own) in bounds.items() if name in series]
    return handles


def _draw_curves(
    axes: Axes, data: pd.DataFrame, top: float, analysis: Analysis
) -> Sequence[Artist]:
    series = by_series(data)
    handles: list[Artist] = []
    note = "" if analysis.fits is None else fit_note(analysis.fits)
    for name, (fit, style) in zip((FIT, HYPERBOLA), _drawn_fits(analysis), strict=False):
        curve, label = series[name], f"{fit.model.name} fit{note}"
        if name == FIT:
            low, high = (_cut(curve[end], top) for end in ("low", "high"))
            shade = {"color": style["color"], "alpha": 0.22}
            axes.fill_between(curve["batch_size"], low, high, lw=0, **shade)
            label += f", {fit.level:.0%} band{_steepness(fit)}"
        axes.plot(curve["batch_size"], _cut(curve["steps"], top), **style)
        handles.append(key(label, **style))
    if PERFECT in series:
        line = series[PERFECT]
        axes.plot(line["batch_size"], _cut(line["steps"], top), **perfect_line())
        handles.append(key(PERFECT_LINE, **perfect_line()))
    return handles


def _cut(steps: "pd.Series[float]", top: float) -> Floats:
    """Return steps, cut at the upper end of what is drawn."""
    return np.asarray(steps.clip(upper=top), dtype=np.float64)


def _steepness(fit: ScalingFit) -> str:
    """Return the exponent of the power model with a warning, if it is above 1."""
    if fit.model.name != "power" or fit.exponent is None or fit.exponent.value <= 1:
        return ""
    return f"; {fit.exponent.text('exponent')}. {_TOO_STEEP}"


def _draw_regimes(axes: Axes, analysis: Analysis, top: float) -> Sequence[Artist]:
    """Shade the regimes up to a share of the height; return their legend entries."""
    if analysis.regimes is None:
        return ()
    shades = {
        Regime.PERFECT: pale(0.88, color(0)),
        Regime.DIMINISHING: pale(0.93),
        Regime.PLATEAU: pale(0.87, color(1)),
    }
    left, right = axes.get_xlim()
    spans = analysis.regimes.spans()
    handles: list[Artist] = []
    for index, span in enumerate(spans):
        if span.regime not in shades:
            continue
        low = left if index == 0 else span.low
        high = right if index == len(spans) - 1 else span.high
        shade = shades[span.regime]
        axes.axvspan(low, high, ymax=top, color=shade, lw=0, zorder=0)
        label = f"regime: {span.regime}"
        handles.append(Patch(facecolor=shade, edgecolor=pale(0.6), lw=0.5, label=label))
    return handles


def _b_crit_marks(analysis: Analysis) -> Sequence[tuple[Estimate, str, str]]:
    """Return estimates of the critical batch size with label and color, the headline first."""
    b_crit = analysis.b_crit
    if b_crit is None:
        return ()
    marks = [(b_crit.estimate, b_crit.estimate.text(B_CRIT_SIGN), color(1))]
    if len(b_crit.parts) > 1:
        alone = b_crit.parts[SEEDS]
        marks.append((alone, f"{alone.text(B_CRIT_SIGN)} by seeds alone", ink()))
    return marks


def _draw_b_crit(
    axes: Axes, estimate: Estimate, text: str, color: str, *, height: float, top: float
) -> None:
    """Draw a critical batch size above the data, with a line through them."""
    left, right = axes.get_xlim()
    draw_estimate(axes, height, estimate, color=color, marker="s", linestyle="", markersize=5)
    if estimate.identified and left < estimate.value < right:
        line: dict[str, Any] = {"color": color, "linewidth": 0.9, "linestyle": ":", "zorder": 2}
        axes.plot([estimate.value] * 2, [0, top], transform=axes.get_xaxis_transform(), **line)
    label_estimate(axes, height, estimate, text, readable(color))


STEPS = FigureKind(data=steps_data, draw=_draw, needs="a batch size with a trial that trained")
