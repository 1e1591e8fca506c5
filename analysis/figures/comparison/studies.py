"""The color and the marker of each study of a comparison, the same in every figure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from analysis.comparison.compare import Compared
from analysis.figures.drawing.style import BLUE, GRAY, GREEN, ORANGE, PURPLE, ramp

_COLORS = (BLUE, ORANGE, GREEN, PURPLE, GRAY)
_MARKERS = "osDvp"


@dataclass(frozen=True, kw_only=True, slots=True)
class StudyStyle:
    """Color and marker of one study."""

    color: str
    marker: str


def study_styles(studies: Sequence[Compared]) -> Mapping[str, StudyStyle]:
    """Return the style of each study of a comparison, by the study's name."""
    colors = _COLORS if len(studies) <= len(_COLORS) else ramp(len(studies))
    return {
        study.name: StudyStyle(color=colors[place], marker=_MARKERS[place % len(_MARKERS)])
        for place, study in enumerate(studies)
    }
