"""Kinds of figures and their look; drawing one figure, writing all."""

import io
import math
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import matplotlib
import matplotlib.style
import pandas as pd
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.errors import AnalysisError
from analysis.figures.drawing.colors import INK, OKABE_ITO
from analysis.figures.drawing.sheet import Sheet
from analysis.tables.folder import ResultsFolder
from analysis.tables.study import csv_bytes

_STYLE: Mapping[str, Any] = {
    "figure.titlesize": "medium",
    "axes.titlesize": "medium",
    "axes.titlelocation": "left",
    "axes.prop_cycle": cycler(color=OKABE_ITO),
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.labelsize": "small",
    "ytick.labelsize": "small",
    "legend.fontsize": "small",
    "legend.frameon": False,
    **dict.fromkeys(("text.color", "axes.edgecolor", "axes.labelcolor"), INK),
    **dict.fromkeys(("xtick.color", "ytick.color"), INK),
    "savefig.dpi": 200,
    # text stays text, and element ids are not random: the same study gives the same file
    "svg.fonttype": "none",
    "svg.hashsalt": "batchscale",
    "pdf.fonttype": 42,
}
FORMATS: Mapping[str, Mapping[str, Any]] = {
    "png": {"metadata": {"Software": None}},
    "svg": {"metadata": {"Date": None}},
    "pdf": {"metadata": {"CreationDate": None}},
}
"""Picture formats, with the settings that keep time and machine out of the files."""
_NO_LAYOUT: Mapping[Any, Any] = dict.fromkeys(
    ("figure.autolayout", "figure.constrained_layout.use"), False
)
"""Lets a figure have no layout engine; with "none", matplotlib would draw it once more."""
_MIN_LETTERS = 20  # in a line; narrower figures have no room for the axes beside their labels
_SMALLEST, _LARGEST = 4.0, 40.0
_POINTS = 72

Source = TypeVar("Source")
"""The source of a figure: an analysis, a comparison, costs or diagnostics."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Look:
    """The look of figures and their file formats."""

    formats: tuple[str, ...] = ("png", "svg")  # keys of `FORMATS`, at least one
    width: float | None = None  # in inches; None for that of matplotlib's `figure.figsize`
    font_size: float | None = None  # in points; None for matplotlib's `font.size`
    title: bool = True  # whether figures have a title

    def __post_init__(self) -> None:
        """Refuse an unknown format, and a figure too narrow for its text."""
        wrong = [form for form in self.formats if form not in FORMATS]
        if wrong or not self.formats:
            got = repr(wrong[0]) if wrong else "none"
            raise AnalysisError(f"a format must be one of {', '.join(FORMATS)}, got {got}")
        size, width = self.settings["font.size"], self.settings["figure.figsize"][0]
        if not _SMALLEST <= size <= _LARGEST:  # refuses NaN too
            raise AnalysisError(
                f"the font size must be from {_SMALLEST:g} to {_LARGEST:g} points, got {size:g}"
            )
        least = _MIN_LETTERS * size / _POINTS
        if not least <= width < math.inf:
            raise AnalysisError(
                f"the width of a figure with text of {size:g} points must be at least "
                f"{least:.2f} inches, got {width:g}; widen it, or lower the font size"
            )

    @property
    def settings(self) -> dict[str, Any]:
        """Matplotlib's parameters that differ from the user's."""
        # a parameter that differs from matplotlib's default was set by the user
        given: dict[Any, Any] = matplotlib.rcParams
        default: dict[Any, Any] = matplotlib.rcParamsDefault
        ours = {name: value for name, value in _STYLE.items() if given[name] == default[name]}
        width, height = given["figure.figsize"]
        size = given["font.size"] if self.font_size is None else self.font_size
        figure = (width if self.width is None else self.width, height)
        return {**ours, "figure.figsize": figure, "font.size": size}


def look_of(formats: str, width: float | None, font_size: float | None, title: bool) -> Look:
    """Return the look for a command's options; formats are separated by commas."""
    names = [name.strip().lower() for name in formats.split(",") if name.strip()]
    return Look(formats=tuple(dict.fromkeys(names)), width=width, font_size=font_size, title=title)


def style(look: Look) -> AbstractContextManager[None]:
    """Return the context in which figures are made; it leaves matplotlib's settings unchanged."""
    return matplotlib.style.context(look.settings)


def save(
    figure: Figure, data: pd.DataFrame, folder: ResultsFolder, stem: str, look: Look
) -> list[str]:
    """Write a figure in each format, and its data as CSV; return the file names."""
    with style(look), matplotlib.style.context(dict(_NO_LAYOUT)):
        # laid out once, so that all formats are alike
        figure.set_dpi(matplotlib.rcParams["savefig.dpi"])
        if (layout := figure.get_layout_engine()) is not None:
            layout.execute(figure)
        figure.set_layout_engine()
    for form in look.formats:
        picture = io.BytesIO()
        with style(look):
            figure.savefig(picture, format=form, **FORMATS[form])
        folder.write(f"{stem}.{form}", picture.getvalue())
    folder.write(f"{stem}.csv", csv_bytes(data))
    return [f"{stem}.{form}" for form in (*look.formats, "csv")]


@dataclass(frozen=True, kw_only=True, slots=True)
class FigureKind(Generic[Source]):
    """A kind of figure."""

    # returns the rows to draw, also saved as CSV; empty if there is nothing to draw
    data: Callable[[Source], pd.DataFrame]
    # draws these rows, at least one, on the sheet
    draw: Callable[[Sheet, pd.DataFrame, Source], None]
    needs: str  # what the source needs to have rows; completes "needs ..."

    def figure(
        self, data: pd.DataFrame, source: Source, look: Look, ax: Axes | None = None
    ) -> Figure:
        """Return the figure of these rows, drawn into the user's axes if given."""
        with style(look):
            sheet = Sheet(ax, look.title)
            self.draw(sheet, data, source)
        return sheet.figure


def draw_named(
    kinds: Mapping[str, FigureKind[Source]], name: str, source: Source, ax: Axes | None = None
) -> Figure:
    """Return a figure by its name, drawn into the user's axes if given.

    Raises:
        AnalysisError: the name is unknown, the source lacks the data, or axes are given for a
            figure of several panels.
    """
    if name not in kinds:
        raise AnalysisError(f"a figure must be one of {', '.join(kinds)}, got {name!r}")
    data = kinds[name].data(source)
    if data.empty:
        raise AnalysisError(f"the figure {name} needs {kinds[name].needs}, got none")
    return kinds[name].figure(data, source, Look(), ax)


def write_all(
    kinds: Mapping[str, FigureKind[Source]],
    source: Source,
    folder: ResultsFolder,
    look: Look | None = None,
    *,
    partial: bool = False,
) -> list[str]:
    """Write all figures that have data, with the data as CSV.

    The others are deleted, because they show an earlier source, unless this one is `partial`.

    Returns:
        The names of the files written.
    """
    look, written = look or Look(), []
    for name, kind in kinds.items():
        data = kind.data(source)
        if not data.empty:
            written += save(kind.figure(data, source, look), data, folder, name, look)
        elif not partial:
            for suffix in (*FORMATS, "csv"):
                folder.remove(f"{name}.{suffix}")
    return written
