"""How each study of a comparison is told apart, in every figure in the same way."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from matplotlib.lines import Line2D

from analysis.comparison.compare import Compared
from analysis.escaping import escape_math
from analysis.figures.drawing.colors import OKABE_ITO, color, ramp
from analysis.figures.drawing.sheet import key

_MARKERS = "osDvp"
# share of the distance between two batch sizes that the points of all studies take
_SPREAD = 0.2


def study_styles(studies: Sequence[Compared]) -> Mapping[str, Mapping[str, Any]]:
    """Return color and marker of each study of a comparison, by the study's name."""
    few = len(studies) <= len(OKABE_ITO)
    colors = [color(place) for place in range(len(studies))] if few else ramp(len(studies))
    return {
        study.name: {"color": colors[place], "marker": _MARKERS[place % len(_MARKERS)]}
        for place, study in enumerate(studies)
    }


def study_keys(
    studies: Sequence[Compared], styles: Mapping[str, Mapping[str, Any]]
) -> list[Line2D]:
    """Return the legend's entries for the studies."""
    return [key(escape_math(_short(study.label)), **styles[study.name]) for study in studies]


def _short(label: str) -> str:
    """Return a label without the sections of its keys."""
    return re.sub(r"(?:\w+\.)+(?=\w+ = )", "", label)


def side_by_side(names: Sequence[str], sizes: "pd.Series[Any]") -> Mapping[str, float]:
    """Return by which factor the points of each study stand beside their batch size.

    So the intervals of one batch size do not hide each other.
    """
    distinct = pd.Series(sorted(set(sizes.astype(float))))
    nearest = float((distinct / distinct.shift()).min()) if len(distinct) > 1 else 2.0
    middle = (len(names) - 1) / 2
    step = _SPREAD / max(len(names) - 1, 1)
    return {name: nearest ** (step * (place - middle)) for place, name in enumerate(names)}
