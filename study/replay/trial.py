"""A recorded trial trained again exactly as it was computed.

Rounding depends on how many lanes a packed step computes, and training amplifies a difference in
the last bit. A trial is therefore replayed among the trials of its pack, whose lanes start, run and
are dropped as before. On the same machine with the same versions, every bit is the same.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from torch import Tensor

from study.config.sections import LaneLimit
from study.config.study import ResolvedStudy
from study.engine.cohort import build_lanes
from study.engine.ensemble import Ensemble
from study.engine.networks.training import Lockstep
from study.engine.race import Race
from study.engine.stopping_rules import StoppingRules
from study.records import CURVE_FIELDS, Cohort, Curve, Execution, Point, Role, Status, TrialResult


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Weights:
    """The weights of a trial's model at one moment."""

    parameters: Tensor  # the trainable ones, shape (parameters,)
    buffers: Mapping[str, Tensor]  # those that training changes, such as batch statistics
    lr: float  # of the next update


class Replay:
    """A recorded trial, ready to be trained again."""

    def __init__(
        self,
        resolved: ResolvedStudy,
        trainable: Lockstep,
        trial: TrialResult,
        recorded: Sequence[TrialResult],
    ) -> None:
        """Build the lanes of the trial's pack at step 0.

        `recorded` are all trials of the study, sorted by batch size, role and number.
        """
        pack = pack_of(trial, recorded)
        cohort = Cohort(batch_size=trial.batch_size, points=tuple(result.point for result in pack))
        execution = trial.execution or Execution(resolved.compute.mode, len(pack), None)
        self._execution, self._trainable, self._cohort = execution, trainable, cohort
        self._resolved = with_execution(resolved, execution)
        self._lanes = build_lanes(self._resolved, trainable, cohort)
        # without the cap of the cohort, which decides when a race ends, not what it computes
        rules = StoppingRules.for_role(trial.point.role, resolved, trial.batch_size, None)
        self._lane = [result.point for result in pack].index(trial.point)
        dropped = {Status.PRUNED, Status.DIVERGED} if rules.ends_diverged else set()
        leaving = {  # as recorded, because rungs compared lanes of all packs
            lane: result.outcome.stopped_at
            for lane, result in enumerate(pack)
            if lane != self._lane and result.outcome.status in dropped
        }
        self._race = Race(len(pack), replace(rules, ends_diverged=False), leaving)

    def measurements(self, until: int) -> Iterator[int]:
        """Train the trial up to step `until` >= 0.

        Yields:
            The step of each measurement, 0 first, while the trial is in the race.
        """
        while not self._race.over:
            self._race.lap(self._lanes)
            if self._race.step > until or self._race.place(self._lane) is None:
                return
            yield self._race.step
            if self._race.step == until:
                return

    @property
    def step(self) -> int:
        """Updates taken."""
        return self._race.step

    def branching(self) -> Callable[[ResolvedStudy, Point, int], float]:
        """Return a function that continues training in a branch and returns its validation loss.

        The trial itself does not advance. The arguments are another study with the same batch size
        and hyperparameters, the trial's point with the seed of the batches to come, and the number
        of updates, at least 1.
        """
        execution = replace(self._execution, micro_batch=None)  # batches may be larger
        step, start = self._race.step, self._alone()

        def loss_after(resolved: ResolvedStudy, point: Point, steps: int) -> float:
            cohort = Cohort(batch_size=self._cohort.batch_size, points=(point,))
            lanes = build_lanes(with_execution(resolved, execution), self._trainable, cohort)
            if isinstance(lanes, Ensemble):
                lanes.adopt(start)
            elif step:  # a workload's own dynamics have no state to copy
                lanes.advance(step)
            lanes.advance(steps)
            return float(lanes.measure()[0][0])

        return loss_after

    def _alone(self) -> Mapping[str, Any]:
        """Return the state of the trial's lane alone; empty for a workload's own dynamics."""
        if not isinstance(self._lanes, Ensemble):
            return {}
        lanes = build_lanes(self._resolved, self._trainable, self._cohort)
        assert isinstance(lanes, Ensemble)  # as the others are
        lanes.restore(self._lanes.state())
        lanes.keep(np.arange(self._race.racing) == self._race.place(self._lane))
        return lanes.state()

    def curve(self) -> Curve:
        """Return the measurements so far."""
        return self._race.runs()[self._lane].curve

    def weights(self) -> Weights:
        """Return a copy of the trial's weights, as they are measured."""
        assert isinstance(self._lanes, Ensemble)  # a workload with its own dynamics has none
        place = self._race.place(self._lane)
        assert place is not None  # called between measurements, while the trial is in the race
        parameters, buffers = self._lanes.measured_weights(place)
        lr = float(self._lanes.learning_rates[place])
        return Weights(parameters=parameters, buffers=buffers, lr=lr)


def pack_of(trial: TrialResult, recorded: Sequence[TrialResult]) -> list[TrialResult]:
    """Return the trials that were computed together with a trial, including it, in lane order.

    `recorded` are all of the study, sorted by batch size, role and number. The pack of a trial that
    failed is not recorded; its cohort is returned instead.
    """
    cohort = [result for result in recorded if _cohort(result) == _cohort(trial)]
    if trial.execution is None:
        return cohort
    at = [result.point for result in cohort].index(trial.point)
    start = at - at % trial.execution.pack
    return cohort[start : start + trial.execution.pack]


def _cohort(result: TrialResult) -> tuple[int, Role, int]:
    role = result.point.role
    # warm-start trials join a cohort of the search
    return result.batch_size, Role.SEARCH if role is Role.WARM else role, result.cohort


def with_execution(resolved: ResolvedStudy, execution: Execution) -> ResolvedStudy:
    """Return a study whose cohorts are computed as `execution` says."""
    compute = resolved.compute.model_copy(
        update={
            "mode": execution.mode,
            "pack": LaneLimit(lanes=execution.pack),
            "micro_batch": execution.micro_batch or "auto",
        }
    )
    return resolved.model_copy(update={"compute": compute})


def same_curve(one: Curve, other: Curve) -> bool:
    """Return whether two curves agree in every bit, measured time aside."""
    names = {*CURVE_FIELDS, *one.further, *other.further} - {"seconds"}
    return all(
        np.array_equal(one.column(name), other.column(name), equal_nan=True) for name in names
    )
