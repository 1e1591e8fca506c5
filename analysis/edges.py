"""Whether the best trials of a search crowd at an edge of its box."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np

from analysis.models import Floats

NEAR = 0.1
LEAST = 3


class Verdict(StrEnum):
    """Where the best trials lie."""

    INTERIOR = "interior"
    """Away from the bound."""
    EDGE = "edge"
    """At the bound."""


class End(StrEnum):
    """A side of a range."""

    LOW = "low"
    HIGH = "high"


@dataclass(frozen=True, slots=True)
class Side:
    """The verdict on one side of one hyperparameter's range."""

    hyperparameter: str
    end: End
    verdict: Verdict


_SCALES: Mapping[str, Callable[[Any], Any]] = {
    "linear": lambda value: value,
    "log": np.log,
    "reverse-log": lambda value: np.log1p(-value),
}


def edge_verdicts(
    values: Mapping[str, Floats],
    box: Mapping[str, Mapping[str, Any]],
    steps: Floats,
    diverged: Floats,
) -> tuple[Side, ...]:
    """Gives the verdict on every side of the box: is the best decile within a tenth of it?"""
    count = min(max(LEAST, math.ceil(len(steps) / 10)), int(np.isfinite(steps).sum()))
    best = np.argsort(steps, kind="stable")[:count]
    sides = []
    for name, entry in box.items() if count else ():
        scale = _SCALES[entry["scale"]]
        low, high = scale(entry["low"]), scale(entry["high"])
        place = float(np.median((scale(values[name][best]) - low) / (high - low)))
        for end, near in ((End.LOW, place < NEAR), (End.HIGH, place > 1 - NEAR)):
            sides.append(Side(name, end, Verdict.EDGE if near else Verdict.INTERIOR))
    return tuple(sides)
