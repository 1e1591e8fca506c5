"""What a worker does: trains one cohort and tells how each of its trials ended."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from study.config.study import ResolvedStudy
from study.engine.checkpoints import Checkpoint
from study.engine.data_order import DataOrder
from study.engine.federated import ClientOrder, FederatedLanes, client_shards
from study.engine.lanes import Ensemble, GradientLanes, Networks, TrainingRule
from study.engine.networks.looped import EagerNetwork
from study.engine.networks.packed import PackedNetworks
from study.engine.networks.training import Trainable, TrainingSet
from study.engine.outcomes import Run, judge
from study.engine.race import Race
from study.engine.stopping_rules import Rules
from study.optimizers import optimizer_named
from study.optimizers.hyperparameters import Group, of_optimizer, of_schedule, of_workload
from study.optimizers.schedules import SCHEDULES, Span, lr_factor
from study.records import (
    Cohort,
    Curve,
    Execution,
    Floats,
    Outcome,
    Seconds,
    Status,
    TrialResult,
)
from workloads.workload import Lanes, LaneSetup

_NETWORKS: Mapping[str, Callable[[TrainingSet, Sequence[int], Mapping[str, Floats]], Networks]] = {
    "packed": PackedNetworks,
    "looped": lambda training, seeds, values: EagerNetwork(training, seeds[0], values),
}


def run_cohort(
    study: ResolvedStudy,
    trainable: Trainable,
    cohort: Cohort,
    checkpoint: Checkpoint | None = None,
) -> list[TrialResult]:
    """Trains a cohort in lockstep.

    Where an exception ends it, each half of its lanes trains again by itself, and so on, until a
    trial that raises is alone: it is `failed`, with the text, and costs no other its result. The
    same helps where memory holds not even the least portion (`study.engine.networks.micro_batch`)
    of all lanes; portions come first since they lose no step.

    Args:
        study: the resolved study.
        trainable: its workload, made ready on this worker.
        cohort: the trials.
        checkpoint: what to go on from, and where to save how far it is; None for neither.

    Returns:
        One result per trial, in their order.
    """
    rules = Rules.of(cohort.role, study, cohort.batch_size, cohort.best_steps)
    ended = _trained(study, trainable, cohort, rules, checkpoint)
    rules = _knowing(rules, ended)
    return [_result(cohort, index, lane, rules) for index, lane in enumerate(ended)]


def failed(cohort: Cohort, message: str) -> list[TrialResult]:
    """Gives the results of a cohort of which nothing is left but the reason."""
    return [_failed(cohort, index, message) for index in range(len(cohort.points))]


@dataclass(frozen=True, slots=True)
class _Ended:
    """A lane that ended: its record and how it was computed; or what it raised."""

    run: Run | None = None
    execution: Execution | None = None
    message: str = ""


def _trained(
    study: ResolvedStudy,
    trainable: Trainable,
    cohort: Cohort,
    rules: Rules,
    checkpoint: Checkpoint | None,
) -> list[_Ended]:
    """Trains lanes, in halves where they raise together."""
    try:
        return _raced(study, trainable, cohort, rules, checkpoint)
    except Exception as error:  # noqa: BLE001 - whatever a workload raises is some trial's end
        message = f"{type(error).__name__}: {error}"
    # outside the handler, whose traceback would hold on to the lanes
    if len(cohort.points) == 1:
        return [_Ended(message=message)]
    ended: list[_Ended] = []
    middle = len(cohort.points) // 2
    for which, points in (("a", cohort.points[:middle]), ("b", cohort.points[middle:])):
        half = replace(cohort, points=points)
        apart = None if checkpoint is None else checkpoint.half(which, half)
        ended += _trained(study, trainable, half, _knowing(rules, ended), apart)
    return ended


def _raced(
    study: ResolvedStudy,
    trainable: Trainable,
    cohort: Cohort,
    rules: Rules,
    checkpoint: Checkpoint | None,
) -> list[_Ended]:
    """Trains lanes in one race."""
    lanes, race = _started(study, trainable, cohort, rules, checkpoint)
    while not race.over:
        race.lap(lanes)
        if checkpoint is not None and isinstance(lanes, Ensemble) and checkpoint.due:
            checkpoint.write({"race": race.state(), "lanes": lanes.state()})
    execution = Execution(
        lanes=_kind(study, trainable, cohort),
        pack=min(len(cohort.points), study.pack_at(cohort.batch_size)),
        micro_batch=lanes.micro_batch if isinstance(lanes, Ensemble) else None,
    )
    return [_Ended(run, execution) for run in race.runs()]


def _started(
    study: ResolvedStudy,
    trainable: Trainable,
    cohort: Cohort,
    rules: Rules,
    checkpoint: Checkpoint | None,
) -> tuple[Lanes, Race]:
    """Gives a race and its lanes where a checkpoint left them, or at the start."""
    lanes, race = build_lanes(study, trainable, cohort), Race(len(cohort.points), rules)
    if checkpoint is None or not isinstance(lanes, Ensemble):
        return lanes, race
    state = checkpoint.read()
    if state is None:
        return lanes, race
    try:
        lanes.restore(state["lanes"])
        race.restore(state["race"])
    except Exception as error:  # noqa: BLE001 - a workload that is not what it was may raise any
        checkpoint.refuse(error)
        return build_lanes(study, trainable, cohort), Race(len(cohort.points), rules)
    checkpoint.note(f"was gone on from, at step {race.step:,}")
    return lanes, race


def _knowing(rules: Rules, ended: Iterable[_Ended]) -> Rules:
    """Gives the rules after all trials that reached the target."""
    for lane in ended:
        steps = None if lane.run is None else judge(lane.run, rules)[1].steps
        rules = rules if steps is None else rules.knowing(steps)
    return rules


def build_lanes(study: ResolvedStudy, trainable: Trainable, cohort: Cohort) -> Lanes:
    """Builds a cohort's lanes at step 0, one per trial in their order."""
    seeds = [point.seed for point in cohort.points]
    values = {
        name: np.array([point.values[name] for point in cohort.points])
        for name in study.hyperparameters
    }

    def of(group: Group) -> dict[str, Floats]:
        return {name: values[name] for name in group.used(study.search.space)}

    per_step = study.examples_per_step(cohort.batch_size)
    epoch = None if study.examples is None else study.examples / per_step
    span = Span(study.budget(cohort.batch_size), epoch)
    schedule = SCHEDULES[study.schedule.name]
    factor = lr_factor(schedule, span, of(of_schedule(study.schedule.name)))
    if not isinstance(trainable, TrainingSet):
        return trainable.lanes(
            LaneSetup(
                optimizer=study.optimizer,
                batch_size=cohort.batch_size,
                hyperparameters=of(of_optimizer(study.optimizer)),
                lr_factor=factor,
                seeds=np.array(seeds, dtype=np.int64),
            )
        )
    rule = TrainingRule(
        optimizer=optimizer_named(study.optimizer),
        batch_size=study.local_batch_size(cohort.batch_size),
        hyperparameters=of(of_optimizer(study.optimizer)),
        lr_factor=factor,
        micro_batch=study.micro_batch,
    )
    return _packs(study, trainable, cohort, rule, of(of_workload(trainable.workload)))


def _packs(
    study: ResolvedStudy,
    training: TrainingSet,
    cohort: Cohort,
    rule: TrainingRule,
    loss_values: Mapping[str, Floats],
) -> Ensemble:
    seeds = [point.seed for point in cohort.points]
    make, size = _NETWORKS[_kind(study, training, cohort)], study.pack_at(cohort.batch_size)
    federated, examples = study.federated, len(training.data.train.inputs)
    shards = client_shards(study, training, cohort.batch_size)
    packs: list[GradientLanes] = []
    for start in range(0, len(seeds), size):
        lanes = slice(start, start + size)
        some, own = seeds[lanes], rule.of(lanes)
        values = {name: column[lanes] for name, column in loss_values.items()}
        networks = make(training, some, values)
        if federated is None:
            order = DataOrder(some, examples, own.batch_size, training.device)
            packs.append(GradientLanes(training, networks, own, order))
        else:
            clients = ClientOrder(some, shards, federated.local_steps, own.batch_size)
            packs.append(FederatedLanes(training, networks, own, clients))
    return Ensemble(packs)


def _kind(study: ResolvedStudy, trainable: Trainable, cohort: Cohort) -> str:
    """Gives how lanes run: as the study says, but single lanes of convolutions are looped."""
    if isinstance(trainable, TrainingSet) and study.race.lanes == "packed":
        # a convolution's gradient cannot be compiled, so that a pack of one gains nothing
        single = study.pack_at(cohort.batch_size) == 1
        return "looped" if single and trainable.convolutional else "packed"
    return study.race.lanes


def _result(cohort: Cohort, index: int, ended: _Ended, rules: Rules) -> TrialResult:
    if ended.run is None:
        return _failed(cohort, index, ended.message)
    run, outcome = judge(ended.run, rules)
    return TrialResult(
        batch_size=cohort.batch_size,
        cohort=cohort.number,
        point=cohort.points[index],
        curve=run.curve,
        outcome=outcome,
        seconds=run.seconds,
        execution=ended.execution,
        region=cohort.region,
    )


def _failed(cohort: Cohort, index: int, message: str) -> TrialResult:
    return TrialResult(
        batch_size=cohort.batch_size,
        cohort=cohort.number,
        point=cohort.points[index],
        curve=Curve.empty(),
        outcome=Outcome(
            status=Status.FAILED, steps=None, steps_before=None, stopped_at=0, best_error=None
        ),
        seconds=Seconds(),
        message=message,
        region=cohort.region,
    )
