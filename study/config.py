"""The study file as a type: every key, its default and its own rule.

Rules that need the workload, the optimizer or the data stand in `study.resolve`.
"""

import hashlib
import json
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    field_validator,
)

from study.space import Range


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def _form(value: object) -> str:
    """Tells the forms of a key apart, so that an error speaks of the form that was meant."""
    if isinstance(value, Mapping | BaseModel):
        return "<table>"
    if isinstance(value, list | tuple):
        return "<list>"
    return "<word>" if isinstance(value, str) else "<number>"


Positive = Annotated[int, Field(ge=1, strict=True)]
BatchSize = Positive


class BatchSizes(_Section):
    """Powers of two from `from` to `to`, both ends included even where they are none.

    `to = "all"` is the whole training set (65,536 where the data never end).
    """

    first: BatchSize = Field(default=2, alias="from")
    last: BatchSize | Literal["all"] = Field(default="all", alias="to")

    def expand(self, largest: int) -> tuple[int, ...]:
        """Gives the batch sizes in rising order.

        Args:
            largest: what "all" stands for.

        Returns:
            The batch sizes.

        Raises:
            ValueError: `to` is below `from`.
        """
        last = largest if self.last == "all" else self.last
        if last < self.first:
            raise ValueError(
                f"`batch_sizes.to` must be at least `batch_sizes.from`, got {last} and "
                f"{self.first}; swap them"
            )
        powers = {2**k for k in range(last.bit_length()) if self.first <= 2**k <= last}
        return tuple(sorted(powers | {self.first, last}))


SpaceEntry = Annotated[
    Annotated[Range, Tag("<table>")] | Annotated[float, Tag("<number>")], Discriminator(_form)
]


class SearchConfig(_Section):
    """The metaparameter search at each batch size."""

    sampler: str = "halton"
    trials: Positive = 64
    space: dict[str, SpaceEntry] = Field(default_factory=dict)
    extend: Annotated[int, Field(ge=0, strict=True)] = 0
    """How often the box may be widened where the best points crowd at its edge."""
    warm_start: bool = False
    """Whether the neighbouring batch sizes' best points, scaled, are among the first trials."""


class LaneLimit(_Section):
    """How many lanes at a batch size: at most `lanes`, with at most `examples` in their batches."""

    lanes: Positive = 16
    examples: Positive | None = None

    def at(self, batch_size: int) -> int:
        """Gives the number of lanes at a batch size, >= 1."""
        if self.examples is None:
            return self.lanes
        return max(1, min(self.lanes, self.examples // batch_size))


Lanes = Annotated[
    Annotated[Literal["auto"], Tag("<word>")]
    | Annotated[Positive, Tag("<number>")]
    | Annotated[LaneLimit, Tag("<table>")],
    Discriminator(_form),
]


class RaceConfig(_Section):
    """The race of a cohort to the target; to its budget: every trial spends it whole."""

    to: Literal["target", "budget"] = "target"
    target: float | None = None
    quantity: Literal["error", "loss"] | None = None
    max_steps: Positive = 20_000
    max_epochs: Annotated[float, Field(ge=1)] | None = None
    slack: Annotated[float, Field(ge=1)] = 1.5
    resolution: Annotated[float, Field(gt=0, le=1)] = 0.03
    cohort: Lanes = "auto"
    lanes: Literal["auto", "packed", "looped", "dynamics"] = "auto"

    def budget(self, batch_size: int, examples: int | None) -> int:
        """Gives the step budget at a batch size: the smaller of max_steps and max_epochs."""
        if self.max_epochs is None or examples is None:
            return self.max_steps
        return max(1, min(self.max_steps, int(self.max_epochs * examples / batch_size)))


class ReplicatesConfig(_Section):
    """Re-runs of the best points with fresh seeds, after each search."""

    seeds: Annotated[int, Field(ge=0, strict=True)] = 5
    """Re-runs of each point; 0 for none."""
    top: Positive = 1
    """How many of the best points are run again."""
    slack: Annotated[float, Field(ge=1)] = 4.0
    """A re-run may take as many times the steps that its point took in the search."""


class ScheduleConfig(_Section):
    """The learning-rate schedule; its hyperparameters stand in `search.space`."""

    name: str = "constant"


class Precision(StrEnum):
    """The arithmetic of forward and backward passes; parameters and updates stay float32."""

    FLOAT32 = "float32"
    TF32 = "tf32"
    """Matrix products with 10-bit mantissas on GPUs that have them; float32 elsewhere."""
    BF16 = "bf16"
    """torch's automatic mixed precision with bfloat16."""


class ComputeConfig(_Section):
    """How a cohort is computed; of this, only the precision is part of what is studied."""

    precision: Precision = Precision.FLOAT32
    pack: Lanes = "auto"
    """Lanes computed together, as one packed step."""
    micro_batch: Literal["auto"] | Positive = "auto"
    """Examples of a lane's batch worked on at once; auto: the whole batch, or what memory holds."""


class StudyConfig(_Section):
    """A study file."""

    workload: str
    optimizer: str = "nesterov"
    batch_sizes: Annotated[
        Annotated[BatchSizes, Tag("<table>")] | Annotated[tuple[BatchSize, ...], Tag("<list>")],
        Discriminator(_form),
    ] = Field(default_factory=BatchSizes)
    seed: Annotated[int, Field(ge=0, strict=True)] = 0
    workload_options: dict[str, Any] = Field(default_factory=dict)
    search: SearchConfig = Field(default_factory=SearchConfig)
    race: RaceConfig = Field(default_factory=RaceConfig)
    replicates: ReplicatesConfig = Field(default_factory=ReplicatesConfig)
    schedule: ScheduleConfig = Field(default_factory=ScheduleConfig)
    compute: ComputeConfig = Field(default_factory=ComputeConfig)

    @field_validator("batch_sizes", mode="after")
    @classmethod
    def _distinct(cls, value: BatchSizes | tuple[int, ...]) -> BatchSizes | tuple[int, ...]:
        if isinstance(value, BatchSizes):
            return value
        if not value:
            raise ValueError("`batch_sizes` must name at least one batch size, got none; add one")
        repeated = sorted({size for size in value if value.count(size) > 1})
        if repeated:
            raise ValueError(
                f"`batch_sizes` must name each batch size once, got {repeated[0]} more than once; "
                "drop the repeats"
            )
        return tuple(sorted(value))

    def as_data(self) -> dict[str, Any]:
        """Gives the config as plain data for TOML, absent values left out."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


_MAY_GROW = (
    ("search", "trials"),
    ("search", "extend"),
    ("replicates", "seeds"),
    ("replicates", "top"),
    ("compute", "pack"),
    ("compute", "micro_batch"),
)
_LATER_KEYS = (
    ("search", "warm_start", False),
    ("race", "to", "target"),
    ("replicates", "slack", ReplicatesConfig().slack),
)


class ResolvedStudy(StudyConfig):
    """A study file with every default filled in: what runs, and what `study.toml` records."""

    batch_sizes: tuple[BatchSize, ...]
    examples: int | None = None
    """Size of the training set; None where the data never end."""

    @property
    def target(self) -> float:
        """The target that trials race to."""
        if self.race.target is None:
            raise ValueError("a resolved study has a target; build it with study.resolve")
        return self.race.target

    @property
    def hyperparameters(self) -> tuple[str, ...]:
        """Names of the hyperparameters, searched or fixed, in the order of their columns."""
        return tuple(self.search.space)

    def lanes_at(self, batch_size: int) -> int:
        """Gives the number of trials in a full cohort at a batch size."""
        return _resolved(self.race.cohort).at(batch_size)

    def pack_at(self, batch_size: int) -> int:
        """Gives the number of lanes that are computed together at a batch size."""
        if self.race.lanes == "looped":
            return 1
        return _resolved(self.compute.pack).at(batch_size)

    @property
    def micro_batch(self) -> int | None:
        """Examples of a batch that are worked on at once; None for as many as memory holds."""
        micro = self.compute.micro_batch
        return None if micro == "auto" else micro

    def budget(self, batch_size: int) -> int:
        """Gives the step budget at a batch size."""
        return self.race.budget(batch_size, self.examples)

    def identity(self) -> dict[str, Any]:
        """Gives what must agree for results to belong together: all but what may grow."""
        data = self.as_data()
        del data["batch_sizes"]
        for section, key in _MAY_GROW:
            del data[section][key]
        for section, key, default in _LATER_KEYS:
            if data[section][key] == default:
                del data[section][key]  # as in studies from before there was a choice
        if self.compute.precision is Precision.FLOAT32:
            del data["compute"]
        if not data["replicates"]:
            del data["replicates"]
        return data

    def digest(self) -> str:
        """Gives a short hash of the identity, which every part carries."""
        canonical = json.dumps(self.identity(), sort_keys=True)
        return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def _resolved(lanes: object) -> LaneLimit:
    if not isinstance(lanes, LaneLimit):
        raise ValueError("a resolved study has numbers of lanes; build it with study.resolve")
    return lanes
