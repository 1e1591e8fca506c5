"""Plain data exchanged by driver and workers, and the results of a trial."""

import functools
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from enum import StrEnum
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

Floats = NDArray[np.float64]
Steps = NDArray[np.int64]
Record = TypeVar("Record", "Cohort", "Region")


class Status(StrEnum):
    """How a trial ended."""

    REACHED = "reached"
    """A measurement fell below the target."""
    EXHAUSTED = "exhausted"
    """The step budget was spent above the target."""
    CAPPED = "capped"
    """Stopped at slack x the fewest steps at its batch size: it could no longer be the best."""
    PRUNED = "pruned"
    """Dropped at a rung of its race, behind the better half: it had not reached the target."""
    DIVERGED = "diverged"
    """A loss or error was not finite; or the loss ended above its initial value with the error
    less than halfway from its initial value to the target. Where lanes are pruned, a loss ten times
    its initial value with such an error ends the trial at once."""
    FAILED = "failed"
    """Ended by an exception or the time limit of its cohort; the message says which."""


class Role(StrEnum):
    """Why a trial was run."""

    SEARCH = "search"
    """A point that the search proposed in the study's box."""
    EXTENSION = "extension"
    """A point that the search proposed in a region that widens the box."""
    WARM = "warm"
    """The best point of a neighboring batch size, transferred by a scaling rule."""
    REPLICATE = "replicate"
    """A re-run of one of the best points with a fresh seed."""
    RECIPE = "recipe"
    """The point that a recipe's scaling rule predicts at a batch size, run without a search."""


UNSEARCHED = frozenset({Role.REPLICATE, Role.RECIPE})
"""Roles of trials that a search did not propose."""


class ScalingRule(StrEnum):
    """How hyperparameters follow the batch size when a point is transferred."""

    SAME = "same"
    """All hyperparameters stay the same."""
    LINEAR = "linear"
    """The learning rate is proportional to the batch size."""
    SQUARE_ROOT = "square-root"
    """The learning rate is proportional to the square root of the batch size."""
    SDE = "sde"
    """The learning rate as with square-root; 1 - beta1 and 1 - beta2 are proportional to the batch
    size, eps to the inverse of its square root."""
    LAMB = "lamb"
    """Untuned LAMB: square-root scaling from a published point, with linearly longer warm-up."""


@dataclass(frozen=True, slots=True)
class Source:
    """The origin of a transferred point, and the scaling rule applied.

    `role` and `trial` identify a trial; both are None for an untuned recipe's published point.
    """

    batch_size: int
    role: Role | None
    trial: int | None
    rule: ScalingRule


@dataclass(frozen=True, kw_only=True, slots=True)
class Point:
    """One trial to run: a point of the search space, and the seed of its initialization and order.

    Trials are numbered within their batch size and role. `source` is None for a point that the
    search proposed.
    """

    trial: int
    seed: int
    values: Mapping[str, float]
    role: Role = Role.SEARCH
    source: Source | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Region:
    """A piece of search space that widens the box of a batch size."""

    number: int  # counted from 1 in the order of widening
    box: Mapping[str, tuple[float, float]]  # (low, high) by searched hyperparameter
    first: int  # number of its first trial
    trials: int  # sampled in it


@dataclass(frozen=True, kw_only=True, slots=True)
class Cohort:
    """Trials of one batch size that one worker trains in lockstep, one lane each."""

    batch_size: int
    points: tuple[Point, ...]  # those of the first point's role have consecutive numbers
    # fewest steps to target among the cohorts that must end before this one starts
    best_steps: int | None = None
    # expected fewest steps of its race, which rungs are fractions of; None without rungs
    expected_steps: int | None = None
    region: Region | None = None  # of an extension

    @property
    def number(self) -> int:
        """Number of its first trial, which identifies it within batch size and role."""
        return self.points[0].trial

    @property
    def role(self) -> Role:
        """Role of its first trial; only warm points may join points of another role."""
        return self.points[0].role


@dataclass(frozen=True, kw_only=True, slots=True)
class Lap:
    """Progress of a cohort's race."""

    batch_size: int
    share: float  # of the race completed, from 0 to 1
    loss: float | None  # lowest validation loss in the last lap; None without a measurement
    steps_per_second: float  # since the race began, summed over trials


@dataclass(frozen=True, kw_only=True, slots=True)
class Curve:
    """A trial's finite measurements in step order from step 0, arrays of shape (measurements,)."""

    step: Steps  # optimizer updates before the measurement
    train_loss: Floats  # mean mini-batch loss since the previous measurement; NaN at step 0
    val_loss: Floats  # mean loss over the validation examples
    val_error: Floats  # the quantity that the target refers to
    seconds: Floats  # wall-clock time of the cohort since its race began
    further: Mapping[str, Floats] = field(default_factory=dict)  # by name; NaN where not measured

    @classmethod
    def empty(cls) -> "Curve":
        """Return the curve of a trial that was never measured."""
        none, step = np.empty(0), np.empty(0, dtype=np.int64)
        return cls(step=step, train_loss=none, val_loss=none, val_error=none, seconds=none)

    @classmethod
    def of(cls, columns: Mapping[str, NDArray[Any]]) -> "Curve":
        """Return the curve with these columns; those not in `CURVE_FIELDS` become `further`."""
        own = {name: columns[name] for name in CURVE_FIELDS}
        further = {name: column for name, column in columns.items() if name not in own}
        return cls(**own | {"step": own["step"].astype(np.int64, copy=False)}, further=further)

    @classmethod
    def of_rows(cls, rows: Sequence[Sequence[float]], further: Sequence[str]) -> "Curve":
        """Return the curve of these measurements, each with `CURVE_FIELDS` and then `further`."""
        if not rows:
            return cls.empty()
        columns = np.array(rows, dtype=np.float64).T
        return cls.of(dict(zip((*CURVE_FIELDS, *further), columns, strict=True)))

    def column(self, name: str) -> NDArray[Any]:
        """Return the column of this name, all NaN if the curve has none."""
        own: NDArray[Any] | None = getattr(self, name) if name in CURVE_FIELDS else None
        return self.further.get(name, np.full(self.step.size, np.nan)) if own is None else own

    def until(self, rows: int) -> "Curve":
        """Return the first `rows` measurements."""
        if rows >= self.step.size:
            return self
        columns = {name: getattr(self, name)[:rows] for name in CURVE_FIELDS}
        return Curve(**columns, further={n: column[:rows] for n, column in self.further.items()})


CURVE_FIELDS = tuple(field.name for field in fields(Curve) if field.name != "further")
"""The columns of every curve, in order."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """How a trial ended."""

    status: Status
    steps: int | None  # to the target; None unless reached
    steps_before: int | None  # step of the last measurement before the target; None unless reached
    stopped_at: int  # last step taken
    best_error: float | None  # lowest validation error after step 0; None without a finite one


@dataclass(frozen=True, slots=True)
class Seconds:
    """A trial's share of its cohort's wall-clock time in seconds; no result depends on it."""

    total: float = 0.0  # of the race
    training: float = 0.0  # of the total, spent in training steps
    evaluation: float = 0.0  # of the total, spent in measurements


@dataclass(frozen=True, slots=True)
class Execution:
    """How a cohort was computed."""

    mode: str  # packed, looped, dynamics or program
    pack: int  # lanes computed together, >= 1
    micro_batch: int | None  # examples per pass; None for lanes without batches


@dataclass(frozen=True, kw_only=True, slots=True)
class TrialResult:
    """One finished trial: the point, its measurements and how it ended.

    `cohort` is the number of its cohort, and `region` the cohort's; `execution` is None if it
    failed.
    """

    batch_size: int
    cohort: int
    point: Point
    curve: Curve
    outcome: Outcome
    seconds: Seconds
    message: str = ""
    execution: Execution | None = None
    region: Region | None = None

    @property
    def rank(self) -> tuple[float, float]:
        """Sort key of trials of a batch size: the fewest steps first, then the lowest error."""
        steps, error = self.outcome.steps, self.outcome.best_error
        return math.inf if steps is None else steps, math.inf if error is None else error

    def without_curve(self) -> "TrialResult":
        """Return the result with an empty curve, to save memory."""
        return replace(self, curve=Curve.empty())


def record_to_json(record: Cohort | Region) -> str:
    """Return a record as JSON that :func:`record_from_json` restores exactly.

    NaN and infinite floats are refused with a `ValueError`.
    """
    return json.dumps(asdict(record), allow_nan=False)


def record_from_json(kind: type[Record], text: str | bytes) -> Record:
    """Return the record of a JSON text, with its enums and tuples restored.

    Any other text, and one with a NaN or infinite float, is refused with a `ValueError`.
    """
    data = json.loads(text, parse_constant=_refuse)
    record: Record = _adapter(kind).validate_python(data)  # type: ignore[arg-type]  # types hash
    return record


@functools.cache  # built on first use, because it would slow every import
def _adapter(kind: type[Any]) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def _refuse(constant: str) -> None:
    raise ValueError(f"numbers in a record must be finite, got {constant}")
