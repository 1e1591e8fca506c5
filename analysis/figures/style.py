"""One look for all figures, and how a figure is saved: picture, vector picture and drawn data."""

import io
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

import matplotlib
import matplotlib.style
import numpy as np
import pandas as pd
from matplotlib.axis import Axis
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from analysis.tables.folder import ResultsFolder

BLUE = "#0072B2"
ORANGE = "#D55E00"
GREEN = "#009E73"
YELLOW = "#F0E442"
PURPLE = "#CC79A7"
INK = "#222222"
GREY = "#6E6E6E"
PALE = "#C4C4C4"
"""Colours that colour-blind readers can tell apart (Okabe and Ito 2008), and greys."""

WIDTH = 6.4
SMALL = 8.5

_STYLE: Mapping[str, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 10,
    "axes.titlesize": 10.5,
    "axes.labelsize": 10,
    "axes.edgecolor": INK,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "legend.fontsize": SMALL,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    # text stays text, and identifiers do not depend on chance: the same study, the same file
    "svg.fonttype": "none",
    "svg.hashsalt": "batchscale",
}
_PICTURES: Mapping[str, Mapping[str, Any]] = {
    "png": {"dpi": 200, "metadata": {"Software": None}},
    "svg": {"metadata": {"Date": None}},
}

PLAIN = FuncFormatter(lambda value, _: f"{value:.15g}")
"""Writes tick labels without exponent."""


def style() -> AbstractContextManager[None]:
    """Gives the context in which a figure is made; outside it nothing changes."""
    return matplotlib.style.context(["default", dict(_STYLE)])


def ramp(count: int) -> list[str]:
    """Gives colours from dark to light, in the order of a quantity, for colour-blind readers too.

    Args:
        count: how many, >= 1.

    Returns:
        Colours as hexadecimal codes.
    """
    # the last sixth of viridis is too pale for lines on white
    return [to_hex(color) for color in matplotlib.colormaps["viridis"](np.linspace(0, 0.84, count))]


def power_of_two_ticks(axis: Axis, low: float, high: float, most: int = 10) -> None:
    """Puts plain-number ticks at powers of two, every second or third one where they are many.

    Args:
        axis: an axis with a logarithmic scale.
        low: least value shown, > 0.
        high: greatest value shown.
        most: how many ticks there may be, >= 1.
    """
    powers = [k for k in range(-64, 64) if low <= 2.0**k <= high]
    stride = -(-len(powers) // most)
    axis.set_major_locator(FixedLocator([2.0**k for k in powers[:: max(stride, 1)]]))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(PLAIN)


def save(figure: Figure, data: pd.DataFrame, folder: ResultsFolder, stem: str) -> list[str]:
    """Writes a figure as PNG and SVG, and beside them what it draws as CSV.

    Args:
        figure: the figure.
        data: the drawn data.
        folder: where to; made where missing.
        stem: file name without ending.

    Returns:
        The names of the files written.
    """
    for form, options in _PICTURES.items():
        picture = io.BytesIO()
        with style():
            figure.savefig(picture, format=form, **options)
        folder.write(f"{stem}.{form}", picture.getvalue())
    folder.write(f"{stem}.csv", data.to_csv(index=False, lineterminator="\n").encode())
    return [f"{stem}.{form}" for form in (*_PICTURES, "csv")]
