"""Stopping rules: when a lane of a race stops.

A search needs only the fewest steps to target. So once one lane is below the target at step s, the
others run to slack x s at most: a lane above the target by then cannot be the best. A slack above 1
also gives the runners-up their steps to target.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

from study.config.study import ResolvedStudy
from study.records import Role


@dataclass(frozen=True, kw_only=True, slots=True)
class StoppingRules:
    """When a lane stops.

    Attributes:
        target: validation error to get below, strictly.
        max_steps: step budget, >= 1.
        slack: cap of the lanes as a multiple of the fewest steps to target, >= 1.
        resolution: greatest relative growth from one measured step to the next, > 0.
        best_steps: fewest steps to target known so far; None before any.
        shared: whether a lane at the target caps the others; not among replicates and recipes.
        to_budget: whether lanes continue past the target, to the budget.
    """

    target: float
    max_steps: int
    slack: float
    resolution: float
    best_steps: int | None = None
    shared: bool = True
    to_budget: bool = False

    @classmethod
    def for_search(
        cls, resolved: ResolvedStudy, batch_size: int, best_steps: int | None
    ) -> "StoppingRules":
        """Return the rules of a search, given the fewest steps to target at its batch size."""
        return cls(
            target=resolved.target,
            max_steps=resolved.budget(batch_size),
            slack=resolved.race.slack,
            resolution=resolved.race.resolution,
            best_steps=best_steps,
            to_budget=resolved.race.to == "budget",
        )

    @classmethod
    def for_role(
        cls, role: Role, resolved: ResolvedStudy, batch_size: int, steps: int | None
    ) -> "StoppingRules":
        """Return the rules of trials of a role.

        `steps` is the fewest steps to target that caps them: of the search at their batch size, or
        for replicates, of their point in the search. A recipe's trials have no cap, since the cost
        of a scaling rule is unknown for a trial that was stopped.
        """
        if role is Role.RECIPE:
            return replace(cls.for_search(resolved, batch_size, None), shared=False)
        rules = cls.for_search(resolved, batch_size, steps)
        if role is Role.REPLICATE:
            return replace(rules, slack=resolved.replicates.slack, shared=False)
        return rules

    @property
    def cap(self) -> float:
        """Step of the last measurement that matters: the first one at or past it is the last."""
        if self.to_budget or self.best_steps is None:
            return math.inf
        return self.slack * self.best_steps

    def after_reaching(self, steps: int) -> "StoppingRules":
        """Return the rules after one more trial reached the target, in `steps` steps."""
        if not self.shared:
            return self
        best = steps if self.best_steps is None else min(steps, self.best_steps)
        return replace(self, best_steps=best)


def step_after(step: int, rules: StoppingRules) -> int:
    """Return the next step to measure at: step + 1 at first, then at most `resolution` further.

    The grid is geometric since steps to target span orders of magnitude over batch sizes: each is
    known to the same relative precision, for a number of measurements that grows as log(steps).
    """
    return min(max(step + 1, math.floor(step * (1 + rules.resolution))), rules.max_steps)


def measured_steps(rules: StoppingRules) -> Iterator[int]:
    """Yield all steps to measure at after step 0, in rising order; the budget is the last.

    The grid depends only on resolution and budget, so trials of different cohorts are measured at
    the same steps.
    """
    step = 0
    while step < rules.max_steps:
        step = step_after(step, rules)
        yield step
