"""The tables of a study file: every key with its meaning, default and rule."""

import math
import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    field_validator,
    model_validator,
)

from study.config.interpolation import interpolated
from study.config.space import Flag, Number, Range


class Section(BaseModel):
    """A table of a study file, which refuses unknown keys and numbers that are not finite."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True
    )


def kind_of(value: object) -> str:
    """Return the tag of a value's kind or, for text, of the text; errors name these tags."""
    if isinstance(value, Mapping | BaseModel):
        return "<table>"
    if isinstance(value, list | tuple):
        return "<list>"
    return f"<{value!r}>" if isinstance(value, str) else "<number>"


MAXIMUM = 2**53
"""Largest number up to which floating-point numbers represent every integer."""
Positive = Annotated[int, Field(ge=1, le=MAXIMUM, strict=True)]
BatchSize = Positive
Count = Annotated[int, Field(ge=1, le=1_000_000, strict=True)]
NonNegativeCount = Annotated[int, Field(ge=0, le=1_000_000, strict=True)]
Share = Annotated[float, Field(strict=True, gt=0, le=1)]


_Auto = Annotated[Literal["auto"], Tag("<'auto'>")]
_Integer = Annotated[Positive, Tag("<number>")]
SpaceEntry = Annotated[
    Annotated[Range, Tag("<table>")] | Annotated[Number, Tag("<number>")], Discriminator(kind_of)
]


class SearchConfig(Section):
    """The hyperparameter search at each batch size."""

    sampler: str = "halton"
    """Source of points: halton, sobol or random; tpe and gp learn from earlier trials of a batch
    size, shared from those of all; or an entry point, or path/to/file.py:Class."""
    trials: Count = 64
    """Trials at each batch size."""
    space: dict[str, SpaceEntry] = Field(default_factory=dict)
    """Ranges and fixed values by hyperparameter; those left out have defaults."""
    extend: NonNegativeCount = 0
    """How often the box may be widened if the best points crowd at its edge."""
    warm_start: Flag = False
    """Whether the scaled best points of neighboring batch sizes are among the first trials."""


_LINEAR_LANES = 16
"""Number of lanes beyond which more of them pay off less and less."""


class LaneLimit(Section):
    """Lanes at a batch size: at most `lanes`, and at most `examples` in all their batches."""

    lanes: Positive = 16
    """Maximum number of lanes at any batch size."""
    examples: Positive | None = None
    """Maximum number of examples in the batches of all lanes together."""
    gradual: Flag | None = None
    """Whether the number of lanes is a power of two and, above 16, grows as a square root only:
    what pays off on a CPU."""
    least: Positive | None = None
    """Fewest lanes computed together; where fewer fit, each is computed alone."""

    def at(self, batch_size: int) -> int:
        """Return the number of lanes at a batch size, >= 1."""
        if self.examples is None:
            return self.lanes
        room = self.examples // batch_size
        if self.gradual and room > 1:
            few = min(room, math.isqrt(_LINEAR_LANES * room))
            room = 1 << (few.bit_length() - 1)
        return max(1, min(self.lanes, room)) if room >= (self.least or 1) else 1


Lanes = Annotated[_Auto | _Integer | Annotated[LaneLimit, Tag("<table>")], Discriminator(kind_of)]
_BATCH_SIZE = re.compile(r"[1-9][0-9]{0,14}")


class MeasuredSteps(Section):
    """Step budgets as a multiple of the steps to target in a results folder."""

    times: Annotated[Number, Field(ge=1, le=1000)]
    """The multiple."""
    of: str
    """The folder."""


def kind_of_steps(value: object) -> str:
    """Return the tag of step budgets: one number, a table by batch size, or a measured multiple."""
    measured = isinstance(value, MeasuredSteps) or (isinstance(value, Mapping) and "of" in value)
    return "<table with of>" if measured else kind_of(value)


class RaceConfig(Section):
    """The race of a cohort to the target."""

    to: Literal["target", "budget"] = "target"
    """Whether trials stop at the target, or each spends its budget."""
    target: Number | None = None
    """Validation error (or loss) to get below; the workload's own by default."""
    quantity: Literal["error", "loss"] | None = None
    """What the target refers to; must be what the workload measures."""
    weights: Literal["raw", "averaged"] | None = None
    """Which weights the target refers to: the trained ones, or their average, which
    `search.space.ema_decay` or `search.space.tail_average` turns on. A schedule-free optimizer
    has its own average, which is used unless this is raw."""
    max_steps: Annotated[
        _Integer
        | Annotated[dict[str, Positive], Tag("<table>")]
        | Annotated[MeasuredSteps, Tag("<table with of>")],
        Discriminator(kind_of_steps),
    ] = 20_000
    """Step budget of a trial, or one by batch size, `{ 16 = 4000, 256 = 500 }`: interpolated on
    log-log scales, in inverse proportion below, constant above. Or a multiple of measured steps,
    `{ times = 4, of = "results/pilot" }`, which is recorded as such a table."""
    max_epochs: Annotated[Number, Field(ge=1)] | None = None
    """Budget in epochs; the smallest of all budgets applies."""
    max_examples: Positive | None = None
    """Budget in examples: the same data at every batch size."""
    max_tokens: Positive | None = None
    """Budget in tokens, for a workload whose examples have a fixed number of them."""
    slack: Annotated[Number, Field(ge=1)] = 1.5
    """Trials stop at this multiple of the fewest steps at their batch size."""
    resolution: Annotated[Number, Field(gt=0, le=1)] = 0.03
    """Largest relative distance between two measured steps."""
    cohort: Lanes = "auto"
    """Number of trials that race together. A table, which "auto" becomes in a results folder, also
    limits the examples in all their batches."""
    prune: tuple[Share, ...] | None = None
    """At each of these shares of the expected fewest steps, the worse half of the lanes left in a
    cohort is dropped, for example [0.25, 0.5]; left out or [] for none."""

    @field_validator("max_steps", mode="after")
    @classmethod
    def _by_size(
        cls, value: int | dict[str, int] | MeasuredSteps
    ) -> int | dict[str, int] | MeasuredSteps:
        if not isinstance(value, dict):
            return value
        invalid = [key for key in value if not _BATCH_SIZE.fullmatch(key)]
        if invalid or not value:
            raise ValueError(
                f"a table of `max_steps` must have batch sizes as keys, got "
                f"{repr(invalid[0]) if invalid else 'none'}; for example {{ 16 = 4000, 256 = 500 }}"
            )
        return value

    @field_validator("prune", mode="after")
    @classmethod
    def _rising(cls, value: tuple[float, ...] | None) -> tuple[float, ...] | None:
        if value and list(value) != sorted(set(value)):
            raise ValueError(
                f"`prune` must list rising shares, got {list(value)}; for example [0.25, 0.5], or "
                "[] for none"
            )
        return value or None  # one form of "off", in study files and in recorded studies

    @model_validator(mode="after")
    def _to_target(self) -> Self:
        if self.prune is not None and self.to == "budget":
            raise ValueError(
                f'`prune` must be left out for to = "budget", got {list(self.prune)}: every trial '
                "spends its budget"
            )
        return self

    def budget(self, batch_size: int, per_step: int, examples: int | None) -> int:
        """Return the least step budget at a batch size whose steps take `per_step` examples."""
        steps = self.max_steps
        if isinstance(steps, MeasuredSteps):
            raise ValueError("a resolved study has step budgets; build it with study.resolve")
        if not isinstance(steps, int):
            steps = min(MAXIMUM, interpolated(batch_size, {int(k): v for k, v in steps.items()}))
        if self.max_epochs is not None and examples is not None:
            steps = min(steps, int(self.max_epochs * examples / per_step))
        if self.max_examples is not None:
            steps = min(steps, self.max_examples // per_step)
        return max(1, steps)


class ReplicatesConfig(Section):
    """Re-runs of the best points with fresh seeds, after each search.

    Where a study file leaves the table out, the sampler shared has seeds = 2, top = 4, confirm = 5.
    """

    seeds: NonNegativeCount = 5
    """Re-runs of each point; 0 for none."""
    top: Count = 1
    """Number of points that are re-run, those of the fastest trials."""
    confirm: Count | None = None
    """Further re-runs of the point whose re-runs were the best. The median over seeds is then
    taken over these alone, because they did not choose the point; without them, each seed counts
    for the point that the others found best."""
    slack: Annotated[Number, Field(ge=1)] = 4.0
    """A re-run stops at this multiple of the steps that its point took in the search; one that
    `until` granted, at this multiple of the median of earlier re-runs if that is more."""

    @property
    def measuring(self) -> int:
        """Number of re-runs in the median of the best point."""
        return self.confirm or self.seeds


class RecipeConfig(Section):
    """A recipe: a scaling rule carries a tuned or published point to the other batch sizes."""

    rule: str
    """same, linear, square-root, sde or lamb: how the learning rate, and with sde beta1, beta2 and
    eps, follow the batch size."""
    base: BatchSize | None = None
    """Batch size that is tuned; left out for lamb, which scales a published point."""
    warmup_epochs: Annotated[Number, Field(ge=0)] = 0.0
    """Epochs of warm-up above the base, from the base's learning rate to the scaled one."""


class ScheduleConfig(Section):
    """The learning-rate schedule; its hyperparameters are in `search.space`."""

    name: str = "constant"
    """constant, linear-decay, cosine, polynomial, wsd, an entry point, or path/to/file.py:Class."""


class Precision(StrEnum):
    """Arithmetic of forward and backward passes; parameters and updates stay float32."""

    FLOAT32 = "float32"
    """Also for convolutions on a GPU, which torch rounds to tf32 by default."""
    TF32 = "tf32"
    """Products and convolutions with 10-bit mantissas on GPUs that have them; float32 elsewhere."""
    BF16 = "bf16"
    """torch's automatic mixed precision with bfloat16."""


class ComputeConfig(Section):
    """How a cohort is computed; only mode and precision are part of a study's identity."""

    mode: Literal["auto", "packed", "looped", "dynamics", "program"] = "auto"
    """How lanes run: traced together, one by one, by the workload's dynamics, or as programs."""
    precision: Precision = Precision.FLOAT32
    """Arithmetic of forward and backward passes; parameters stay float32."""
    pack: Lanes = "auto"
    """Lanes computed together in one packed step; programs that a worker runs at once."""
    micro_batch: Annotated[_Auto | _Integer, Discriminator(kind_of)] = "auto"
    """Examples of a batch to process at once; auto: the whole batch, or what fits into memory."""
    checkpoint_minutes: Annotated[Number, Field(ge=0)] = 5.0
    """Minimum minutes between two checkpoints of a cohort; 0 for none."""
    cohort_minutes: Annotated[Number, Field(gt=0)] | None = None
    """A cohort that trains longer than this is ended, and its trials count as failed."""
