"""When a lane of a race stops, and how its trial has ended then.

The statistic is the fewest steps over trials, so once a lane is below the target at step s the
others need run no further than slack x s: whoever is not there by then cannot change it.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from study.config import ResolvedStudy
from study.records import Curve, Outcome, Role, Seconds, Status


@dataclass(frozen=True, kw_only=True, slots=True)
class Rules:
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
    def at(cls, study: ResolvedStudy, batch_size: int, best_steps: int | None) -> "Rules":
        """Gives a study's rules at a batch size, knowing the fewest steps there so far."""
        return cls(
            target=study.target,
            max_steps=study.budget(batch_size),
            slack=study.race.slack,
            resolution=study.race.resolution,
            best_steps=best_steps,
            to_budget=study.race.to == "budget",
        )

    @classmethod
    def again(cls, study: ResolvedStudy, batch_size: int, steps: int | None) -> "Rules":
        """Gives the rules of replicates whose point took these steps in the search."""
        rules = cls.at(study, batch_size, steps)
        return replace(rules, slack=study.replicates.slack, shared=False)

    @classmethod
    def of(cls, role: Role, study: ResolvedStudy, batch_size: int, steps: int | None) -> "Rules":
        """Gives the rules of trials of a role, knowing the steps that they are held to.

        Args:
            role: why they are run.
            study: the study.
            batch_size: where.
            steps: as `at` or `again` have it; a recipe's trials are held to none, for what a rule
                costs is not known of runs that were stopped.

        Returns:
            The rules.
        """
        if role is Role.REPLICATE:
            return cls.again(study, batch_size, steps)
        if role is Role.RECIPE:
            return replace(cls.at(study, batch_size, None), shared=False)
        return cls.at(study, batch_size, steps)

    @property
    def cap(self) -> float:
        """The step past which nothing can matter; the first measurement at or past it is last."""
        if self.to_budget or self.best_steps is None:
            return math.inf
        return self.slack * self.best_steps

    def knowing(self, steps: int) -> "Rules":
        """Gives the rules after one more trial reached the target at `steps`."""
        if not self.shared:
            return self
        best = steps if self.best_steps is None else min(steps, self.best_steps)
        return replace(self, best_steps=best)


def step_after(step: int, rules: Rules) -> int:
    """Gives the next step to measure at: each at first, then growing by at most `resolution`."""
    return min(max(step + 1, math.floor(step * (1 + rules.resolution))), rules.max_steps)


def measured_steps(rules: Rules) -> Iterator[int]:
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


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """A lane's raw record.

    Attributes:
        curve: its finite measurements, step 0 first.
        broke_at: the step of the measurement that was not finite; None where all were.
        seconds: the lane's share of the race's wall-clock.
    """

    curve: Curve
    broke_at: int | None
    seconds: Seconds = field(default_factory=Seconds)


def judge(run: Run, rules: Rules) -> tuple[Run, Outcome]:
    """Says how a trial ended, given the fewest steps to target at its batch size.

    A pure function of the record and the rules: it holds for a race as it ends and again when
    other cohorts have lowered the cap, so that the order of cohorts leaves no trace.

    Args:
        run: what was measured.
        rules: target, budget, and cap.

    Returns:
        The run cut at the cap, and its outcome.
    """
    run = _cut(run, rules.cap)
    curve = run.curve
    after = curve.val_error[1:]
    hits = np.flatnonzero(after < rules.target)
    last = int(curve.step[-1]) if run.broke_at is None else run.broke_at
    if hits.size:
        row = int(hits[0]) + 1
        if not rules.to_budget:
            run = replace(run, curve=curve.until(row + 1), broke_at=None)
        outcome = Outcome(
            status=Status.REACHED,
            steps=int(curve.step[row]),
            steps_before=int(curve.step[row - 1]),
            stopped_at=last if rules.to_budget else int(curve.step[row]),
            best_error=float(run.curve.val_error[1:].min()),
        )
        return run, outcome
    outcome = Outcome(
        status=_miss(run, rules),
        steps=None,
        steps_before=None,
        stopped_at=last,
        best_error=float(after.min()) if after.size else None,
    )
    return run, outcome


def _cut(run: Run, cap: float) -> Run:
    past = np.flatnonzero(run.curve.step >= cap)
    if past.size == 0:
        return run
    return replace(run, curve=run.curve.until(int(past[0]) + 1), broke_at=None)


def _miss(run: Run, rules: Rules) -> Status:
    curve = run.curve
    if run.broke_at is not None or curve.step.size == 0:
        return Status.DIVERGED
    # the error alone would not tell: a blown-up classifier still guesses as well as at its start
    halfway = (curve.val_error[0] + rules.target) / 2
    if curve.val_loss[-1] > curve.val_loss[0] and curve.val_error[-1] > halfway:
        return Status.DIVERGED
    if curve.step[-1] >= rules.max_steps and rules.cap > rules.max_steps:
        return Status.EXHAUSTED
    return Status.CAPPED
