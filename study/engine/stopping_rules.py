"""When a lane of a race stops, and how its trial has ended then.

The statistic is the fewest steps over trials, so once a lane is below the target at step s the
others need run no further than slack x s: whoever is not there by then cannot change it.
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
        slack: how far past the fewest steps the other lanes run, >= 1.
        resolution: greatest relative growth from one measured step to the next, above 0.
        best_steps: fewest steps to target known so far; None where the target was not reached.
        shared: whether a lane at the target caps the others; not among replicates and recipes.
        to_budget: whether lanes run on past the target, each to the budget.
    """

    target: float
    max_steps: int
    slack: float
    resolution: float
    best_steps: int | None = None
    shared: bool = True
    to_budget: bool = False

    @classmethod
    def at(
        cls, resolved: ResolvedStudy, batch_size: int, best_steps: int | None
    ) -> "StoppingRules":
        """Gives a study's rules at a batch size, knowing the fewest steps there so far."""
        return cls(
            target=resolved.target,
            max_steps=resolved.budget(batch_size),
            slack=resolved.race.slack,
            resolution=resolved.race.resolution,
            best_steps=best_steps,
            to_budget=resolved.race.to == "budget",
        )

    @classmethod
    def again(cls, resolved: ResolvedStudy, batch_size: int, steps: int | None) -> "StoppingRules":
        """Gives the rules of replicates whose point took these steps in the search."""
        rules = cls.at(resolved, batch_size, steps)
        return replace(rules, slack=resolved.replicates.slack, shared=False)

    @classmethod
    def of(
        cls, role: Role, resolved: ResolvedStudy, batch_size: int, steps: int | None
    ) -> "StoppingRules":
        """Gives the rules of trials of a role, knowing the steps that they are held to.

        Args:
            role: why they are run.
            resolved: the study.
            batch_size: where.
            steps: as `at` or `again` have it; a recipe's trials are held to none, for what a rule
                costs is not known of runs that were stopped.

        Returns:
            The rules.
        """
        if role is Role.REPLICATE:
            return cls.again(resolved, batch_size, steps)
        if role is Role.RECIPE:
            return replace(cls.at(resolved, batch_size, None), shared=False)
        return cls.at(resolved, batch_size, steps)

    @property
    def cap(self) -> float:
        """The step past which nothing can matter; the first measurement at or past it is last."""
        if self.to_budget or self.best_steps is None:
            return math.inf
        return self.slack * self.best_steps

    def knowing(self, steps: int) -> "StoppingRules":
        """Gives the rules after one more trial reached the target at `steps`."""
        if not self.shared:
            return self
        best = steps if self.best_steps is None else min(steps, self.best_steps)
        return replace(self, best_steps=best)


def step_after(step: int, rules: StoppingRules) -> int:
    """Gives the next step to measure at: each at first, then growing by at most `resolution`."""
    return min(max(step + 1, math.floor(step * (1 + rules.resolution))), rules.max_steps)


def measured_steps(rules: StoppingRules) -> Iterator[int]:
    """Gives all steps to measure at; the budget is always the last.

    The grid depends on nothing but resolution and budget, so that trials of different cohorts are
    measured at the same steps.

    Yields:
        Steps in rising order, from 1 to the budget.
    """
    step = 0
    while step < rules.max_steps:
        step = step_after(step, rules)
        yield step
