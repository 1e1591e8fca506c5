"""The examples that the steps of a trial use, whether its batch size is constant or changes.

A study with a batch schedule records, for each batch size, the steps at which its batches change.
The batch size in its tables is the one that the multiples refer to.
"""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from analysis.measures.federated import examples_per_step

KEY = "batch_plans"
"""Key of the plans by batch size in a recorded study file."""


@dataclass(frozen=True, slots=True)
class BatchPlan:
    """Stages of a trial: (first step, examples per step), steps rising from 0."""

    stages: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, config: Mapping[str, Any], batch_size: int) -> Self:
        """Return the plan of a batch size, given a resolved study file as plain data."""
        plans: Mapping[str, Sequence[Sequence[int]]] = config.get(KEY, {})
        constant = [(0, examples_per_step(config, batch_size))]
        return cls(tuple((first, size) for first, size in plans.get(str(batch_size), constant)))

    @classmethod
    def from_multiples(
        cls, multiples: Sequence[tuple[float, float]], batch_size: int, examples: int
    ) -> Self:
        """Return the plan for (share of the examples at which a stage begins, multiple) pairs.

        A stage begins with the first step after its share has been used; a stage too short for a
        step is left out. Batches are rounded to whole examples, at least 1.
        """
        stages: list[tuple[int, int]] = []
        step = used = 0
        ends = [share * examples for share, _ in multiples[1:]]
        for (_, multiple), end in zip(multiples, [*ends, examples], strict=True):
            size = max(1, round(batch_size * multiple))
            steps = max(0, -int((used - end) // size))
            if steps:
                stages.append((step, size))
            step, used = step + steps, used + steps * size
        return cls(tuple(stages))

    def size_at(self, step: int) -> int:
        """Return the examples in the update after `step` >= 0 updates."""
        return self.stages[bisect_right(self.stages, step, key=lambda stage: stage[0]) - 1][1]

    def examples(self, steps: float) -> float:
        """Return the examples in the first `steps` >= 0 updates; a median may have half a step."""
        ends = [first for first, _ in self.stages[1:]]
        return sum(
            max(0, min(steps, end) - first) * size
            for (first, size), end in zip(self.stages, [*ends, steps], strict=True)
        )

    def steps(self, examples: int) -> int:
        """Return how many complete updates fit into `examples` >= 0."""
        first, size = next(s for s in reversed(self.stages) if self.examples(s[0]) <= examples)
        return first + int(examples - self.examples(first)) // size


def stages_text(config: Mapping[str, Any]) -> str:
    """Return a short description of a study's batch schedule; "none" if it has none."""
    if not is_planned(config):
        return "none"
    section = config["batch_schedule"]
    multiples = [multiple for _, multiple in section["stages"]]
    ends = f"{multiples[0]:g} B to {multiples[-1]:g} B"
    return f"{ends} in {len(multiples)} stages with lr {section['lr']}"


def is_planned(config: Mapping[str, Any]) -> bool:
    """Return whether the batch size of a study changes as it trains."""
    return KEY in config
