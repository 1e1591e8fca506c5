"""Residuals of every fitted model against batch size: what each curve does not explain."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.figures.drawing.axes import batch_size_axis, title
from analysis.figures.drawing.series import BOUND
from analysis.figures.drawing.style import BLUE, GRAY, GREEN, INK, ORANGE, WIDTH, style
from analysis.fitting.models import Floats
from analysis.measures.federated import batch_axis
from analysis.report.summary import Analysis

_STYLES = {"hyperbola": (BLUE, "o"), "power": (GREEN, "s"), "smooth": (ORANGE, "D")}
_LEAST_SHOWN = 1.0  # percent
_EDGE = 0.86
_MISSED = (
    "\n" + r"$\triangle$ target not reached: a lower bound, drawn at the edge where it lies beyond"
)


def residuals_data(analysis: Analysis) -> pd.DataFrame:
    """Return the residuals of all fits, one row per model and batch size.

    Returns:
        Columns model, batch_size, residual (log steps minus log of the curve; a lower bound where
        missed), missed, and the model's sigma and aicc. No rows without fits.
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
        for name, fit in ({} if analysis.fits is None else analysis.fits.by_name).items()
    ]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def draw_residuals(data: pd.DataFrame, analysis: Analysis) -> Figure:
    """Draw the rows of `residuals_data`: one panel per model, all on one scale."""
    names = data["model"].unique().tolist()
    with style():
        figure = Figure(figsize=(WIDTH, 1.1 + 1.25 * len(names)), layout="constrained")
        panels = figure.subplots(len(names), sharex=True, sharey=True, squeeze=False)[:, 0]
        for axes, name in zip(panels, names, strict=True):
            _draw_panel(axes, data[data["model"] == name], _limit(data))
        batch_size_axis(panels[-1], data["batch_size"])
        title(figure, analysis.title)
        missed = _MISSED if data["missed"].any() else ""
        panels[-1].set_xlabel(f"{batch_axis([analysis.study.config])}{missed}")
        figure.supylabel("Steps above the curve (%)", fontsize=10)
    return figure


def _limit(data: pd.DataFrame) -> float:
    """Return the greatest percentage shown: set by what was reached, misses may lie far beyond."""
    most = max(data.loc[~data["missed"], "residual"].abs().max(), data["sigma"].max())
    return max(1.25 * float(_percent(most)), _LEAST_SHOWN)


def _draw_panel(axes: Axes, rows: pd.DataFrame, limit: float) -> None:
    name, sigma, aicc = rows[["model", "sigma", "aicc"]].iloc[0]
    color, marker = _STYLES[name]
    axes.set_ylim(-limit, limit)
    spread = _percent([-sigma, sigma])
    axes.axhspan(*spread, color=color, alpha=0.10, lw=0)
    axes.axhline(0, color=GRAY, lw=0.8)
    reached, missed = rows[~rows["missed"]], rows[rows["missed"]]
    above = _percent(reached["residual"])
    axes.vlines(reached["batch_size"], 0, above, color=color, lw=1.1)
    axes.plot(reached["batch_size"], above, marker, color=color, markersize=4.5)
    bounds = np.clip(_percent(missed["residual"]), -_EDGE * limit, _EDGE * limit)
    axes.plot(missed["batch_size"], bounds, marker="^", color=color, markersize=6.5, **BOUND)
    known = "" if np.isnan(aicc) else f", AICc {aicc:.1f}"
    label = f"{name}: spread {spread[1]:.1f}%{known}"
    axes.set_title(label, fontsize=9, color=INK, pad=2)


def _percent(residual: object) -> Floats:
    return np.asarray(100 * np.expm1(np.asarray(residual, dtype=np.float64)))
