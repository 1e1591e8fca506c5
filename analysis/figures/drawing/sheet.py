"""The sheet a figure is drawn on: a new figure that grows with its legend, or the user's axes."""

import io
import math
import textwrap
from collections.abc import Sequence
from typing import Any

import matplotlib
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.lines import Line2D
from matplotlib.text import Text
from matplotlib.transforms import ScaledTranslation

from analysis.errors import AnalysisError
from analysis.escaping import escape_math
from analysis.figures.drawing.marks import bound_mark

_POINTS = 72
# in font sizes: mean width of a letter; marker and margin of a legend entry
_LETTER, _HANDLE = 0.55, 5
_MIN_LABEL = 36  # letters
_BELOW = 3.8  # in font sizes: ticks, tick labels and label of an x axis
_SMALL = 0.833
_USUAL_WIDTH = 6.4
_MAX_COLUMNS = 5
_WIDEST_LEGEND = 0.98


class _ShownFigure(Figure):
    """A figure that notebooks show even if pyplot was never imported."""

    def _repr_png_(self) -> bytes:
        image = io.BytesIO()
        self.savefig(image, format="png")
        return image.getvalue()


class Sheet:
    """A figure to draw; it must be made and used within its style."""

    def __init__(self, ax: Axes | None = None, titled: bool = True) -> None:
        """Make a new figure, with or without title, or take the user's axes."""
        self.ax = ax  # None for a new figure
        self._titled = titled
        self._label: Text | None = None
        self.figure = _ShownFigure(layout="constrained") if ax is None else _figure_of(ax)

    def axes(self, height: float) -> Axes:
        """Return the axes of a figure with one panel.

        The height of the figure is in inches, without legend, at matplotlib's usual width.
        """
        if self.ax is not None:
            return self.ax
        self.figure.set_figheight(self._scaled(height))
        return self.figure.add_subplot()

    def stack(self, heights: Sequence[float], **shared: Any) -> list[Axes]:
        """Return panels below one another; heights are in inches at the usual width."""
        self._refuse_ax(len(heights))
        self.figure.set_figheight(sum(map(self._scaled, heights)))
        panels = self.figure.subplots(
            len(heights), 1, squeeze=False, height_ratios=list(heights), **shared
        )
        return list(panels[:, 0])

    def grid(
        self, names: Sequence[str], least: tuple[float, float], label: str, **shared: Any
    ) -> list[Axes]:
        """Return panels in rows, in reading order.

        Args:
            names: title of each panel.
            least: least width and height of a panel, in font sizes.
            label: of the x axes, below the last row.
            **shared: sharex and sharey of `Figure.subplots`.
        """
        self._refuse_ax(len(names))
        size = matplotlib.rcParams["font.size"] / _POINTS
        most = min(max(int(self.figure.get_figwidth() / (least[0] * size)), 1), _MAX_COLUMNS)
        rows = math.ceil(len(names) / most)
        columns = math.ceil(len(names) / rows)
        width = self.figure.get_figwidth() / columns
        height = max(least[1] * size, 0.75 * min(width, 2.4))
        self.figure.set_figheight(rows * height + 4 * size)
        grid = self.figure.subplots(rows, columns, squeeze=False, **shared).ravel()
        panels = list(grid[: len(names)])
        for axes in grid[len(names) :]:
            axes.set_visible(False)
        for axes, name in zip(panels, names, strict=True):
            axes.set_title(escape_math(name), fontsize="small", loc="center", pad=3)
            if len(grid) > len(names):
                # also above a gap in the last row; in every row, so that all are equally high
                axes.tick_params(labelbottom=True)
        for axes in panels[(rows - 1) * columns :]:
            axes.set_xlabel(label, fontsize="small")
        return panels

    def label_y(self, text: str) -> None:
        """Label the y axes of all panels together."""
        font = matplotlib.rcParams["font.size"]
        letters = int(0.8 * self.figure.get_figheight() * _POINTS / (font * _LETTER))
        self._label = self.figure.supylabel(textwrap.fill(text, letters), fontsize="medium")

    def title(self, text: str) -> None:
        """Put a title above everything, at the left; it is never parsed as a formula."""
        if self.ax is not None:
            self.ax.set_title(escape_math(text), wrap=True)
        elif self._titled:
            self.figure.suptitle(escape_math(text), x=0.01, ha="left", wrap=True)

    def legend(self, handles: Sequence[Artist]) -> None:
        """Put a legend below everything, if it has entries; a new figure grows to make room."""
        if not handles:
            return
        font = matplotlib.rcParams["font.size"]
        # a label may take half the width, or all of a narrow figure
        room = self.figure.get_figwidth() * _POINTS / (_SMALL * font * _LETTER) - _HANDLE
        letters = int(max(room / 2, min(room, _MIN_LABEL)))
        for handle in handles:
            lines = str(handle.get_label()).split("\n")
            handle.set_label("\n".join(textwrap.fill(line, letters) for line in lines))
        if self.ax is not None:
            below = ScaledTranslation(0, -_BELOW * font / _POINTS, self.figure.dpi_scale_trans)
            place = {"bbox_to_anchor": (0.5, 0), "bbox_transform": self.ax.transAxes + below}
            self.ax.legend(handles=list(handles), loc="upper center", **place)
            return
        legend = self._widest_legend(handles)
        height = legend.get_window_extent().height / self.figure.dpi
        self.figure.set_figheight(self.figure.get_figheight() + height)
        if self._label is not None:
            # beside the panels, not beside the legend
            self._label.set_y((1 + height / self.figure.get_figheight()) / 2)

    def _widest_legend(self, handles: Sequence[Artist]) -> Legend:
        """Return a legend with as many columns as fit the width of the figure."""
        for columns in range(len(handles), 0, -1):
            legend = self.figure.legend(
                handles=list(handles), loc="outside lower center", ncols=columns
            )
            width = legend.get_window_extent().width
            if columns == 1 or width <= _WIDEST_LEGEND * self.figure.bbox.width:
                break
            legend.remove()
        return legend

    def _scaled(self, height: float) -> float:
        """Return a height scaled to the width of the figure, less than in proportion."""
        return height * math.sqrt(self.figure.get_figwidth() / _USUAL_WIDTH)

    def _refuse_ax(self, panels: int) -> None:
        if self.ax is not None:
            raise AnalysisError(
                f"ax must be left out for a figure of {panels} panels, got axes; draw the figure "
                "by itself"
            )


def key(label: str, **style: Any) -> Line2D:
    """Return a legend entry with a style of `Line2D`."""
    return Line2D([], [], label=label, **style)


def bound_key(label: str, color: str, downward: bool = False) -> Line2D:
    """Return the legend entry of bounds."""
    return key(label, color=color, **bound_mark(downward, legend=True))


def _figure_of(ax: Axes) -> Figure:
    flat = isinstance(ax, Axes) and ax.name == "rectilinear"  # neither polar nor in 3D
    figure = ax.get_figure(root=True) if flat else None
    if figure is None:
        raise AnalysisError(
            f"ax must be rectangular matplotlib axes of a figure, got {ax!r:.100}; make new ones"
        )
    return figure
