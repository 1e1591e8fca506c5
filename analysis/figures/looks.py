"""How studies that are drawn together are told apart: a colour and a marker each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from analysis.comparison.compare import Compared
from analysis.figures.style import BLUE, GREEN, GREY, ORANGE, PURPLE, ramp

_COLORS = (BLUE, ORANGE, GREEN, PURPLE, GREY)
_MARKERS = "osDvp"


@dataclass(frozen=True, kw_only=True, slots=True)
class Look:
    """Colour and marker of one study."""

    color: str
    marker: str


def looks(studies: Sequence[Compared]) -> Mapping[str, Look]:
    """Gives every study its own look, the same in every figure.

    Args:
        studies: those of a comparison, in its order.

    Returns:
        The looks by name of the study.
    """
    few = len(studies) <= len(_COLORS)
    colors = _COLORS if few else ramp(len(studies))
    return {
        study.name: Look(color=colors[place], marker=_MARKERS[place % len(_MARKERS)])
        for place, study in enumerate(studies)
    }
