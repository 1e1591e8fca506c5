"""Training one cohort on a worker: build its lanes, race them, and judge each trial."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from study.config.study import ResolvedStudy
from study.engine.checkpoints import Checkpoint, SavedError
from study.engine.data_order import ClientOrder, DataOrder
from study.engine.ensemble import Ensemble
from study.engine.federated import FederatedLanes, client_shards
from study.engine.lanes import GradientLanes, UpdateSettings
from study.engine.networks import Networks
from study.engine.networks.looped import LoopedNetwork
from study.engine.networks.packed import PackedNetworks
from study.engine.networks.training import LoadedWorkload, Lockstep, Trainable
from study.engine.outcomes import LOST, Run, judge, trial_result
from study.engine.programs.cohort import run_programs
from study.engine.race import Race
from study.engine.stopping_rules import StoppingRules
from study.optimizers import hyperparameters, optimizer_named, schedule_named
from study.optimizers.schedules import lr_factor, planned_factor
from study.records import Cohort, Execution, Floats, TrialResult
from workloads.command import Command
from workloads.workload import Lanes, LaneSetup

_NETWORKS: Mapping[
    str, Callable[[LoadedWorkload, Sequence[int], Mapping[str, Floats]], Networks]
] = {
    "packed": PackedNetworks,
    "looped": lambda loaded, seeds, values: LoopedNetwork(loaded, seeds[0], values),
}


def run_cohort(
    resolved: ResolvedStudy,
    trainable: Trainable,
    cohort: Cohort,
    checkpoint: Checkpoint | None = None,
) -> list[TrialResult]:
    """Return the results of a cohort, one per trial, trained in lockstep or run as programs.

    After an exception each half of the lanes is trained again by itself, and so on, until a trial
    that raises is alone: it has `failed`, with the error as its message; all others get a result.
    This also helps if memory is too small for all lanes at the smallest micro-batch. Training
    resumes from the checkpoint, which is written again whenever it is due.

    Raises:
        SavedError: a stop was requested, and the checkpoint has the state.
    """  # noqa: DOC502  (raised inside)
    if isinstance(trainable, Command):
        return run_programs(resolved, trainable, cohort, checkpoint)
    rules = StoppingRules.for_cohort(resolved, cohort)
    if isinstance(trainable, LoadedWorkload) and not trainable.observed.resumable:
        checkpoint = None  # it would lack the Python state: the cohort starts again instead
    ended = _train(resolved, trainable, cohort, rules, checkpoint)
    rules = _tightened(rules, ended)
    return [_result(cohort, index, lane, rules) for index, lane in enumerate(ended)]


def failed_results(cohort: Cohort, message: str) -> list[TrialResult]:
    """Return the results of a cohort that was lost as a whole, with the reason as message."""
    return [trial_result(cohort, place, message=message) for place in range(len(cohort.points))]


@dataclass(frozen=True, slots=True)
class _Ended:
    """A lane that ended: its run and how it was computed, or the error it raised."""

    run: Run | None = None
    execution: Execution | None = None
    message: str = ""


def _train(
    resolved: ResolvedStudy,
    trainable: Lockstep,
    cohort: Cohort,
    rules: StoppingRules,
    checkpoint: Checkpoint | None,
) -> list[_Ended]:
    """Train lanes in one race, and in halves after an exception."""
    try:
        return _race(resolved, trainable, cohort, rules, checkpoint)
    except SavedError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever a workload raises ends its own trial only
        message = f"{type(error).__name__}: {error}"
    # outside the handler, whose traceback would keep the lanes in memory
    if len(cohort.points) == 1:
        return [_Ended(message=message)]
    ended: list[_Ended] = []
    middle = len(cohort.points) // 2
    for which, points in (("a", cohort.points[:middle]), ("b", cohort.points[middle:])):
        half = replace(cohort, points=points)
        saved = None if checkpoint is None else checkpoint.half(which, half)
        ended += _train(resolved, trainable, half, _tightened(rules, ended), saved)
    return ended


def _race(
    resolved: ResolvedStudy,
    trainable: Lockstep,
    cohort: Cohort,
    rules: StoppingRules,
    checkpoint: Checkpoint | None,
) -> list[_Ended]:
    lanes, race = build_lanes(resolved, trainable, cohort), Race(len(cohort.points), rules)
    if checkpoint is not None and not _resume(lanes, race, checkpoint):
        lanes, race = build_lanes(resolved, trainable, cohort), Race(len(cohort.points), rules)
    while race.fruitless or not race.over:
        if race.fruitless:
            race = Race(len(cohort.points), rules.without_rungs())
            lanes = build_lanes(resolved, trainable, cohort)
        race.lap(lanes)
        if checkpoint is not None and isinstance(lanes, Ensemble) and not race.over:
            _save_if_due(checkpoint, race, lanes)
    execution = Execution(
        mode=resolved.compute.mode,
        pack=min(len(cohort.points), resolved.pack_at(cohort.batch_size)),
        micro_batch=lanes.micro_batch if isinstance(lanes, Ensemble) else None,
    )
    return [_Ended(run, execution) for run in race.runs()]


def _save_if_due(checkpoint: Checkpoint, race: Race, lanes: Ensemble) -> None:
    checkpoint.keep(race.step, lambda: {"race": race.state(), "lanes": lanes.state()})


def _resume(lanes: Lanes, race: Race, checkpoint: Checkpoint) -> bool:
    """Restore lanes and race from a checkpoint; return False if that left them unusable."""
    # a workload's own dynamics cannot be saved
    if not isinstance(lanes, Ensemble) or (state := checkpoint.read()) is None:
        return True
    try:
        lanes.restore(state["lanes"])
        race.restore(state["race"])
    except Exception as error:  # noqa: BLE001 - a workload that has changed may raise anything
        checkpoint.refuse(error)
        return False
    checkpoint.note(f"resumed at step {race.step:,}")
    return True


def _tightened(rules: StoppingRules, ended: Iterable[_Ended]) -> StoppingRules:
    """Return the stopping rules given the steps of all trials that reached the target."""
    for lane in ended:
        if lane.run and (steps := judge(lane.run, rules)[1].steps) is not None:
            rules = rules.after_reaching(steps)
    return rules


def build_lanes(resolved: ResolvedStudy, trainable: Lockstep, cohort: Cohort) -> Lanes:
    """Build a cohort's lanes at step 0, one per trial, in order."""
    seeds = [point.seed for point in cohort.points]
    values = {
        name: np.array([point.values[name] for point in cohort.points])
        for name in resolved.hyperparameters
    }

    def values_of(group: hyperparameters.Group) -> dict[str, Floats]:
        return {name: values[name] for name in group.used(resolved.search.space)}

    plan = resolved.plan(cohort.batch_size)
    schedule_values = values_of(hyperparameters.of_schedule(resolved.schedule.name))
    factor = _lr_factor(resolved, cohort, schedule_values)
    averaging = values_of(hyperparameters.of_averaging())
    optimizer_values = values_of(hyperparameters.of_optimizer(resolved.optimizer))
    if not isinstance(trainable, LoadedWorkload):
        return trainable.lanes(
            LaneSetup(
                optimizer=resolved.optimizer,
                batch_size=cohort.batch_size,
                hyperparameters=optimizer_values,
                lr_factor=factor,
                ema_decay=averaging.get(hyperparameters.EMA_DECAY),
                tail_average=averaging.get(hyperparameters.TAIL_AVERAGE),
                counts_averages=resolved.counts_averages,
                seeds=np.array(seeds, dtype=np.int64),
                batch_size_at=None if plan is None else plan.size_at,
            )
        )
    settings = UpdateSettings(
        optimizer=optimizer_named(resolved.optimizer),
        batch_size=resolved.local_batch_size(cohort.batch_size),
        batch_plan=plan,
        hyperparameters=optimizer_values,
        lr_factor=factor,
        micro_batch=resolved.micro_batch,
        averaging=averaging,
        counts_averages=resolved.counts_averages,
    )
    loss_values = values_of(hyperparameters.of_workload(trainable.workload))
    return _packs(resolved, trainable, cohort, settings, loss_values)


def _lr_factor(
    resolved: ResolvedStudy, cohort: Cohort, values: Mapping[str, Floats]
) -> Callable[[int], Floats] | None:
    """Return the factors (lanes,) on the learning rates, by step; None if constantly 1."""
    size, schedule = cohort.batch_size, schedule_named(resolved.schedule.name)
    plan, examples = resolved.plan(size), resolved.examples
    epoch = None if examples is None else examples / resolved.examples_per_step(size)
    factor = lr_factor(schedule, resolved.horizon(size), epoch, values)
    if plan is not None:
        factor = planned_factor(plan, size, resolved.lr_power, factor)
    if factor is None:
        return None
    # a user's own schedule may return one number for all lanes
    return lambda step: np.broadcast_to(factor(step), (len(cohort.points),))


def _packs(
    resolved: ResolvedStudy,
    loaded: LoadedWorkload,
    cohort: Cohort,
    settings: UpdateSettings,
    loss_values: Mapping[str, Floats],
) -> Ensemble:
    seeds = [point.seed for point in cohort.points]
    make = _NETWORKS[resolved.compute.mode]
    size = resolved.pack_at(cohort.batch_size)
    federated, examples = resolved.federated, loaded.data.train.size
    shards = client_shards(resolved, loaded, cohort.batch_size)
    batch_size, plan = settings.batch_size, settings.batch_plan
    packs: list[GradientLanes] = []
    for start in range(0, len(seeds), size):
        lanes = slice(start, start + size)
        pack_seeds, pack_settings = seeds[lanes], settings.select(lanes)
        values = {name: column[lanes] for name, column in loss_values.items()}
        networks = make(loaded, pack_seeds, values)
        if federated is None:
            order = DataOrder(pack_seeds, examples, batch_size, loaded.device, plan)
            packs.append(GradientLanes(loaded, networks, pack_settings, order))
        else:
            clients = ClientOrder(pack_seeds, shards, federated.local_steps, batch_size)
            packs.append(FederatedLanes(loaded, networks, pack_settings, clients))
    return Ensemble(packs)


def _result(cohort: Cohort, index: int, lane: _Ended, rules: StoppingRules) -> TrialResult:
    ended = LOST if lane.run is None else judge(lane.run, rules)
    return trial_result(cohort, index, ended, lane.execution, lane.message)
