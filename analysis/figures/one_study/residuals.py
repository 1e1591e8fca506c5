"""The residuals of each fitted model against batch size."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from analysis.figures.drawing.colors import color, ink, pale
from analysis.figures.drawing.kind import FigureKind
from analysis.figures.drawing.marks import bound_mark
from analysis.figures.drawing.series import (
    BOUND,
    LEFT_OUT,
    LEFT_OUT_BOUND,
    bound_rows,
    left_out_color,
)
from analysis.figures.drawing.sheet import Sheet, bound_key, key
from analysis.figures.drawing.ticks import batch_size_axis, label_axis, with_minus
from analysis.fitting.estimates import percent
from analysis.fitting.fit import ScalingFit
from analysis.fitting.models import Floats
from analysis.measures.federated import batch_axis
from analysis.report.summary import Analysis

_STYLES: Mapping[str, tuple[int, str]] = {
    "hyperbola": (0, "o"),
    "power": (2, "s"),
    "smooth": (1, "D"),
}
"""Index of a color in the cycle, and marker, by model."""
_MIN_SHOWN = 1.0  # percent
_EDGE = 0.5
_PANEL, _ALONE = 1.5, 4.0
"""Height of a panel among others, and of a single one."""
_BEYOND = "; at the edge if beyond"


def residuals_data(analysis: Analysis) -> pd.DataFrame:
    """Return the residuals of all fits, one row per model and batch size.

    Returns:
        Columns model, batch_size, residual (log of the middle of the bracket minus log of the
        curve; a lower bound if missed), missed, left_out (whether the bound is not fitted), and
        the model's sigma and aicc. No rows without fits.
    """
    fits = {} if analysis.fits is None else analysis.fits.by_name
    bounds = bound_rows(analysis.table)
    left_out = bounds[bounds["series"] == LEFT_OUT]
    parts = [_rows(fit, left_out) for fit in fits.values()]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def _rows(fit: ScalingFit, left_out: pd.DataFrame) -> pd.DataFrame:
    beyond = np.log(left_out["steps"]) - np.log(fit.predict(left_out["batch_size"]))
    rows = pd.DataFrame(
        {
            "model": fit.model.name,
            "batch_size": np.append(fit.points.batch_sizes, left_out["batch_size"]),
            "residual": np.append(fit.residuals, beyond),
            "missed": np.append(fit.points.missed, np.ones(len(left_out), dtype=bool)),
            "left_out": np.repeat([False, True], [fit.points.missed.size, len(left_out)]),
            "sigma": fit.sigma,
            "aicc": np.nan if fit.aicc is None else fit.aicc,
        }
    )
    return rows.sort_values("batch_size", kind="stable")


def _draw(sheet: Sheet, data: pd.DataFrame, analysis: Analysis) -> None:
    names = data["model"].unique().tolist()
    height = _PANEL if len(names) > 1 else _ALONE
    panels = sheet.stack([height] * len(names), sharex=True, sharey=True)
    for axes, name in zip(panels, names, strict=True):
        _draw_panel(axes, data[data["model"] == name], _limit(data))
    batch_size_axis(panels[-1], data["batch_size"])
    label_axis(panels[-1].xaxis, batch_axis([analysis.study.config]))
    bracketed = analysis.fit is not None and analysis.fit.points.bracketed.any()
    sheet.label_y(f"{'Middle of bracket' if bracketed else 'Steps'} above the curve (%)")
    sheet.title(analysis.title)
    missed = data["missed"] & ~data["left_out"]
    keys = {
        BOUND + _BEYOND: (missed.any(), ink()),
        LEFT_OUT_BOUND + _BEYOND: (data["left_out"].any(), left_out_color(ink())),
    }
    bounds = [bound_key(label, own) for label, (drawn, own) in keys.items() if drawn]
    sheet.legend(
        [key("one spread on either side of the curve", color=pale(0.85), linewidth=6), *bounds]
    )


def _limit(data: pd.DataFrame) -> float:
    """Return the largest percentage shown, set by the points; bounds may lie far beyond."""
    most = max(data.loc[~data["missed"], "residual"].abs().max(), data["sigma"].max())
    return max(1.25 * float(_percent(most)), _MIN_SHOWN)


def _draw_panel(axes: Axes, rows: pd.DataFrame, limit: float) -> None:
    name, sigma, aicc = rows[["model", "sigma", "aicc"]].iloc[0]
    place, marker = _STYLES[name]
    own = color(place)
    axes.set_ylim(-limit, limit)
    spread = _percent([-sigma, sigma])
    axes.axhspan(*spread, color=pale(0.88, own), lw=0, zorder=0)
    axes.axhline(0, color=pale(0.34), lw=0.8)
    reached = rows[~rows["missed"]]
    above = _percent(reached["residual"])
    axes.vlines(reached["batch_size"], 0, above, color=own, lw=1.1)
    axes.plot(reached["batch_size"], above, marker, color=own, markersize=4.5)
    for left_out, shade in ((False, own), (True, left_out_color(own))):
        bounds = rows[rows["missed"] & (rows["left_out"] == left_out)]
        heights = np.clip(_percent(bounds["residual"]), -_EDGE * limit, _EDGE * limit)
        mark = {**bound_mark(), "markersize": 16}
        axes.plot(bounds["batch_size"], heights, color=shade, zorder=5, **mark)
    known = "" if np.isnan(aicc) else with_minus(f", AICc {aicc:.1f}")
    axes.set_title(f"{name}: spread {percent(spread[1] / 100, 1)}{known}", fontsize="small", pad=3)


def _percent(residual: object) -> Floats:
    return np.asarray(100 * np.expm1(np.asarray(residual, dtype=np.float64)))


RESIDUALS = FigureKind(data=residuals_data, draw=_draw, needs="a fit")
