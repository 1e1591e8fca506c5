"""Stopping rules: when a lane of a race stops.

A search needs only the fewest steps to target. So once one lane is below the target at step s, the
others run to slack x s at most: a lane above the target by then cannot be the best. With a slack
above 1 the runners-up also get their steps to target.

A study that prunes drops the worse half of a cohort at each rung before that, and at once a lane
that has plainly diverged. Lanes that are best early may be those that never reach the target, so a
race with none at the target after `PATIENCE` times the expected steps starts again without rungs.
"""

import math
import statistics
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from study.config.study import ResolvedStudy
from study.records import Cohort, Role

PATIENCE = 2
"""Multiple of the expected steps after which a pruned race with no lane at the target restarts."""
DIVERGED_FACTOR = 10.0
"""Multiple of its initial loss beyond which a lane has plainly diverged. Of 816 recorded trials
that reached their target, none with so high an error was ever above 5 times."""
Standing = tuple[float, float, int]
"""A lane's lowest error so far, last loss and number, at a rung; the lowest tuple is best."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StoppingRules:
    """When a lane stops."""

    target: float  # validation error to get below, strictly
    max_steps: int  # step budget, >= 1
    slack: float  # cap on the lanes as a multiple of the fewest steps to target, >= 1
    resolution: float  # greatest relative growth from one measured step to the next, > 0
    best_steps: int | None = None  # fewest steps to target known so far
    shared: bool = True  # whether a lane at the target caps the others, as in a search
    to_budget: bool = False  # whether lanes continue past the target, to the budget
    ends_diverged: bool = False  # whether a lane that has plainly diverged stops at once
    rungs: tuple[float, ...] = ()  # steps at which the worse half of the lanes left is dropped
    expected_steps: int | None = None  # expected fewest steps, which set the rungs

    @classmethod
    def for_cohort(cls, resolved: ResolvedStudy, cohort: Cohort) -> "StoppingRules":
        """Return the rules of a cohort, given what was known when it was handed out."""
        rules = cls.for_role(cohort.role, resolved, cohort.batch_size, cohort.best_steps)
        return rules.pruned(resolved.race.prune or (), cohort.expected_steps)

    def pruned(self, fractions: Sequence[float], expected_steps: int | None) -> "StoppingRules":
        """Return the rules with rungs at fractions of the expected fewest steps, if known."""
        if expected_steps is None:
            return self
        expected = min(expected_steps, self.max_steps)
        rungs = tuple(fraction * expected for fraction in fractions)
        return replace(self, rungs=rungs, expected_steps=expected)

    def share_over(self, step: int, first: float, last: float) -> float:
        """Return the share of a race that is over, from 0 to 1, estimated from its errors.

        `first` and `last` are the lanes' lowest errors at the first and the last measurement, NaN
        before any. Errors are assumed to fall exponentially.
        """
        by_steps = min(1.0, step / min(self.cap, self.max_steps))
        if self.to_budget or math.isfinite(self.cap) or not 0 < self.target < last < first:
            return by_steps
        by_error = math.log(first / last) / math.log(first / self.target)
        return max(by_steps, by_error / self.slack)

    def without_rungs(self) -> "StoppingRules":
        """Return the rules without rungs."""
        return replace(self, rungs=(), expected_steps=None)

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
            ends_diverged=resolved.race.prune is not None,
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
        rules = cls.for_search(resolved, batch_size, None if role is Role.RECIPE else steps)
        if role not in {Role.RECIPE, Role.REPLICATE}:
            return rules
        slack = rules.slack if role is Role.RECIPE else resolved.replicates.slack
        return replace(rules, slack=slack, shared=False, ends_diverged=False)

    @property
    def cap(self) -> float:
        """Step at or after which the first measurement is the last that matters."""
        if self.to_budget or self.best_steps is None:
            return math.inf
        return self.slack * self.best_steps

    def after_reaching(self, steps: int) -> "StoppingRules":
        """Return the rules after another trial reached the target, in `steps` steps."""
        if not self.shared:
            return self
        best = steps if self.best_steps is None else min(steps, self.best_steps)
        return replace(self, best_steps=best)


def held_to(steps: int, ends: Sequence[int]) -> int:
    """Return the steps to which a point's re-runs are capped, before slack: their median end.

    It is at least the steps of the point's trial in the search, which may have been lucky: most of
    its re-runs then end at the cap, and further ones go beyond it.
    """
    return max(steps, math.ceil(statistics.median(ends))) if ends else steps


def step_after(step: int, rules: StoppingRules) -> int:
    """Return the next step to measure at: step + 1 at first, then at most `resolution` further.

    The grid is geometric because steps to target span orders of magnitude over batch sizes: each is
    known to the same relative precision, with a number of measurements that grows as log(steps).
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


def has_diverged(
    first: Sequence[Any], last: Sequence[Any], target: float, times: float = 1.0
) -> Any:
    """Return whether a finite last loss and error show divergence, for one lane or for many.

    `first` has those at step 0; the loss must exceed `times` its value there.
    """
    # the error alone cannot show it: a diverged classifier still guesses as well as at step 0
    halfway = (first[1] + target) / 2
    return (last[0] > times * first[0]) & (last[1] > halfway)


def survivors(standings: Collection[Standing], lanes: int, rung: int, done: int) -> set[int]:
    """Return the lanes that stay at a rung: with those done, the best 1 / 2^rung of all lanes.

    The best have the lowest error so far: so a lane dropped at a later rung never ends with a
    greater one, and lowest errors rank all trials that missed the target. `standings` are for lanes
    neither dropped nor done; `lanes` and `done` are counts, and rungs count from 1.
    """
    room = max(0, math.ceil(lanes / 2**rung) - done)
    return {lane for *_, lane in sorted(standings)[:room]}


def plainly_diverged(first: Sequence[float], last: Sequence[float], target: float) -> bool:
    """Return whether a lane has, given `CURVE_FIELDS` of its measurements at step 0 and now."""
    initial, latest = first[2:4], last[2:4]
    return initial[0] > 0 and bool(has_diverged(initial, latest, target, DIVERGED_FACTOR))
