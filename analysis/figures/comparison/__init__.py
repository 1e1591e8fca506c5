"""The figures of a comparison by name."""

from collections.abc import Mapping

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.comparison.compare import Comparison
from analysis.comparison.fixed_epochs import fixed_epochs
from analysis.figures.comparison.curves import (
    comparison_data,
    draw_comparison,
    draw_normalised,
    normalised_data,
)
from analysis.figures.comparison.epochs import draw_epochs
from analysis.figures.drawing.kind import FigureKind, draw_named

COMPARISON_FIGURES: Mapping[str, FigureKind[Comparison]] = {
    "comparison": FigureKind(data=comparison_data, draw=draw_comparison, needs="two studies"),
    "comparison_normalised": FigureKind(
        data=normalised_data,
        draw=draw_normalised,
        needs="a batch size that all studies reached, or a fit of each",
    ),
    "comparison_epochs": FigureKind(
        data=fixed_epochs,
        draw=draw_epochs,
        needs="two studies whose trials run to a budget of epochs",
    ),
}
"""All figures of a comparison by name, which is also the stem of their files."""


def draw(comparison: Comparison, name: str = "comparison", ax: Axes | None = None) -> Figure:
    """Return the figure of that name in `COMPARISON_FIGURES`; nothing is written."""
    return draw_named(COMPARISON_FIGURES, name, comparison, ax)
