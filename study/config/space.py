"""Search spaces: ranges with a scale, and the domain of each hyperparameter."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Number = Annotated[float, Field(strict=True)]
Flag = Annotated[bool, Field(strict=True)]


class Scale(StrEnum):
    """The quantity in which a range is covered evenly."""

    LINEAR = "linear"
    """The value itself."""
    LOG = "log"
    """The logarithm of the value."""
    REVERSE_LOG = "reverse-log"
    """The logarithm of 1 - value (Shallue et al. 2018: momentum)."""


_SCALES: Mapping[Scale, tuple[Callable[[float], float], Callable[[float], float]]] = {
    Scale.LINEAR: (float, float),
    Scale.LOG: (math.log, math.exp),
    Scale.REVERSE_LOG: (lambda value: math.log1p(-value), lambda here: -math.expm1(here)),
}
"""Functions from a value to its place on the scale, and back."""


class Range(BaseModel):
    """A searched interval, ends included."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True
    )

    low: Number
    """Lower end."""
    high: Number
    """Upper end, above `low`."""
    scale: Scale = Scale.LINEAR
    """What is covered evenly: the value, its logarithm, or the logarithm of 1 - value."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not self.low < self.high:
            raise ValueError(
                f"`low` must be less than `high`, got low = {self.low:g} and high = {self.high:g}; "
                "swap them, or give a plain number to fix the value"
            )
        if self.scale is Scale.LOG and self.low <= 0:
            raise ValueError(
                f"`low` must be above 0 on a log scale, got {self.low:g}; "
                'raise it or use scale = "linear"'
            )
        if self.scale is Scale.REVERSE_LOG and self.high >= 1:
            raise ValueError(f"`high` must be below 1 on a reverse-log scale, got {self.high:g}")
        return self

    def at(self, position: float) -> float:
        """Return the value at a position on the scale, from 0 (low) to 1 (high).

        >>> round(Range(low=1e-4, high=1.0, scale="log").at(0.5), 12)
        0.01
        """
        return min(max(self.beyond(position), self.low), self.high)

    def beyond(self, position: float) -> float:
        """Return the value at a position on the scale, which may be below 0 or above 1."""
        to, back = _SCALES[self.scale]
        low, high = to(self.low), to(self.high)
        return back(low + (high - low) * position)

    def position(self, value: float) -> float:
        """Return the position of a value on the scale: 0 at `low`, 1 at `high`."""
        low, high, here = map(_SCALES[self.scale][0], (self.low, self.high, value))
        return (here - low) / (high - low)


@dataclass(frozen=True, kw_only=True, slots=True)
class Hyperparameter:
    """A number that the search may set."""

    # a workload declares its own as plain data, which pydantic validates
    __pydantic_config__: ClassVar = ConfigDict(extra="forbid")

    default: Range | Number  # if the study file has no entry
    low: Number
    high: Number = math.inf
    low_open: Flag = False  # whether `low` itself is excluded
    high_open: Flag = True

    def allows(self, value: float) -> bool:
        """Return whether a value lies in the domain."""
        above = value > self.low if self.low_open else value >= self.low
        below = value < self.high if self.high_open else value <= self.high
        return above and below

    def domain(self) -> str:
        """Return the domain in interval notation, such as [0, 1)."""
        left, right = "(" if self.low_open else "[", ")" if self.high_open else "]"
        return f"{left}{self.low:g}, {self.high:g}{right}"


Space = Mapping[str, Range | float]
"""Hyperparameters by name: a range is searched, a plain number is fixed."""


def ends(entry: Range | float) -> tuple[float, float]:
    """Return the least and the greatest value of an entry of a space."""
    return (entry.low, entry.high) if isinstance(entry, Range) else (entry, entry)


def middle(entry: Range | float) -> float:
    """Return the value in the middle of an entry of a space, on its scale."""
    return entry.at(0.5) if isinstance(entry, Range) else entry


def plain(space: Space) -> dict[str, Any]:
    """Return a space as plain data for a study file."""
    return {n: e.model_dump(mode="json") if isinstance(e, Range) else e for n, e in space.items()}
