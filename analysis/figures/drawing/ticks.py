"""Axes with readable ticks: the measured batch sizes, and round numbers elsewhere."""

import math
import textwrap
from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from typing import Any, Literal

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.axis import Axis, XAxis
from matplotlib.font_manager import FontProperties
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

MARGIN = 1.3
"""Margin beyond the smallest and the largest batch size, as a factor."""
PLAIN = FuncFormatter(lambda value, _: f"{value:.12g}")
"""Writes tick labels without an exponent, unless they are very small or very large."""
_GROUPED = FuncFormatter(lambda value, _: f"{value:,.0f}")

# digits of the ticks in each decade, from few to many
_DIGITS: Sequence[Sequence[float]] = (
    (1,),
    (1, 3),
    (1, 2, 5),
    (1, 1.5, 2, 3, 5, 7),
    (1, 1.2, 1.4, 1.6, 1.8, 2, 2.5, 3, 3.5, 4, 5, 6, 7, 8, 9),
    tuple(np.arange(10, 100, 2) / 10),
)
_STRIDES = (6, 4, 3, 2)
# in font sizes: width of a digit, gap between labels, height of a label, width of a letter
_DIGIT, _BETWEEN, _LINE, _LETTER = 0.62, 0.9, 1.6, 0.55
_MIN_LABEL = 16  # letters
_POINTS = 72


def batch_size_axis(axes: Axes, sizes: "pd.Series[Any]") -> None:
    """Scale the x axis to batch sizes, with a margin on both sides.

    The ticks are the largest batch size and those of the others that have room.
    """
    low, high = float(sizes.min()) / MARGIN, float(sizes.max()) * MARGIN
    axes.set_xscale("log", base=2)
    axes.set_xlim(low, high)
    set_ticks(axes.xaxis, _that_fit(axes, sorted(set(sizes.astype(float))), PLAIN))


def token_axis(axes: Axes, tokens: int) -> None:
    """Add an axis in tokens at the top, with `tokens` per example."""
    both_ways = (partial(np.multiply, tokens), partial(np.multiply, 1 / tokens))
    top = axes.secondary_xaxis(1.02, functions=both_ways)  # clear of marks at the top
    in_tokens = [tick * tokens for tick in axes.get_xticks()]
    set_ticks(top.xaxis, _that_fit(axes, in_tokens, _GROUPED), _GROUPED)
    top.set_xlabel("Batch size (tokens)")


def _that_fit(axes: Axes, ticks: Sequence[float], form: FuncFormatter) -> list[float]:
    """Return those of some increasing ticks whose labels fit along x, the last one first."""
    low, high = axes.get_xlim()
    size = _font_size(axes.xaxis) / _POINTS
    per_inch = math.log(high / low) / inches(axes.xaxis)
    # the same distance for all labels, so that e.g. every second power of two has a tick
    room = (_DIGIT * max(len(form(tick)) for tick in ticks) + _BETWEEN) * size * per_inch
    kept: list[float] = []
    for tick in reversed(ticks):
        if not kept or math.log(kept[-1] / tick) >= room:
            kept.append(tick)
    return kept[::-1]


def log_axis(
    axis: Axis, low: float, high: float, least: int = 5, ticks_to: float = math.inf
) -> None:
    """Make an axis logarithmic from `low` > 0 to `high`, with ticks at round numbers.

    It has at least `least` ticks if there is room, none above `ticks_to`.
    """
    side = "x" if isinstance(axis, XAxis) else "y"
    axis.axes.set(**{f"{side}scale": "log", f"{side}lim": (low, high)})
    set_ticks(axis, _round_ticks(axis, low, min(high, ticks_to), least))


def fitted_axis(axis: Axis, values: "pd.Series[Any] | pd.DataFrame", margin: float = 1.35) -> None:
    """Make an axis logarithmic and fit it to its values, unless some of them are negative.

    Zeros, which have no logarithm, are ignored.
    """
    numbers = values.to_numpy(float)
    positive = numbers[numbers > 0]
    if positive.size and not (numbers < 0).any():
        log_axis(axis, positive.min() / margin, positive.max() * margin, least=3)


def with_minus(text: str) -> str:
    """Return a text with minus signs instead of hyphens, as in matplotlib's own numbers."""
    return text.replace("-", "\N{MINUS SIGN}")


def label_axis(axis: Axis, text: str) -> None:
    """Label an axis, on several lines if it is too short for one."""
    size = float(FontProperties(size=matplotlib.rcParams["axes.labelsize"]).get_size_in_points())
    # the layout makes axes higher than in matplotlib's default place, but in a column no wider
    share = 1.0 if isinstance(axis, XAxis) else 1.1
    letters = max(int(share * inches(axis) * _POINTS / (_LETTER * size)), _MIN_LABEL)
    axis.set_label_text("\n".join(_balanced(line, letters) for line in text.split("\n")))


def _balanced(text: str, letters: int) -> str:
    """Return text on as few lines as a width in letters allows, as narrow as these can be."""
    count = len(textwrap.wrap(text, letters))
    fills = (textwrap.wrap(text, width, break_long_words=False) for width in range(1, letters + 1))
    return "\n".join(next((fill for fill in fills if len(fill) <= count), [text]))


def _round_ticks(axis: Axis, low: float, high: float, least: int) -> list[float]:
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    sparse = [[10.0**k for k in decades if k % stride == 0] for stride in _STRIDES]
    dense = [[float(f"{d}e{k}") for k in decades for d in digits] for digits in _DIGITS]
    choices = [[t for t in ticks if low <= t <= high] for ticks in (*sparse, *dense)]
    length = math.log(high / low)
    fits = [ticks for ticks in choices if _fit(axis, ticks, length)] or [[]]
    return next((ticks for ticks in fits if len(ticks) >= least), fits[-1])


def _fit(axis: Axis, ticks: Sequence[float], length: float) -> bool:
    """Return whether these ticks fit an axis; `length` is that of its logarithm."""
    if len(ticks) > _room(axis, ticks):
        return False
    closest = min((math.log(b / a) for a, b in pairwise(ticks)), default=length)
    label = _font_size(axis) / _POINTS
    return isinstance(axis, XAxis) or closest / length * inches(axis) >= label


def _room(axis: Axis, ticks: Sequence[float]) -> int:
    """Return how many evenly spaced labels of such ticks fit an axis."""
    label = _LINE
    if isinstance(axis, XAxis):
        label = _DIGIT * max((len(PLAIN(tick)) for tick in ticks), default=1) + _BETWEEN
    return max(int(inches(axis) / (label * _font_size(axis) / _POINTS)), 2)


def set_ticks(axis: Axis, ticks: Sequence[float], form: FuncFormatter = PLAIN) -> None:
    """Give an axis these ticks and no others."""
    axis.set_major_locator(FixedLocator(list(ticks)))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(form)


def _font_size(axis: Axis) -> float:
    side: Literal["xtick.labelsize", "ytick.labelsize"]
    side = "xtick.labelsize" if isinstance(axis, XAxis) else "ytick.labelsize"
    size = axis.get_tick_params().get("labelsize", matplotlib.rcParams[side])
    return float(FontProperties(size=size).get_size_in_points())


def inches(axis: Axis) -> float:
    """Return the length of an axis; before the layout, its length in matplotlib's default place."""
    # of the figure or subfigure that contains the axes
    whole, place = axis.axes.figure.bbox, axis.axes.get_position()
    dots = place.width * whole.width if isinstance(axis, XAxis) else place.height * whole.height
    return float(dots / axis.axes.figure.dpi)
