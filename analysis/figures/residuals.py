"""Residuals of every fitted model against batch size: what each curve does not explain."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.escaping import unmathematical
from analysis.figures.style import BLUE, GREEN, GREY, INK, ORANGE, WIDTH, power_of_two_ticks, style
from analysis.fitting.fit import Fits
from analysis.measures.federated import batch_axis
from analysis.report.summary import Analysis

_LOOKS = {"hyperbola": (BLUE, "o"), "power": (GREEN, "s"), "smooth": (ORANGE, "D")}
_LEAST_SHOWN = 1.0  # percent
_MISSED = "\n" + r"$\triangle$ target not reached: a lower bound, at the rim where it lies beyond"
_COLUMNS = ["model", "batch_size", "residual", "missed", "sigma", "aicc"]


def residuals_of(fits: Fits | None) -> pd.DataFrame:
    """Gives the residuals of all fits.

    Args:
        fits: the fits; None for none.

    Returns:
        One row per model and batch size: model, batch_size, residual (log steps minus log of the
        curve; where missed, a lower bound), missed, sigma and aicc of the model.
    """
    parts = [
        pd.DataFrame(
            {
                "model": name,
                "batch_size": fit.points.batch_sizes,
                "residual": fit.residuals,
                "missed": fit.points.missed,
                "sigma": fit.sigma,
                "aicc": np.nan if fit.aicc is None else fit.aicc,
            }
        )
        for name, fit in ({} if fits is None else fits.by_name).items()
    ]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=_COLUMNS)


def residuals_data(analysis: Analysis) -> pd.DataFrame:
    """Gives what the figure draws: as `residuals_of` the fits of an analysis."""
    return residuals_of(analysis.fits)


def draw_residuals(data: pd.DataFrame, analysis: Analysis) -> Figure:
    """Draws the residuals, one strip for each model, all on one scale.

    Args:
        data: what `residuals_data` gives, not empty.
        analysis: the analysis, for the title.

    Returns:
        The figure.
    """
    names = data["model"].unique().tolist()
    with style():
        figure = Figure(figsize=(WIDTH, 1.1 + 1.25 * len(names)), layout="constrained")
        strips = figure.subplots(len(names), sharex=True, sharey=True, squeeze=False)[:, 0]
        for axes, name in zip(strips, names, strict=True):
            _draw_strip(axes, data[data["model"] == name], _limit(data))
        _scale(strips[-1], data)
        figure.suptitle(unmathematical(analysis.title), x=0.01, ha="left", fontsize=10.5)
        missed = _MISSED if data["missed"].any() else ""
        strips[-1].set_xlabel(f"{batch_axis([analysis.study.config])}{missed}")
        figure.supylabel("Steps over the curve (%)", fontsize=10)
    return figure


def _limit(data: pd.DataFrame) -> float:
    """Gives the greatest percentage shown, by what was reached; misses may lie far beyond."""
    most = max(data.loc[~data["missed"], "residual"].abs().max(), data["sigma"].max())
    return max(1.25 * float(_percent(most)), _LEAST_SHOWN)


def _draw_strip(axes: Axes, rows: pd.DataFrame, limit: float) -> None:
    name = rows["model"].iloc[0]
    colour, marker = _LOOKS[name]
    axes.set_ylim(-limit, limit)
    spread = _percent(rows["sigma"].iloc[0] * np.array([-1.0, 1.0]))
    axes.axhspan(*spread, color=colour, alpha=0.10, lw=0)
    axes.axhline(0, color=GREY, lw=0.8)
    reached, missed = rows[~rows["missed"]], rows[rows["missed"]]
    over = _percent(reached["residual"])
    axes.vlines(reached["batch_size"], 0, over, color=colour, lw=1.1)
    axes.plot(reached["batch_size"], over, marker, color=colour, markersize=4.5)
    axes.plot(
        missed["batch_size"],
        np.clip(_percent(missed["residual"]), -0.86 * limit, 0.86 * limit),
        "^",
        color=colour,
        markerfacecolor="white",
        markersize=6.5,
    )
    aicc = rows["aicc"].iloc[0]
    known = "" if np.isnan(aicc) else f", AICc {aicc:.1f}"
    axes.text(
        0,
        1.02,
        f"{name}: spread {spread[1]:.1f} %{known}",
        transform=axes.transAxes,
        ha="left",
        va="bottom",
        fontsize=9,
        color=INK,
    )


def _scale(axes: Axes, data: pd.DataFrame) -> None:
    left, right = data["batch_size"].min() / 1.3, data["batch_size"].max() * 1.3
    axes.set_xscale("log", base=2)
    axes.set_xlim(left, right)
    power_of_two_ticks(axes.xaxis, left, right)


def _percent(residual: object) -> "np.ndarray[tuple[int, ...], np.dtype[np.float64]]":
    return np.asarray(100 * np.expm1(np.asarray(residual, dtype=np.float64)))
