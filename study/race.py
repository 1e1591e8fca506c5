"""The race of a cohort to the target, in lockstep: advance all lanes, measure all, drop some.

The statistic is the fewest steps over trials, so once a lane is below the target at step s the
others need run no further than slack x s: whoever is not there by then cannot change it.
"""

import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from study.config import ResolvedStudy
from study.records import Curve, Floats, Outcome, Role, Seconds, Status
from workloads.workload import Lanes


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


@dataclass(slots=True, eq=False)
class _Lane:
    """A lane while it races."""

    rows: list[tuple[float, ...]] = field(default_factory=list)
    broke_at: int | None = None
    training: float = 0.0
    evaluation: float = 0.0
    whole: float = 0.0

    def run(self) -> Run:
        seconds = Seconds(self.whole, self.training, self.evaluation)
        return Run(curve=self._curve(), broke_at=self.broke_at, seconds=seconds)

    def _curve(self) -> Curve:
        if not self.rows:
            return Curve.empty()
        step, train_loss, val_loss, val_error, seconds = np.array(self.rows, dtype=np.float64).T
        return Curve(
            step=step.astype(np.int64),
            train_loss=train_loss,
            val_loss=val_loss,
            val_error=val_error,
            seconds=seconds,
        )


class Race:
    """A race as it stands after its latest measurement; it goes on lap by lap.

    Attributes:
        rules: when lanes stop, by what is known at that measurement.
        step: updates taken.
    """

    def __init__(self, count: int, rules: Rules) -> None:
        """Puts `count` >= 1 lanes, which are at step 0, at the start."""
        self.rules = rules
        self._record = [_Lane() for _ in range(count)]
        self._racing = list(range(count))
        self._begun, self.step, self._seconds = False, 0, 0.0

    @property
    def over(self) -> bool:
        """Whether each lane has reached the target, stopped or broken."""
        end = min(self.rules.cap, self.rules.max_steps)
        return all(map(self._at_target, self._racing)) or self.step >= end

    def place(self, lane: int) -> int | None:
        """Gives which of the lanes that are left a lane is; None where it was dropped."""
        return self._racing.index(lane) if lane in self._racing else None

    def lap(self, lanes: Lanes) -> None:
        """Takes the lanes that are left to the next measurement, the first at step 0.

        Args:
            lanes: the same ones in every lap. One that is not finite is dropped at once, one that
                is at the target when the next lap begins.
        """
        started = time.perf_counter()
        self._keep(lanes, [not self._at_target(lane) for lane in self._racing])
        racing, train_loss = self._racing, None
        if self._begun:
            step = step_after(self.step, self.rules)
            train_loss = lanes.advance(step - self.step)
            self.step = step
        self._begun = True
        advanced = time.perf_counter()
        self._measure(lanes, train_loss, started)
        measured = time.perf_counter()
        if any(map(self._at_target, self._racing)):
            self.rules = self.rules.knowing(self.step)
        ended = time.perf_counter()
        # what is done between laps is no part of anybody's time
        self._seconds += ended - started
        for lane in map(self._record.__getitem__, racing):
            lane.training += (advanced - started) / len(racing)
            lane.evaluation += (measured - advanced) / len(racing)
            lane.whole += (ended - started) / len(racing)

    def runs(self) -> list[Run]:
        """Gives one record per lane, in the order of the lanes."""
        return [lane.run() for lane in self._record]

    def state(self) -> dict[str, Any]:
        """Gives where it stands, as plain values; only after its first lap."""
        return {
            "step": self.step,
            "best_steps": self.rules.best_steps,
            "racing": self._racing,
            "seconds": self._seconds,
            "record": [asdict(lane) for lane in self._record],
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Goes on from where a race of as many lanes by the same rules stood."""
        self.rules = replace(self.rules, best_steps=state["best_steps"])
        self._begun, self.step, self._seconds = True, state["step"], state["seconds"]
        self._racing = list(state["racing"])
        self._record = [_Lane(**lane) for lane in state["record"]]

    def _at_target(self, lane: int) -> bool:
        error: float = self._record[lane].rows[-1][3] if self.step > 0 else math.inf
        return error < self.rules.target and not self.rules.to_budget

    def _measure(self, lanes: Lanes, train_loss: Floats | None, started: float) -> None:
        """Measures every lane, notes it, and drops the lanes that are no longer finite."""
        loss, error = lanes.measure()
        seconds = self._seconds + time.perf_counter() - started
        finite = np.isfinite(loss) & np.isfinite(error)
        if train_loss is None:
            train_loss = np.full(len(loss), np.nan)
        else:
            finite &= np.isfinite(train_loss)
        values = np.stack([train_loss, loss, error]).T.tolist()
        for lane, row, whole in zip(self._racing, values, finite, strict=True):
            if whole:
                self._record[lane].rows.append((self.step, *row, seconds))
            else:
                self._record[lane].broke_at = self.step
        self._keep(lanes, finite.tolist())

    def _keep(self, lanes: Lanes, kept: list[bool]) -> None:
        if not all(kept) and any(kept):
            lanes.keep(np.array(kept))
        self._racing = [lane for lane, keep in zip(self._racing, kept, strict=True) if keep]
