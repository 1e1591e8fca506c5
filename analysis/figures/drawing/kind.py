"""A named table of figures, and how one of them is drawn or all of them are written."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

import pandas as pd
from matplotlib.figure import Figure

from analysis.errors import AnalysisError
from analysis.figures.drawing.style import save
from analysis.tables.folder import ResultsFolder

Source = TypeVar("Source")
"""What figures are drawn from: an analysis, or a comparison."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FigureKind(Generic[Source]):
    """A kind of figure.

    Attributes:
        data: the rows it draws, also saved as CSV; empty where there is nothing to draw.
        draw: makes the figure from these rows, at least one.
        needs: what the source must have for there to be rows; completes "needs ...".
    """

    data: Callable[[Source], pd.DataFrame]
    draw: Callable[[pd.DataFrame, Source], Figure]
    needs: str


def draw_named(kinds: Mapping[str, FigureKind[Source]], name: str, source: Source) -> Figure:
    """Return one figure of a table of kinds.

    Raises:
        AnalysisError: there is no figure of that name, or the source lacks the data for it.
    """
    if name not in kinds:
        raise AnalysisError(f"a figure must be one of {', '.join(kinds)}, got {name!r}")
    data = kinds[name].data(source)
    if data.empty:
        raise AnalysisError(f"the figure {name} needs {kinds[name].needs}, got none")
    return kinds[name].draw(data, source)


def write_all(
    kinds: Mapping[str, FigureKind[Source]], source: Source, folder: ResultsFolder
) -> list[str]:
    """Write every figure that the source has data for: PNG, SVG and CSV.

    Returns:
        The names of the files written.
    """
    written: list[str] = []
    for name, kind in kinds.items():
        data = kind.data(source)
        if not data.empty:
            written += save(kind.draw(data, source), data, folder, name)
    return written
