"""Steps to target against batch size: points, fitted curve, regimes and critical batch size."""

import math
from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.escaping import unmathematical
from analysis.figures.series import (
    CURVE_POINTS,
    FIT,
    MEASURED,
    NOT_REACHED,
    PERFECT,
    draw_misses,
)
from analysis.figures.style import (
    BLUE,
    GREY,
    INK,
    ORANGE,
    SMALL,
    WIDTH,
    power_of_two_ticks,
    style,
)
from analysis.fitting.fit import ScalingFit
from analysis.fitting.models import hyperbola
from analysis.fitting.regimes import Regime, Regimes
from analysis.measures.federated import batch_axis, steps_axis
from analysis.measures.recipes import follows_rule
from analysis.report.summary import Analysis

MEDIAN = "median"
_LABELS = {
    MEASURED: "fewest steps over trials, with bracket",
    MEDIAN: "median of fresh seeds, with interval",
    NOT_REACHED: "target not reached (lower bound)",
    FIT: "fit, with band",
    PERFECT: "perfect scaling",
}

_SHADES = {Regime.PERFECT: "#E3EFF7", Regime.DIMINISHING: "#F1F0EC", Regime.PLATEAU: "#FBEADF"}
ENDS = ("low", "high")
# as shares of the height of the axes: room for the regime names on top, least height of b_crit
_HEADROOM = 0.14
_LOWEST_B_CRIT = 0.55
_LINE = 0.05
# widths in inches: of the axes, and from which on a regime's name fits on one line, on two, small
_AXES_INCHES = 5.6
_ONE_LINE = 1.5
_NAME = 0.85
_SMALL_NAME = 0.66


def steps_data(analysis: Analysis) -> pd.DataFrame:
    """Gives what the figure draws.

    Args:
        analysis: the analysis.

    Returns:
        Columns series, batch_size, steps, low, high. Series `measured`: low and high are the
        bracket; `median`: of the replicates, low and high are its interval; `not reached`: steps
        is a lower bound, the longest trial; `fit`: low and high
        are the band; `perfect scaling`: the line through the first point.
    """
    reached = analysis.reached
    # a batch size where no trial took a step has no bound to show
    missed = analysis.table[analysis.table["steps"].isna() & (analysis.table["stopped_at"] > 0)]
    measured = _series(MEASURED, reached["batch_size"], reached["steps"])
    measured["low"] = reached["steps_before"].to_numpy(float)
    measured["high"] = reached["steps"].to_numpy(float)
    again = reached[reached["steps_median"].notna()]
    medians = _series(MEDIAN, again["batch_size"], again["steps_median"])
    medians["low"], medians["high"] = (again[end].to_numpy(float, na_value=np.nan) for end in ENDS)
    parts = [measured, medians, _series(NOT_REACHED, missed["batch_size"], missed["stopped_at"])]
    sizes = analysis.table["batch_size"].to_numpy(float)
    curve_at = np.geomspace(sizes.min(), sizes.max(), CURVE_POINTS)
    if analysis.fits is not None:
        fit = _series(FIT, curve_at, analysis.fits.best.predict(curve_at))
        fit["low"], fit["high"] = analysis.fits.best.band(curve_at)
        parts.append(fit)
    points = medians if len(medians) else measured
    if len(points):
        examples = float(points["batch_size"].iloc[0] * points["steps"].iloc[0])
        parts.append(_series(PERFECT, curve_at, hyperbola(curve_at, 0.0, examples)))
    return pd.concat([part for part in parts if len(part)], ignore_index=True)


def _series(name: str, batch_sizes: object, steps: object) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "series": name,
            "batch_size": np.asarray(batch_sizes, dtype=np.float64),
            "steps": np.asarray(steps, dtype=np.float64),
            "low": np.nan,
            "high": np.nan,
        }
    )


def draw_steps(data: pd.DataFrame, analysis: Analysis) -> Figure:
    """Draws steps to target against batch size on logarithmic axes.

    Args:
        data: what `steps_data` gives.
        analysis: the analysis, for regimes, critical batch size and title.

    Returns:
        The figure.
    """
    with style():
        figure = Figure(figsize=(WIDTH, 4.4), layout="constrained")
        axes = figure.add_subplot()
        _scale(axes, data)
        _draw_series(axes, data, _labels(analysis))
        if analysis.regimes is not None:
            _draw_regimes(axes, analysis.regimes)
        if analysis.fit is not None:
            _draw_b_crit(axes, analysis.fit, _of_hyperbola(analysis))
        axes.set_title(unmathematical(analysis.title), loc="left", pad=8)
        axes.set_xlabel(batch_axis([analysis.study.config]))
        axes.set_ylabel(steps_axis([analysis.study.config]))
        # below the axes it overlaps nothing, whatever the shape of the curve
        handles, names = axes.get_legend_handles_labels()
        labels = list(_labels(analysis).values())
        order = sorted(range(len(names)), key=lambda at: labels.index(names[at]))
        figure.legend(
            [handles[at] for at in order],
            [names[at] for at in order],
            loc="outside lower center",
            ncols=2,
        )
    return figure


def _scale(axes: Axes, data: pd.DataFrame) -> None:
    points = data[data["series"].isin([MEASURED, MEDIAN, NOT_REACHED])]
    left, right = points["batch_size"].min() / 1.3, points["batch_size"].max() * 1.3
    bottom, top = points["steps"].min() / 1.9, points["steps"].max() * 1.2
    top *= (top / bottom) ** (_HEADROOM / (1 - _HEADROOM))
    axes.set_xscale("log", base=2)
    axes.set_yscale("log", base=2)
    axes.set_xlim(left, right)
    axes.set_ylim(bottom, top)
    power_of_two_ticks(axes.xaxis, left, right)
    power_of_two_ticks(axes.yaxis, bottom, top)


def _labels(analysis: Analysis) -> Mapping[str, str]:
    """Gives the label of each series; the fit's names the model of least AICc."""
    if analysis.fits is None:
        return _LABELS
    labels = {**_LABELS, FIT: f"{analysis.fits.best.model.name} {_LABELS[FIT]}"}
    if analysis.table["steps_median"].notna().any():
        seeds = follows_rule(analysis.study)
        labels[MEASURED] = f"fewest steps over {'fresh seeds' if seeds else 'trials'}"
    return labels


def _of_hyperbola(analysis: Analysis) -> str:
    """Says whose b_crit is marked, where the curve drawn is another one."""
    drawn_too = analysis.fits is None or analysis.fits.best is analysis.fit
    return "" if drawn_too else "of the hyperbola"


def _draw_series(axes: Axes, data: pd.DataFrame, labels: Mapping[str, str]) -> None:
    by_name = dict(iter(data.groupby("series")))
    fitted = MEDIAN if MEDIAN in by_name else MEASURED
    for name in (MEASURED, MEDIAN):
        if name in by_name:
            _draw_points(axes, by_name[name], labels[name], whole=name == fitted)
    if NOT_REACHED in by_name:
        points, label = by_name[NOT_REACHED], labels[NOT_REACHED]
        draw_misses(axes, points, BLUE, size=7, zorder=5, label=label)
    if FIT in by_name:
        curve = by_name[FIT]
        axes.fill_between(
            curve["batch_size"], curve["low"], curve["high"], color=ORANGE, alpha=0.22, lw=0
        )
        axes.plot(curve["batch_size"], curve["steps"], color=ORANGE, zorder=4, label=labels[FIT])
    if PERFECT in by_name:
        line = by_name[PERFECT]
        axes.plot(
            line["batch_size"],
            line["steps"],
            "--",
            color=GREY,
            lw=1.1,
            zorder=3,
            label=labels[PERFECT],
        )


def _draw_points(axes: Axes, points: pd.DataFrame, label: str, whole: bool) -> None:
    """Draws points with their bars; small and open where others stand for the batch sizes."""
    low = points["low"].fillna(points["steps"])
    high = points["high"].fillna(points["steps"])
    axes.errorbar(
        points["batch_size"],
        points["steps"],
        yerr=[(points["steps"] - low).clip(lower=0), (high - points["steps"]).clip(lower=0)],
        fmt="o",
        color=BLUE,
        markersize=5.5 if whole else 4.0,
        markerfacecolor=BLUE if whole else "white",
        markeredgecolor="white" if whole else BLUE,
        markeredgewidth=0.6 if whole else 1.0,
        elinewidth=1.2 if whole else 0.0,
        capsize=2.5 if whole else 0.0,
        zorder=6 if whole else 5,
        label=label,
    )


def _draw_regimes(axes: Axes, regimes: Regimes) -> None:
    left, right = axes.get_xlim()
    spans = regimes.spans()
    for index, span in enumerate(spans):
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
    words = fit.b_crit.text(r"$b_\mathrm{crit}$")
    rightwards = low < math.sqrt(left * right)
    axes.text(
        low if rightwards else min(high, right / 1.05),
        at + 0.02,
        (f"{words} \N{RIGHTWARDS ARROW}" if fit.b_crit.value > right else words)
        + (f"\n{whose}" if whose else ""),
        transform=place,
        ha="left" if rightwards else "right",
        va="bottom",
        fontsize=SMALL + 0.5,
        color=INK,
    )


def _height_above(axes: Axes, fit: ScalingFit, batch_size: float) -> float:
    """Gives a height above the curve from a batch size on, as a share of the axes."""
    bottom, top = axes.get_ylim()
    share = math.log(float(fit.predict(batch_size)) / bottom) / math.log(top / bottom)
    return min(max(share + 0.12, _LOWEST_B_CRIT), 1 - _HEADROOM - 0.08)
