"""The study file as a type, and the resolved study made from it.

Rules that need the workload, the optimizer or the data are in `study.planning.resolve`.
"""

import hashlib
import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Discriminator, Field, Tag, field_validator

from analysis.measures.batch_plan import BatchPlan
from analysis.tables.nested import leaves
from study.config.batch_schedule import POWERS, BatchScheduleConfig
from study.config.batch_sizes import BatchSizes, spread
from study.config.coordinates import complete, replaced
from study.config.federated import FederatedConfig
from study.config.reference import section_of
from study.config.sections import (
    BatchSize,
    ComputeConfig,
    LaneLimit,
    RaceConfig,
    RecipeConfig,
    ReplicatesConfig,
    ScheduleConfig,
    SearchConfig,
    Section,
    kind_of,
)
from study.config.space import Range
from study.config.until import Grant, UntilConfig


class StudyConfig(Section):
    """A study file."""

    workload: Annotated[str, Field(max_length=4096)]
    """Built-in name, entry point, path/to/file.py:Class, or "command" for a program."""
    optimizer: str = "nesterov"
    """Update rule: a built-in one, such as nesterov, adamw or soap (the guide to optimizers has
    all), an entry point, or path/to/file.py:Class."""
    batch_sizes: Annotated[
        Annotated[BatchSizes, Tag("<table>")]
        | Annotated[tuple[BatchSize, ...], Tag("<list>")]
        | Annotated[Literal["auto"], Tag("<'auto'>")],
        Discriminator(kind_of),
    ] = Field(default_factory=BatchSizes)
    """Batch sizes to study: powers of two between two ends, or a list. "auto" is
    `{ auto = true }`: the sweep chooses among them, as far as `until` says."""
    batch_unit: Literal["examples", "tokens"] | None = None
    """Unit of all batch sizes in this file: examples if left out, or tokens if the workload's
    examples have a fixed number of them. The study runs, and is recorded, in examples."""
    seed: Annotated[int, Field(ge=0, lt=2**63, strict=True)] = 0
    """Seed of all random draws of the study."""
    mode: Literal["search", "recipe"] = "search"
    """Whether every batch size is tuned, or only the base of a recipe. Branches from a run are
    measured afterwards, by `diagnose --what branch`."""
    workload_options: dict[str, Any] = Field(default_factory=dict)
    """Keyword arguments of the workload's class, or the options of a program."""
    search: SearchConfig = Field(default_factory=SearchConfig)
    race: RaceConfig = Field(default_factory=RaceConfig)
    recipe: RecipeConfig | None = None
    replicates: ReplicatesConfig = Field(default_factory=ReplicatesConfig)
    until: UntilConfig | None = None
    schedule: ScheduleConfig = Field(default_factory=ScheduleConfig)
    batch_schedule: BatchScheduleConfig | None = None
    federated: FederatedConfig | None = None
    compute: ComputeConfig = Field(default_factory=ComputeConfig)

    @field_validator("workload_options", mode="after")
    @classmethod
    def _finite(cls, value: dict[str, Any]) -> dict[str, Any]:
        for key, number in leaves(value, lists=True):
            if isinstance(number, float) and not math.isfinite(number):
                raise ValueError(f"{key} must be a finite number, got {number}")
        return value

    @field_validator("batch_sizes", mode="after")
    @classmethod
    def _distinct(
        cls, value: BatchSizes | tuple[int, ...] | Literal["auto"]
    ) -> BatchSizes | tuple[int, ...]:
        if value == "auto":
            return BatchSizes(auto=True)
        if isinstance(value, BatchSizes):
            return value
        if not value:
            raise ValueError("`batch_sizes` must name at least one batch size, got none")
        repeated = sorted(size for size, count in Counter(value).items() if count > 1)
        if repeated:
            raise ValueError(
                f"`batch_sizes` must name each batch size once, got {repeated[0]} more than once; "
                "drop the repeats"
            )
        return tuple(sorted(value))

    def as_data(self) -> dict[str, Any]:
        """Return the config as plain data for TOML, without absent values."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


SECTIONS = [key for key, field in StudyConfig.model_fields.items() if section_of(field)]
"""Keys of a study file whose value is a section, such as "search"."""

_MAY_DIFFER = (
    *("batch_sizes", "candidates", "listed", "batch_plans", "until", "granted"),
    *("tokens_per_example", "normalized_momentum"),
)
"""Keys that grow with a study, or that only describe it."""
_COMPUTE = {"compute": ("pack", "micro_batch", "checkpoint_minutes", "cohort_minutes")}
_MAY_GROW = {"search": ("trials", "extend"), "replicates": ("seeds", "top", "confirm"), **_COMPUTE}
"""In a recipe only the batch sizes may grow: more trials might change the point that is scaled."""


class ResolvedStudy(StudyConfig):
    """A study file with every default filled in, as it runs and as `study.toml` records it."""

    batch_sizes: tuple[BatchSize, ...]
    examples: int | None = None
    """Size of the training set; None if the data never end."""
    tokens_per_example: int | None = None
    """Tokens in an example; None for a study file that does not count tokens."""
    adaptive: bool
    """Whether the sampler learns from earlier trials, so that they are not an even sample."""
    normalized_momentum: bool | None = None
    """Whether the optimizer's step does not grow with its momentum; false if left out."""
    quantities: tuple[str, ...] | None = None
    """Quantities measured besides loss and error; none if left out."""
    batch_plans: dict[str, tuple[tuple[int, int], ...]] | None = None
    """First step and batch of each stage of a batch schedule, by batch size."""
    candidates: tuple[BatchSize, ...] | None = None
    """Batch sizes among which a sweep with `until` chooses; None if the study file lists them."""
    listed: Literal[True] | None = None
    """Whether a list has replaced "auto", so that the sweep no longer chooses."""
    granted: tuple[Grant, ...] | None = None
    """Trials and seeds of batch sizes that `until` added or extended."""

    @property
    def target(self) -> float:
        """Validation error (or loss) to get below."""
        if self.race.target is None:
            raise ValueError("a resolved study has a target; build it with study.resolve")
        return self.race.target

    @property
    def counts_averages(self) -> bool:
        """Whether the target refers to averaged weights."""
        return self.race.weights == "averaged"

    @property
    def hyperparameters(self) -> tuple[str, ...]:
        """Names of the hyperparameters, in the order of their columns.

        First those of the space, searched or fixed, then those that follow from coordinates.
        """
        space = tuple(self.search.space)
        return space if self.of_program else (*space, *replaced(space))

    @property
    def ranges(self) -> dict[str, Range]:
        """The box: the range of each searched hyperparameter."""
        return {n: e for n, e in self.search.space.items() if isinstance(e, Range)}

    @property
    def of_program(self) -> bool:
        """Whether the workload is a program, which gives names its own meaning."""
        return self.compute.mode == "program"

    def complete(self, values: Mapping[str, float], batch_size: int) -> dict[str, float]:
        """Return a point's values, including those that follow from coordinates."""
        return dict(values) if self.of_program else complete(values, batch_size)

    @property
    def further(self) -> tuple[str, ...]:
        """Names of the quantities besides loss and error, in the order of their columns."""
        return self.quantities or ()

    @property
    def unmeasured(self) -> tuple[int, ...]:
        """The batch sizes that a sweep with `until` may still add."""
        if self.listed:
            return ()
        return tuple(size for size in self.candidates or () if size not in self.batch_sizes)

    @property
    def has_initial_sizes(self) -> bool:
        """Whether the batch sizes are still the initial ones of a sweep that chooses them."""
        return self.candidates is not None and self.batch_sizes == spread(self.candidates)

    @property
    def searched(self) -> tuple[int, ...]:
        """The batch sizes with a search: all, or a recipe's base, or none."""
        if self.recipe is None:
            return self.batch_sizes
        return () if self.recipe.base is None else (self.recipe.base,)

    def trials_at(self, batch_size: int) -> int:
        """Return the number of trials planned at a batch size, for its search or scaling rule."""
        if batch_size not in self.searched:
            return max(1, self.replicates.seeds)
        return max([self.search.trials, *(grant.trials for grant in self._grants(batch_size))])

    def seeds_at(self, batch_size: int) -> int:
        """Return the number of re-runs of the best point, without `replicates.confirm`."""
        return max([self.replicates.seeds, *(grant.seeds for grant in self._grants(batch_size))])

    def replicates_at(self, batch_size: int) -> int:
        """Return the number of re-runs of all points at a batch size that reached the target."""
        section = self.replicates
        more = self.seeds_at(batch_size) - section.seeds + (section.confirm or 0)
        return section.seeds * section.top + more

    def with_grants(self, granted: Iterable[Grant]) -> Self:
        """Return the study with grants, which replace earlier ones of the same batch sizes."""
        by_size = {grant.batch_size: grant for grant in (*(self.granted or ()), *granted)}
        sizes = tuple(sorted({*self.batch_sizes, *by_size}))
        granted = tuple(by_size[size] for size in sorted(by_size))
        return self.model_copy(update={"batch_sizes": sizes, "granted": granted})

    def _grants(self, batch_size: int) -> list[Grant]:
        return [grant for grant in self.granted or () if grant.batch_size == batch_size]

    def lanes_at(self, batch_size: int) -> int:
        """Return the number of trials in a full cohort at a batch size."""
        return _resolved(self.race.cohort).at(batch_size)

    def pack_at(self, batch_size: int) -> int:
        """Return the number of lanes that are computed together at a batch size."""
        if self.compute.mode == "looped":
            return 1
        return _resolved(self.compute.pack).at(self.local_batch_size(batch_size))

    @property
    def micro_batch(self) -> int | None:
        """Examples of a batch processed at once; None for as many as fit into memory."""
        micro = self.compute.micro_batch
        return None if micro == "auto" else micro

    def budget(self, batch_size: int) -> int:
        """Return the step budget at a batch size: the updates within its horizon."""
        steps, plan = self.horizon(batch_size), self.plan(batch_size)
        return steps if plan is None else max(1, plan.steps(steps * batch_size))

    def horizon(self, batch_size: int) -> int:
        """Return the budget in steps of this batch size; learning-rate schedules span it."""
        return self.race.budget(batch_size, self.examples_per_step(batch_size), self.examples)

    def plan(self, batch_size: int) -> BatchPlan | None:
        """Return how the batch size changes during a trial; None if it does not."""
        if self.batch_plans is None:
            return None
        return BatchPlan(self.batch_plans[str(batch_size)])

    @property
    def lr_power(self) -> float:
        """Exponent of a batch's multiple in its learning rate, under a batch schedule."""
        return 0.0 if self.batch_schedule is None else POWERS[self.batch_schedule.lr]

    @property
    def budgets_differ(self) -> bool:
        """Whether batch sizes have different budgets, which the tables then record."""
        by_size = not isinstance(self.race.max_steps, int) or self.race.max_examples is not None
        return by_size or self.batch_plans is not None

    def local_batch_size(self, batch_size: int) -> int:
        """Return the examples per gradient: the batch, or a client's share of it."""
        if self.federated is None:
            return batch_size
        return batch_size // self.federated.clients_at(batch_size)

    def examples_per_step(self, batch_size: int) -> int:
        """Return the examples per step: the batch, times the local steps of a round."""
        return batch_size * (1 if self.federated is None else self.federated.local_steps)

    def identity(self) -> dict[str, Any]:
        """Return what must agree for results to belong together: all keys that may not grow."""
        data = {key: value for key, value in self.as_data().items() if key not in _MAY_DIFFER}
        for section, keys in (_MAY_GROW if self.recipe is None else _COMPUTE).items():
            for key in keys:
                data[section].pop(key, None)  # absent where it is not set
        return data

    def digest(self) -> str:
        """Return a short hash of the identity, recorded in every part."""
        canonical = json.dumps(self.identity(), sort_keys=True)
        return hashlib.sha256(canonical.encode()).hexdigest()[:16]


RECORDED_KEYS = sorted(ResolvedStudy.model_fields.keys() - StudyConfig.model_fields.keys())
"""Keys that a sweep adds to the study file that it records."""


def _resolved(lanes: object) -> LaneLimit:
    if not isinstance(lanes, LaneLimit):
        raise ValueError("a resolved study has numbers of lanes; build it with study.resolve")
    return lanes
