"""The style that all figures share, and how a figure is saved: PNG, SVG and the drawn data."""

import io
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

import matplotlib
import matplotlib.style
import numpy as np
import pandas as pd
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from analysis.tables.folder import ResultsFolder

BLUE = "#0072B2"
ORANGE = "#D55E00"
GREEN = "#009E73"
YELLOW = "#F0E442"
PURPLE = "#CC79A7"
INK = "#222222"
GRAY = "#6E6E6E"
PALE = "#C4C4C4"
"""Colors that color-blind readers can tell apart (Okabe and Ito 2008), and grays."""

WIDTH = 6.4
"""Inches."""
SMALL = 8.5
"""Points."""

_STYLE: Mapping[str, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 10,
    "figure.titlesize": 10.5,
    "axes.titlesize": 10.5,
    "axes.titlelocation": "left",
    "axes.titlepad": 8,
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
    # SVG text stays text, and element ids are not random: the same study gives the same file
    "svg.fonttype": "none",
    "svg.hashsalt": "batchscale",
}
_PICTURES: Mapping[str, Mapping[str, Any]] = {
    "png": {"dpi": 200, "metadata": {"Software": None}},
    "svg": {"metadata": {"Date": None}},
}


def style() -> AbstractContextManager[None]:
    """Return the context in which figures are made; matplotlib's own settings stay untouched."""
    return matplotlib.style.context(["default", dict(_STYLE)])


def ramp(count: int) -> list[str]:
    """Return hexadecimal colors from dark to light for an ordered quantity (viridis)."""
    # the last sixth of viridis is too pale for lines on white
    return [to_hex(color) for color in matplotlib.colormaps["viridis"](np.linspace(0, 0.84, count))]


def save(figure: Figure, data: pd.DataFrame, folder: ResultsFolder, stem: str) -> list[str]:
    """Write a figure as PNG and SVG, and the data it draws as CSV.

    Returns:
        The names of the files written: the stem with each ending.
    """
    for form, options in _PICTURES.items():
        picture = io.BytesIO()
        with style():
            figure.savefig(picture, format=form, **options)
        folder.write(f"{stem}.{form}", picture.getvalue())
    folder.write(f"{stem}.csv", data.to_csv(index=False, lineterminator="\n").encode())
    return [f"{stem}.{form}" for form in (*_PICTURES, "csv")]
