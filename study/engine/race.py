"""The race of a cohort to the target: advance all lanes in lockstep, measure, drop some."""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from study.engine.ensemble import Ensemble
from study.engine.outcomes import Run
from study.engine.stopping_rules import (
    PATIENCE,
    StoppingRules,
    plainly_diverged,
    step_after,
    survivors,
)
from study.records import Curve, Floats, Seconds
from workloads.workload import Lanes


@dataclass(slots=True, eq=False)
class _Lane:
    """A lane's measurements and times during the race."""

    rows: list[tuple[float, ...]] = field(default_factory=list)
    diverged_at: int | None = None
    pruned: bool = False
    training: float = 0.0
    evaluation: float = 0.0
    total: float = 0.0


class Racing(Protocol):
    """A race, or programs that train independently, whose progress a worker reports."""

    @property
    def racing(self) -> int:
        """Number of lanes that take each step: those not dropped."""

    @property
    def step(self) -> int:
        """Steps taken by a lane."""

    @property
    def share(self) -> float:
        """Share of the race that is over, from 0 to 1."""

    @property
    def least_loss(self) -> float:
        """Lowest of the lanes' latest validation losses; NaN if there is none."""


class Race:
    """A race in progress, which advances lap by lap; a lap ends with a measurement."""

    # called after every lap of any race in this process; a worker sets it to report progress
    after_lap: ClassVar[Callable[[Racing], None]] = staticmethod(lambda race: None)

    def __init__(
        self, count: int, rules: StoppingRules, leaving: Mapping[int, int] | None = None
    ) -> None:
        """Start with `count` >= 1 lanes at step 0.

        `leaving` is for a race that is run again: the steps at which some lanes left it.
        """
        self.rules = rules  # given the steps to target known so far
        self._leaving = leaving or {}
        self._record = [_Lane() for _ in range(count)]
        self._racing = list(range(count))
        self.step: int = 0  # updates taken
        self._begun, self._rung, self._seconds = False, 0, 0.0
        self._quantities: tuple[str, ...] = ()

    @property
    def over(self) -> bool:
        """Whether every lane has reached the target, diverged, or run to the cap or the budget."""
        end = min(self.rules.cap, self.rules.max_steps)
        return all(map(self._at_target, self._racing)) or self.step >= end

    @property
    def racing(self) -> int:
        """Number of lanes not dropped."""
        return len(self._racing)

    @property
    def least_loss(self) -> float:
        """Lowest validation loss in the last lap; NaN if no lane is left."""
        return min((self._record[lane].rows[-1][2] for lane in self._racing), default=math.nan)

    @property
    def share(self) -> float:
        """Share of the race that is over, from 0 to 1, judged by the lanes that are left."""
        rows = [self._record[lane].rows for lane in self._racing]
        first, last = (min((row[at][3] for row in rows), default=math.nan) for at in (0, -1))
        return self.rules.share_over(self.step, first, last)

    @property
    def fruitless(self) -> bool:
        """Whether its rungs may have dropped every lane that would reach the target in time."""
        expected = self.rules.expected_steps
        if expected is None or self.rules.best_steps is not None:
            return False
        pruned = any(lane.pruned for lane in self._record)
        return pruned and (self.step >= PATIENCE * expected or self.over)

    def place(self, lane: int) -> int | None:
        """Return a lane's place among those not dropped; None if it is dropped."""
        return self._racing.index(lane) if lane in self._racing else None

    def lap(self, lanes: Lanes) -> None:
        """Advance the remaining lanes to the next measurement; the first lap measures at step 0.

        `lanes` must be the same object in every lap. Lanes that diverge or are pruned are dropped
        at once, lanes at the target when the next lap begins.
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
        self._prune(lanes)
        measured = time.perf_counter()
        if any(map(self._at_target, self._racing)):
            self.rules = self.rules.after_reaching(self.step)
        ended = time.perf_counter()
        # time between laps, such as writing a checkpoint, belongs to no trial
        self._seconds += ended - started
        for lane in map(self._record.__getitem__, racing):
            lane.training += (advanced - started) / len(racing)
            lane.evaluation += (measured - advanced) / len(racing)
            lane.total += (ended - started) / len(racing)
        type(self).after_lap(self)

    def runs(self) -> list[Run]:
        """Return the run of every lane, in order."""
        return [
            Run(
                curve=Curve.of_rows(lane.rows, self._quantities),
                diverged_at=lane.diverged_at,
                seconds=Seconds(lane.total, lane.training, lane.evaluation),
                pruned=lane.pruned,
            )
            for lane in self._record
        ]

    def state(self) -> dict[str, Any]:
        """Return the state after a lap as plain values."""
        return {
            "step": self.step,
            "best_steps": self.rules.best_steps,
            "racing": self._racing,
            "rungs": list(self.rules.rungs),
            "rung": self._rung,
            "seconds": self._seconds,
            "further": list(self._quantities),
            "record": [asdict(lane) for lane in self._record],
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Restore the state of a race with as many lanes and the same rules."""
        if not state["rungs"]:
            self.rules = self.rules.without_rungs()
        self.rules = replace(self.rules, best_steps=state["best_steps"])
        self._begun, self.step, self._seconds = True, state["step"], state["seconds"]
        self._racing, self._rung = list(state["racing"]), state["rung"]
        self._quantities = tuple(state["further"])
        self._record = [_Lane(**lane) for lane in state["record"]]

    def _at_target(self, lane: int) -> bool:
        rows = self._record[lane].rows
        return len(rows) > 1 and rows[-1][3] < self.rules.target and not self.rules.to_budget

    def _measure(self, lanes: Lanes, train_loss: Floats | None, started: float) -> None:
        """Measure and record every lane; drop those whose loss or error is not finite."""
        loss, error, *others = lanes.measure()
        seconds = self._seconds + time.perf_counter() - started
        finite = np.isfinite(loss) & np.isfinite(error)
        if train_loss is None:
            train_loss = np.full(len(loss), np.nan)
        else:
            finite &= np.isfinite(train_loss)
        finite_others = (np.where(np.isfinite(other), other, np.nan) for other in others)
        further = dict(zip(getattr(lanes, "quantities", ()), finite_others, strict=True))
        if isinstance(lanes, Ensemble):
            further |= lanes.occasional_quantities(finite & self._ending(error))
        self._quantities = tuple(further)
        times = np.full(len(loss), seconds)
        values = np.stack([train_loss, loss, error, times, *further.values()]).T.tolist()
        for lane, row, is_finite in zip(self._racing, values, finite, strict=True):
            if is_finite:
                self._record[lane].rows.append((self.step, *row))
            else:
                self._record[lane].diverged_at = self.step
        self._keep(lanes, finite.tolist())

    def _ending(self, error: Floats) -> NDArray[np.bool_]:
        """Return which lanes get below the target for the first time, or have spent the budget."""
        target = self.rules.target
        if self.step >= self.rules.max_steps:
            return np.ones(len(error), dtype=bool)
        if self.step == 0:
            return np.zeros(len(error), dtype=bool)
        earlier = (self._record[lane].rows[1:] for lane in self._racing)
        above = [all(row[3] >= target for row in rows) for rows in earlier]
        return np.array(above, dtype=bool) & (error < target)

    def _prune(self, lanes: Lanes) -> None:
        """Drop lanes that plainly diverged, all but the best at a rung, and lanes that leave."""
        kept = set(self._racing) - {k for k, step in self._leaving.items() if step <= self.step}
        if self.rules.ends_diverged:
            rows = {lane: self._record[lane].rows for lane in kept}
            target = self.rules.target
            kept = {n for n, row in rows.items() if not plainly_diverged(row[0], row[-1], target)}
        passed = sum(rung <= self.step for rung in self.rules.rungs)
        if passed > self._rung:
            self._rung, done = passed, set(filter(self._at_target, range(len(self._record))))
            standings = []
            for lane in kept - done:
                rows_of_lane = self._record[lane].rows
                least_error = min(row[3] for row in rows_of_lane[1:])
                standings.append((least_error, rows_of_lane[-1][2], lane))
            best = (kept & done) | survivors(standings, len(self._record), passed, len(done))
            for lane in kept - best:
                self._record[lane].pruned = True
            kept = best
        self._keep(lanes, [lane in kept for lane in self._racing])

    def _keep(self, lanes: Lanes, kept: list[bool]) -> None:
        if not all(kept) and any(kept):
            lanes.keep(np.array(kept))
        self._racing = [lane for lane, keep in zip(self._racing, kept, strict=True) if keep]
