"""A named table of figures, and how one of them is drawn or all of them are written."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.errors import AnalysisError
from analysis.figures.drawing.sheet import Sheet
from analysis.figures.drawing.style import Look, save, style
from analysis.tables.folder import ResultsFolder

Source = TypeVar("Source")
"""What figures are drawn from: an analysis, or a comparison."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FigureKind(Generic[Source]):
    """A kind of figure.

    Attributes:
        data: the rows it draws, also saved as CSV; empty where there is nothing to draw.
        draw: draws these rows, at least one, on a sheet.
        needs: what the source must have for there to be rows; completes "needs ...".
    """

    data: Callable[[Source], pd.DataFrame]
    draw: Callable[[Sheet, pd.DataFrame, Source], None]
    needs: str

    def figure(
        self, data: pd.DataFrame, source: Source, look: Look, ax: Axes | None = None
    ) -> Figure:
        """Return the figure of some rows, drawn in axes of the user's if there are any."""
        with style(look):
            sheet = Sheet(ax, look.title)
            self.draw(sheet, data, source)
        return sheet.figure


def draw_named(
    kinds: Mapping[str, FigureKind[Source]],
    name: str,
    source: Source,
    ax: Axes | None = None,
    look: Look | None = None,
) -> Figure:
    """Return one figure of a table of kinds.

    Args:
        kinds: the table.
        name: its key.
        source: what it is drawn from.
        ax: the user's axes to draw into; None for a new figure.
        look: its look; None for the usual one.

    Raises:
        AnalysisError: there is no figure of that name, the source lacks the data for it, or it has
            several panels and axes are given.
    """
    if name not in kinds:
        raise AnalysisError(f"a figure must be one of {', '.join(kinds)}, got {name!r}")
    data = kinds[name].data(source)
    if data.empty:
        raise AnalysisError(f"the figure {name} needs {kinds[name].needs}, got none")
    return kinds[name].figure(data, source, look or Look(), ax)


def write_all(
    kinds: Mapping[str, FigureKind[Source]],
    source: Source,
    folder: ResultsFolder,
    look: Look | None = None,
) -> list[str]:
    """Write every figure that the source has data for: pictures, and the data as CSV.

    Returns:
        The names of the files written.
    """
    look, written = look or Look(), []
    for name, kind in kinds.items():
        data = kind.data(source)
        if not data.empty:
            written += save(kind.figure(data, source, look), data, folder, name, look)
    return written
