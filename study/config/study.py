"""The study file as a type, and the resolved study that is made of it.

Rules that need the workload, the optimizer or the data stand in `study.planning.resolve`.
"""

import hashlib
import json
import math
from collections import Counter
from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, field_validator

from study.config.sections import (
    BatchSize,
    BatchSizes,
    ComputeConfig,
    FederatedConfig,
    LaneLimit,
    RaceConfig,
    RecipeConfig,
    ReplicatesConfig,
    ScheduleConfig,
    SearchConfig,
    Section,
    form_of,
)


class StudyConfig(Section):
    """A study file."""

    workload: Annotated[str, Field(max_length=4096)]
    optimizer: str = "nesterov"
    batch_sizes: Annotated[
        Annotated[BatchSizes, Tag("<table>")] | Annotated[tuple[BatchSize, ...], Tag("<list>")],
        Discriminator(form_of),
    ] = Field(default_factory=BatchSizes)
    seed: Annotated[int, Field(ge=0, lt=2**63, strict=True)] = 0
    mode: Literal["search", "recipe"] = "search"
    """Whether every batch size is tuned, or one, from which a rule leads to the others."""
    workload_options: dict[str, Any] = Field(default_factory=dict)
    search: SearchConfig = Field(default_factory=SearchConfig)
    race: RaceConfig = Field(default_factory=RaceConfig)
    recipe: RecipeConfig | None = None
    replicates: ReplicatesConfig = Field(default_factory=ReplicatesConfig)
    schedule: ScheduleConfig = Field(default_factory=ScheduleConfig)
    federated: FederatedConfig | None = None
    compute: ComputeConfig = Field(default_factory=ComputeConfig)

    @field_validator("workload_options", mode="after")
    @classmethod
    def _finite(cls, value: dict[str, Any]) -> dict[str, Any]:
        for key, number in _floats(value):
            if not math.isfinite(number):
                raise ValueError(f"{key} must be a finite number, got {number}; correct it")
        return value

    @field_validator("batch_sizes", mode="after")
    @classmethod
    def _distinct(cls, value: BatchSizes | tuple[int, ...]) -> BatchSizes | tuple[int, ...]:
        if isinstance(value, BatchSizes):
            return value
        if not value:
            raise ValueError("`batch_sizes` must name at least one batch size, got none; add one")
        repeated = sorted(size for size, count in Counter(value).items() if count > 1)
        if repeated:
            raise ValueError(
                f"`batch_sizes` must name each batch size once, got {repeated[0]} more than once; "
                "drop the repeats"
            )
        return tuple(sorted(value))

    def as_data(self) -> dict[str, Any]:
        """Gives the config as plain data for TOML, absent values left out."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


def _floats(value: object, at: str = "") -> Iterator[tuple[str, float]]:
    """Gives the numbers with a point in nested tables and lists, each with its dotted key."""
    if isinstance(value, float):
        yield at.removeprefix("."), value
    if isinstance(value, list):
        value = dict(enumerate(value))
    if isinstance(value, dict):
        for key, entry in value.items():
            yield from _floats(entry, f"{at}.{key}")


_COMPUTE = (
    ("compute", "pack"),
    ("compute", "micro_batch"),
    ("compute", "checkpoint_minutes"),
    ("compute", "cohort_minutes"),
)
_MAY_GROW = (
    ("search", "trials"),
    ("search", "extend"),
    ("replicates", "seeds"),
    ("replicates", "top"),
    *_COMPUTE,
)
"""Of a recipe only the batch sizes: more trials at its base might change what the rule scales."""


class ResolvedStudy(StudyConfig):
    """A study file with every default filled in: what runs, and what `study.toml` records."""

    batch_sizes: tuple[BatchSize, ...]
    examples: int | None = None
    """Size of the training set; None where the data never end."""
    adaptive: bool
    """Whether the sampler learns from earlier trials, which are then no even sample of the box."""

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

    @property
    def searched(self) -> tuple[int, ...]:
        """The batch sizes with a search of their own: all, or a recipe's base, or none."""
        if self.recipe is None:
            return self.batch_sizes
        return () if self.recipe.base is None else (self.recipe.base,)

    def trials_at(self, batch_size: int) -> int:
        """Gives the trials wanted at a batch size: of its search, or of a recipe's rule there."""
        return self.search.trials if batch_size in self.searched else max(1, self.replicates.seeds)

    def lanes_at(self, batch_size: int) -> int:
        """Gives the number of trials in a full cohort at a batch size."""
        return _resolved(self.race.cohort).at(batch_size)

    def pack_at(self, batch_size: int) -> int:
        """Gives the number of lanes that are computed together at a batch size."""
        if self.compute.mode == "looped":
            return 1
        return _resolved(self.compute.pack).at(self.local_batch_size(batch_size))

    @property
    def micro_batch(self) -> int | None:
        """Examples of a batch that are worked on at once; None for as many as memory holds."""
        micro = self.compute.micro_batch
        return None if micro == "auto" else micro

    def budget(self, batch_size: int) -> int:
        """Gives the step budget at a batch size."""
        return self.race.budget(self.examples_per_step(batch_size), self.examples)

    def local_batch_size(self, batch_size: int) -> int:
        """Gives the examples in one gradient: the batch, or the part of it that a client has."""
        if self.federated is None:
            return batch_size
        return batch_size // self.federated.clients_at(batch_size)

    def examples_per_step(self, batch_size: int) -> int:
        """Gives the examples that a step uses: the batch, in every local step of a round."""
        return batch_size * (1 if self.federated is None else self.federated.local_steps)

    def identity(self) -> dict[str, Any]:
        """Gives what must agree for results to belong together: all but what may grow."""
        data = self.as_data()
        del data["batch_sizes"]
        for section, key in _MAY_GROW if self.recipe is None else _COMPUTE:
            data[section].pop(key, None)  # absent where it is not set
        return data

    def digest(self) -> str:
        """Gives a short hash of the identity, which every part carries."""
        canonical = json.dumps(self.identity(), sort_keys=True)
        return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def _resolved(lanes: object) -> LaneLimit:
    if not isinstance(lanes, LaneLimit):
        raise ValueError("a resolved study has numbers of lanes; build it with study.resolve")
    return lanes
