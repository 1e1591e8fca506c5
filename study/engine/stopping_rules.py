"""Stopping rules: when a lane of a race stops.

A search needs only the fewest steps to target. So once one lane is below the target at step s, the
others run to slack x s at most: a lane above the target by then cannot be the best. A slack above 1
also gives the runners-up their steps to target.

Where a study prunes, the worse half of a cohort is dropped at each of its rungs before that, and a
lane that has plainly diverged at once. The lanes that are best early may be those that end at an
error above the target: a race in which none is at the target after `PATIENCE` times the expected
steps starts again without rungs.
"""

import math
import statistics
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from study.config.study import ResolvedStudy
from study.records import Cohort, Role

PATIENCE = 2
"""Times the expected steps after which a pruned race without a lane at the target starts again."""

PLAINLY = 10.0
"""Times its initial value that the loss of a lane is which has plainly diverged. Of 816 recorded
trials that reached their target, none with so high an error was ever above 5 times."""
Standing = tuple[float, float, int]
"""Of a lane at a rung: its least error so far, its last loss, its number; the least is best."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StoppingRules:
    """When a lane stops."""

    target: float  # validation error to get below, strictly
    max_steps: int  # step budget, >= 1
    slack: float  # cap of the lanes as a multiple of the fewest steps to target, >= 1
    resolution: float  # greatest relative growth from one measured step to the next, > 0
    best_steps: int | None = None  # fewest steps to target known so far
    shared: bool = True  # whether a lane at the target caps the others, as in a search
    to_budget: bool = False  # whether lanes continue past the target, to the budget
    ends_diverged: bool = False  # whether a lane that has plainly diverged stops at once
    rungs: tuple[float, ...] = ()  # steps at which the worse half of the lanes left is dropped
    expected_steps: int | None = None  # fewest expected, by which the rungs are set

    @classmethod
    def for_cohort(cls, resolved: ResolvedStudy, cohort: Cohort) -> "StoppingRules":
        """Return the rules of a cohort, given what was known when it was handed out."""
        rules = cls.for_role(cohort.role, resolved, cohort.batch_size, cohort.best_steps)
        return rules.pruned(resolved.race.prune or (), cohort.expected_steps)

    def pruned(self, shares: Sequence[float], expected_steps: int | None) -> "StoppingRules":
        """Return the rules with rungs at some shares of the expected fewest steps, if known."""
        if expected_steps is None:
            return self
        expected = min(expected_steps, self.max_steps)
        rungs = tuple(share * expected for share in shares)
        return replace(self, rungs=rungs, expected_steps=expected)

    def share_over(self, step: int, first: float, last: float) -> float:
        """Return the share of a race that is over, from 0 to 1, as far as its errors tell.

        `first` and `last` are its lanes' least errors at the first and the last measurement, NaN
        before any; errors are taken to fall exponentially.
        """
        known = min(1.0, step / min(self.cap, self.max_steps))
        if self.to_budget or math.isfinite(self.cap) or not 0 < self.target < last < first:
            return known
        fallen = math.log(first / last) / math.log(first / self.target)
        return max(known, fallen / self.slack)

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
        if role is Role.RECIPE:
            every = cls.for_search(resolved, batch_size, None)
            return replace(every, shared=False, ends_diverged=False)
        rules = cls.for_search(resolved, batch_size, steps)
        if role is Role.REPLICATE:
            slack = resolved.replicates.slack
            return replace(rules, slack=slack, shared=False, ends_diverged=False)
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


def held_to(steps: int, ends: Sequence[int]) -> int:
    """Return the steps of which a multiple caps re-runs of a point: median of where they ended.

    At least the steps of its trial in the search, which may have been lucky: then most of its
    re-runs end at the cap, and further ones go beyond it.
    """
    return max(steps, math.ceil(statistics.median(ends))) if ends else steps


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


def has_diverged(
    first: Sequence[Any], last: Sequence[Any], target: float, times: float = 1.0
) -> Any:
    """Return whether a finite last loss and error show that a lane has diverged, of one or of many.

    `first` are those at step 0; the loss must be above so many `times` its value there.
    """
    # the error alone cannot show it: a diverged classifier still guesses as well as at step 0
    halfway = (first[1] + target) / 2
    return (last[0] > times * first[0]) & (last[1] > halfway)


def staying(standings: Collection[Standing], lanes: int, rung: int, done: int) -> set[int]:
    """Return the lanes that stay at a rung: with those that are done, the best 1 / 2^rung of all.

    The best have the least error so far: then a lane dropped at a later rung never ends with a
    greater one, and least errors rank all trials that missed the target. `standings` are of the
    lanes neither dropped nor done; `lanes` and `done` are counts, rungs count from 1.
    """
    room = max(0, math.ceil(lanes / 2**rung) - done)
    return {lane for *_, lane in sorted(standings)[:room]}


def plainly_diverged(first: Sequence[float], last: Sequence[float], target: float) -> bool:
    """Return whether a lane has, by its measurements at step 0 and now, as `CURVE_FIELDS` are."""
    began, now = first[2:4], last[2:4]
    return began[0] > 0 and bool(has_diverged(began, now, target, PLAINLY))
