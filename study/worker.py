"""What a worker does: trains one cohort and tells how each of its trials ended."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np
import torch

from study.config import ResolvedStudy
from study.ensemble import GradientLanes, TrainingRule
from study.networks import LoopedNetworks, Networks, PackedNetworks, TrainingSet, load
from study.optimizers import OPTIMIZERS
from study.race import Rules, Run, judge, race
from study.records import Cohort, Curve, Floats, Outcome, Status, TrialResult
from study.schedules import SCHEDULES
from workloads.workload import Dynamics, Lanes, LaneSetup, Workload

Trainable = TrainingSet | Dynamics
"""A workload made ready once per worker."""

_NETWORKS: Mapping[str, Callable[[TrainingSet, Sequence[int]], Networks]] = {
    "packed": PackedNetworks,
    "looped": LoopedNetworks,
}


def prepare(workload: Workload | Dynamics, device: str) -> Trainable:
    """Makes a workload ready on a device; what does its own dynamics is ready as it is."""
    if isinstance(workload, Dynamics):
        return workload
    return load(workload, torch.device(device))


def run_cohort(study: ResolvedStudy, trainable: Trainable, cohort: Cohort) -> list[TrialResult]:
    """Trains a cohort in lockstep.

    An exception ends the cohort's trials as `failed`, with its text, and not the sweep.

    Args:
        study: the resolved study.
        trainable: its workload, made ready on this worker.
        cohort: the trials.

    Returns:
        One result per trial, in their order.
    """
    rules = Rules(
        target=study.target,
        max_steps=study.budget(cohort.batch_size),
        slack=study.race.slack,
        resolution=study.race.resolution,
        best_steps=cohort.best_steps,
    )
    try:
        runs = race(build_lanes(study, trainable, cohort), len(cohort.points), rules)
    except Exception as error:  # noqa: BLE001 - whatever a workload raises is that trial's end
        return _failed(cohort, f"{type(error).__name__}: {error}")
    for run in runs:
        _, outcome = judge(run, rules)
        rules = rules if outcome.steps is None else rules.knowing(outcome.steps)
    return [_result(cohort, index, *judge(run, rules)) for index, run in enumerate(runs)]


def build_lanes(study: ResolvedStudy, trainable: Trainable, cohort: Cohort) -> Lanes:
    """Builds a cohort's lanes at step 0, one per trial in their order."""
    seeds = [point.seed for point in cohort.points]
    values = {
        name: np.array([point.values[name] for point in cohort.points])
        for name in study.hyperparameters
    }
    schedule = SCHEDULES[study.schedule.name]
    own = OPTIMIZERS[study.optimizer].hyperparameters
    factor = schedule.factor and partial(
        _factor_at, study=study, batch_size=cohort.batch_size, values=values
    )
    optimizer_values = {name: values[name] for name in own}
    if not isinstance(trainable, TrainingSet):
        return trainable.lanes(
            LaneSetup(
                optimizer=study.optimizer,
                batch_size=cohort.batch_size,
                hyperparameters=optimizer_values,
                lr_factor=factor,
                seeds=np.array(seeds, dtype=np.int64),
            )
        )
    rule = TrainingRule(
        optimizer=OPTIMIZERS[study.optimizer],
        batch_size=cohort.batch_size,
        hyperparameters=optimizer_values,
        lr_factor=factor,
    )
    networks = _NETWORKS[study.race.lanes](trainable, seeds)
    return GradientLanes(trainable, networks, rule, seeds)


def _factor_at(
    step: int, study: ResolvedStudy, batch_size: int, values: dict[str, Floats]
) -> Floats:
    factor = SCHEDULES[study.schedule.name].factor
    if factor is None:
        return np.ones(1)
    return factor(step, study.budget(batch_size), values)


def _result(cohort: Cohort, index: int, run: Run, outcome: Outcome) -> TrialResult:
    return TrialResult(
        batch_size=cohort.batch_size,
        cohort=cohort.number,
        point=cohort.points[index],
        curve=run.curve,
        outcome=outcome,
        seconds=run.seconds,
    )


def _failed(cohort: Cohort, message: str) -> list[TrialResult]:
    nothing = np.empty(0)
    curve = Curve(
        step=nothing.astype(np.int64),
        train_loss=nothing,
        val_loss=nothing,
        val_error=nothing,
        seconds=nothing,
    )
    outcome = Outcome(
        status=Status.FAILED, steps=None, steps_before=None, stopped_at=0, best_error=None
    )
    return [
        TrialResult(
            batch_size=cohort.batch_size,
            cohort=cohort.number,
            point=point,
            curve=curve,
            outcome=outcome,
            seconds=0.0,
            message=message,
        )
        for point in cohort.points
    ]
