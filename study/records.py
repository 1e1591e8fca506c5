"""The plain data that travel between driver and workers, and what a trial leaves behind."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Steps = NDArray[np.int64]


class Status(StrEnum):
    """How a trial ended."""

    REACHED = "reached"
    """A measurement fell below the target."""
    EXHAUSTED = "exhausted"
    """The step budget was spent above the target."""
    CAPPED = "capped"
    """Stopped at slack x the fewest steps at its batch size: it could no longer be the best."""
    DIVERGED = "diverged"
    """A loss or error was not finite; or the loss ended above its start, the error less than
    halfway from its start to the target."""
    FAILED = "failed"
    """An exception ended it, or the time for its cohort was over; the message says which."""


class Role(StrEnum):
    """Why a trial was run."""

    SEARCH = "search"
    """A point proposed by the search, in the study's box."""
    EXTENSION = "extension"
    """A point of the search in a part by which the box was widened."""
    WARM = "warm"
    """A neighbouring batch size's best point, its learning rate scaled by a rule."""
    REPLICATE = "replicate"
    """A re-run of one of the best points with a fresh seed."""
    RECIPE = "recipe"
    """The point that a recipe's rule gives at a batch size without a search, on a fresh seed."""


class ScalingRule(StrEnum):
    """How a trial's point follows from the one that it was taken from."""

    SAME = "same"
    """All hyperparameters as they are."""
    LINEAR = "linear"
    """The learning rate grows as the batch size."""
    SQUARE_ROOT = "square-root"
    """The learning rate grows as the square root of the batch size."""
    LAMB = "lamb"
    """LAMB's untuned rule: a square-root rule from a published point, warm-up growing linearly."""


@dataclass(frozen=True, slots=True)
class Source:
    """What a point was taken from, and the rule that made the point of it.

    That is a trial, or the published point of an untuned rule, which has no role and no number.
    """

    batch_size: int
    role: Role | None
    trial: int | None
    rule: ScalingRule


@dataclass(frozen=True, kw_only=True, slots=True)
class Point:
    """One trial to run: a point of the search space and the seed of its init and data order.

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
    """A part by which the box of a batch size was widened.

    Attributes:
        number: which one, from 1 in the order of widening.
        box: the region's low and high by searched hyperparameter.
        first: number of its first trial.
        trials: how many trials are drawn in it.
    """

    number: int
    box: Mapping[str, tuple[float, float]]
    first: int
    trials: int

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> "Region":
        """Gives the region of its `asdict` that has been through JSON, which knows no tuples."""
        box = {name: (low, high) for name, (low, high) in data["box"].items()}
        return cls(**{**data, "box": box})


@dataclass(frozen=True, kw_only=True, slots=True)
class Cohort:
    """Trials of one batch size that one worker trains in lockstep.

    Attributes:
        batch_size: examples per step, >= 1.
        points: the trials, one lane each, those of the first's role numbered without a gap.
        best_steps: fewest steps to target among the cohorts that had to end before this one
            starts; None where none of their trials reached the target.
        region: where the points of an extension lie; None for other cohorts.
    """

    batch_size: int
    points: tuple[Point, ...]
    best_steps: int | None = None
    region: Region | None = None

    @property
    def number(self) -> int:
        """The number of its first trial, which names the cohort within batch size and role."""
        return self.points[0].trial

    @property
    def role(self) -> Role:
        """The role of its first trial; only warm points may join those of another."""
        return self.points[0].role


@dataclass(frozen=True, kw_only=True, slots=True)
class Curve:
    """A trial's finite measurements in step order, the first at step 0; arrays of one length.

    Attributes:
        step: optimizer updates taken before the measurement.
        train_loss: mean mini-batch loss since the previous measurement; NaN at step 0.
        val_loss: mean loss over the validation examples.
        val_error: the quantity that the target refers to, over the validation examples.
        seconds: wall-clock of the cohort since its race began.
    """

    step: Steps
    train_loss: Floats
    val_loss: Floats
    val_error: Floats
    seconds: Floats

    @classmethod
    def empty(cls) -> "Curve":
        """Gives the curve of a trial that was never measured."""
        nothing = np.empty(0)
        return cls(
            step=nothing.astype(np.int64),
            train_loss=nothing,
            val_loss=nothing,
            val_error=nothing,
            seconds=nothing,
        )

    def until(self, rows: int) -> "Curve":
        """Gives the first `rows` measurements."""
        return Curve(
            step=self.step[:rows],
            train_loss=self.train_loss[:rows],
            val_loss=self.val_loss[:rows],
            val_error=self.val_error[:rows],
            seconds=self.seconds[:rows],
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What the race makes of a curve.

    Attributes:
        status: how the trial ended.
        steps: updates until the first measurement below the target; None unless reached.
        steps_before: step of the measurement before that one; None unless reached.
        stopped_at: last step taken.
        best_error: least validation error after step 0; None where nothing finite was measured.
    """

    status: Status
    steps: int | None
    steps_before: int | None
    stopped_at: int
    best_error: float | None


@dataclass(frozen=True, slots=True)
class Seconds:
    """A trial's share of its cohort's wall-clock; recorded, never used in a result.

    Attributes:
        whole: of the race.
        training: of that, in training steps.
        evaluation: of that, in measurements.
    """

    whole: float = 0.0
    training: float = 0.0
    evaluation: float = 0.0


@dataclass(frozen=True, slots=True)
class Execution:
    """How a cohort was computed.

    Attributes:
        mode: packed, looped or dynamics.
        pack: lanes computed together, >= 1.
        micro_batch: examples of a batch worked on at once; None where there is no batch.
    """

    mode: str
    pack: int
    micro_batch: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class TrialResult:
    """One finished trial: what was asked, what was measured, how it ended.

    `cohort` is the number of the first trial of its cohort; `execution` is None where it failed;
    `region` is that of its cohort.
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

    def without_curve(self) -> "TrialResult":
        """Gives all of it but what was measured on the way."""
        return replace(self, curve=Curve.empty())
