"""The tables of a study file: every key, its default and its own rule."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator

from study.config.space import Range


class Section(BaseModel):
    """A table of a study file: unknown keys and numbers that are not finite are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def form_of(value: object) -> str:
    """Tells the forms of a key apart, so that an error speaks of the form that was meant.

    Args:
        value: as it was written.

    Returns:
        The tag of the form.
    """
    if isinstance(value, Mapping | BaseModel):
        return "<table>"
    if isinstance(value, list | tuple):
        return "<list>"
    return "<word>" if isinstance(value, str) else "<number>"


Positive = Annotated[int, Field(ge=1, le=2**53, strict=True)]
"""Up to where floating-point numbers tell whole ones apart."""
BatchSize = Positive
Count = Annotated[int, Field(ge=1, le=1_000_000, strict=True)]
NonNegativeCount = Annotated[int, Field(ge=0, le=1_000_000, strict=True)]
Number = Annotated[float, Field(strict=True)]
Flag = Annotated[bool, Field(strict=True)]


class BatchSizes(Section):
    """Powers of two from `from` to `to`, both ends included even where they are none.

    `to = "all"` is the whole training set (65,536 where the data never end).
    """

    first: BatchSize = Field(default=2, alias="from")
    last: Annotated[
        Annotated[Literal["all"], Tag("<word>")] | Annotated[BatchSize, Tag("<number>")],
        Discriminator(form_of),
    ] = Field(default="all", alias="to")

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
    Annotated[Range, Tag("<table>")] | Annotated[Number, Tag("<number>")], Discriminator(form_of)
]


class SearchConfig(Section):
    """The metaparameter search at each batch size."""

    sampler: str = "halton"
    trials: Count = 64
    space: dict[str, SpaceEntry] = Field(default_factory=dict)
    extend: NonNegativeCount = 0
    """How often the box may be widened where the best points crowd at its edge."""
    warm_start: Flag = False
    """Whether the neighbouring batch sizes' best points, scaled, are among the first trials."""


class LaneLimit(Section):
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
    Discriminator(form_of),
]


class RaceConfig(Section):
    """The race of a cohort to the target; to its budget: every trial spends it whole."""

    to: Literal["target", "budget"] = "target"
    target: Number | None = None
    quantity: Literal["error", "loss"] | None = None
    max_steps: Positive = 20_000
    max_epochs: Annotated[Number, Field(ge=1)] | None = None
    slack: Annotated[Number, Field(ge=1)] = 1.5
    resolution: Annotated[Number, Field(gt=0, le=1)] = 0.03
    cohort: Lanes = "auto"

    def budget(self, per_step: int, examples: int | None) -> int:
        """Gives the budget of steps, each of so many examples: the smaller of the two limits."""
        if self.max_epochs is None or examples is None:
            return self.max_steps
        return max(1, min(self.max_steps, int(self.max_epochs * examples / per_step)))


class ReplicatesConfig(Section):
    """Re-runs of the best points with fresh seeds, after each search."""

    seeds: NonNegativeCount = 5
    """Re-runs of each point; 0 for none."""
    top: Count = 1
    """How many of the best points are run again."""
    slack: Annotated[Number, Field(ge=1)] = 4.0
    """A re-run may take as many times the steps that its point took in the search."""


class RecipeConfig(Section):
    """A recipe: what was tuned at one batch size, or published, is scaled to the others by rule."""

    rule: str
    """Of `study.search.recipes.RULES`."""
    base: BatchSize | None = None
    """The batch size with the search; none for a rule that needs none."""
    warmup_epochs: Annotated[Number, Field(ge=0)] = 0.0
    """Above the base: epochs of warm-up from the base's learning rate to the rule's."""


class ScheduleConfig(Section):
    """The learning-rate schedule; its hyperparameters stand in `search.space`."""

    name: str = "constant"


class FederatedConfig(Section):
    """Federated averaging over clients, each with a shard of the training set.

    The batch size of the study is the global one, clients x local batch, and a step is a round.
    """

    clients: Positive | None = None
    """How many clients share a batch; its local part grows with the batch size."""
    local_batch_size: Positive | None = None
    """Examples in a client's batch; the number of clients grows with the batch size."""
    local_steps: Positive = 1
    """Steps of each client in a round."""
    shards: Literal["iid", "dirichlet"] = "iid"
    alpha: Annotated[Number, Field(ge=1e-6)] | None = None
    """Concentration of the clients' class proportions; the smaller, the more they differ."""

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.clients is None) == (self.local_batch_size is None):
            got = "neither" if self.clients is None else "both"
            raise ValueError(
                f"one of `clients` and `local_batch_size` must be given, got {got}; the batch size "
                "gives the other, as batch size = clients x local batch"
            )
        if (self.alpha is None) == (self.shards == "dirichlet"):
            got = "none; add it" if self.alpha is None else f"{self.alpha:g}; remove it"
            raise ValueError(
                '`alpha` must be given for shards = "dirichlet" and for no others; for '
                f"{self.shards!r}, got {got}"
            )
        return self

    def divides(self, batch_size: int) -> bool:
        """Tells whether a batch size is a whole number of clients' batches."""
        return batch_size % (self.clients or self.local_batch_size or 1) == 0

    def clients_at(self, batch_size: int) -> int:
        """Gives the number of clients at a batch size that it divides, >= 1."""
        return self.clients or batch_size // (self.local_batch_size or 1)


class Precision(StrEnum):
    """The arithmetic of forward and backward passes; parameters and updates stay float32."""

    FLOAT32 = "float32"
    TF32 = "tf32"
    """Matrix products with 10-bit mantissas on GPUs that have them; float32 elsewhere."""
    BF16 = "bf16"
    """torch's automatic mixed precision with bfloat16."""


class ComputeConfig(Section):
    """How a cohort is computed; of this, mode and precision are part of what is studied."""

    mode: Literal["auto", "packed", "looped", "dynamics"] = "auto"
    """Lanes of a cohort in one traced program, one by one, or with dynamics of the workload's."""
    precision: Precision = Precision.FLOAT32
    pack: Lanes = "auto"
    """Lanes computed together, as one packed step."""
    micro_batch: Annotated[
        Annotated[Literal["auto"], Tag("<word>")] | Annotated[Positive, Tag("<number>")],
        Discriminator(form_of),
    ] = "auto"
    """Examples of a lane's batch worked on at once; auto: the whole batch, or what memory holds."""
    checkpoint_minutes: Annotated[Number, Field(ge=0)] = 5.0
    """Least time between two checkpoints of a cohort; 0 for none."""
    cohort_minutes: Annotated[Number, Field(gt=0)] | None = None
    """A cohort that trains longer is stopped, its trials have failed; None for no limit."""
