"""The figure of a fit to any steps to target: points, bounds and the hyperbola."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.figures.drawing.colors import color
from analysis.figures.drawing.kind import FigureKind, Look
from analysis.figures.drawing.series import (
    FIT,
    MEASURED,
    NOT_REACHED,
    bracket_note,
    curve_sizes,
    draw_series,
    series_keys,
    series_rows,
    steps_axis_scale,
)
from analysis.figures.drawing.sheet import Sheet
from analysis.figures.drawing.ticks import batch_size_axis, label_axis
from analysis.fitting.fit import ScalingFit
from analysis.fitting.models import Floats

_HEIGHT = 3.6


def points_data(fit: ScalingFit) -> pd.DataFrame:
    """Return the points and bounds of a fit, and its curve with its band.

    Returns:
        Columns series, batch_size, steps, low, high, as in the figure of a study.
    """
    sizes, steps, missed = fit.points.batch_sizes, fit.points.steps, fit.points.missed
    at = curve_sizes(sizes)
    low, high = fit.band(at)
    parts = [
        series_rows(MEASURED, sizes[~missed], steps[~missed], **_brackets(fit)),
        series_rows(NOT_REACHED, sizes[missed], steps[missed]),
        series_rows(FIT, at, fit.predict(at), low=low, high=high),
    ]
    return pd.concat([part for part in parts if len(part)], ignore_index=True)


def _brackets(fit: ScalingFit) -> dict[str, Floats]:
    points = fit.points
    if not points.bracketed.any():
        return {}
    return {"low": points.before[~points.missed], "high": points.steps[~points.missed]}


def draw_points_and_curve(sheet: Sheet, data: pd.DataFrame, fit: ScalingFit) -> None:
    """Draw the rows of `points_data` on logarithmic axes."""
    axes = sheet.axes(_HEIGHT)
    points = data[data["series"] != FIT]
    batch_size_axis(axes, points["batch_size"])
    draw_series(axes, data, steps_axis_scale(axes, points), band=True, color=color(0), marker="o")
    label_axis(axes.xaxis, "Batch size")
    label_axis(axes.yaxis, "Steps to target")
    band = f"{bracket_note(fit.points)}, {fit.level:.0%} band"
    sheet.legend(series_keys(set(data["series"]), "steps to target", band))


POINTS_FIGURE = FigureKind(data=points_data, draw=draw_points_and_curve, needs="a fit")


def draw_points(fit: ScalingFit, ax: Axes | None = None) -> Figure:
    """Return the figure of a fit, drawn into the user's axes if given."""
    return POINTS_FIGURE.figure(points_data(fit), fit, Look(), ax)
