"""Labels beside the ends of lines, moved apart where they would overlap."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from matplotlib.axes import Axes

from analysis.figures.drawing.style import SMALL

_GAP_INCHES = 0.15
_AWAY_POINTS = 7
_ABOVE_POINTS = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class EndLabel:
    """A label in the color of a line, which ends at x and y in data coordinates."""

    text: str
    color: str
    x: float
    y: float


def spread_out(places: Sequence[float], gap: float) -> list[float]:
    """Return the places moved at least `gap` >= 0 apart, as little as possible, in their order.

    >>> spread_out([5.0, 1.0, 1.0], gap=1.0)
    [5.0, 0.5, 1.5]
    """
    order = sorted(range(len(places)), key=lambda index: places[index])
    # neighbors that touch form a block, centered on the mean of its members' places
    blocks: list[list[int]] = []
    for index in order:
        blocks.append([index])
        while (
            len(blocks) > 1
            and _reach(blocks[-2], places, gap)[1] + gap > _reach(blocks[-1], places, gap)[0]
        ):
            last = blocks.pop()
            blocks[-1] += last
    moved = list(places)
    for block in blocks:
        first, _ = _reach(block, places, gap)
        for rank, index in enumerate(block):
            moved[index] = first + rank * gap
    return moved


def _reach(block: Sequence[int], places: Sequence[float], gap: float) -> tuple[float, float]:
    half = gap * (len(block) - 1) / 2
    middle = sum(places[index] for index in block) / len(block)
    return middle - half, middle + half


def label_ends(
    axes: Axes, labels: Sequence[EndLabel], height: float, side: Literal["left", "right"] = "right"
) -> None:
    """Write labels beside the outermost ends of lines, and above the ends of shorter lines.

    Args:
        axes: the axes, with limits and scales set.
        labels: the labels, at least one.
        height: of the axes, inches.
        side: the side on which the lines end.
    """
    away = {"left": -1, "right": 1}[side]
    style: dict[str, Any] = {
        "textcoords": "offset points",
        "ha": {"left": "right", "right": "left"}[side],
        "fontsize": SMALL,
        "annotation_clip": False,
    }
    outermost = max(labels, key=lambda label: away * label.x).x
    beside = [label for label in labels if label.x == outermost]
    shares = axes.transScale + axes.transLimits
    places = [float(shares.transform((label.x, label.y))[1]) for label in beside]
    for label, place in zip(beside, spread_out(places, _GAP_INCHES / height), strict=True):
        axes.annotate(
            label.text,
            (label.x, place),
            xycoords=axes.get_xaxis_transform(),
            xytext=(away * _AWAY_POINTS, 0),
            va="center",
            color=label.color,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.6},
            **style,
        )
    for label in labels:
        if label.x != outermost:
            above, end = (away, _ABOVE_POINTS), (label.x, label.y)
            axes.annotate(label.text, end, xytext=above, va="bottom", color=label.color, **style)
