"""Batch schedules: stages of a rule, plans at each batch size, and refusals."""

import math

import numpy as np

from analysis.measures.batch_plan import BatchPlan
from study.config.batch_schedule import BatchScheduleConfig
from study.config.space import Range, Space
from study.config.study import ResolvedStudy, StudyConfig
from study.errors import StudyError
from study.optimizers import schedule_named
from workloads.command import Command
from workloads.workload import Dynamics, Workload

_MAXIMUM = 8.0
_BUDGET = 1_000_000
"""Budget at which the learning-rate schedule is evaluated: stages are shares of any budget."""
_PROBES = range(0, _BUDGET, _BUDGET // 2_000)


def staged(config: StudyConfig, space: Space) -> BatchScheduleConfig | None:
    """Return a study's batch schedule as stages, which a rule may give.

    With "seesaw" they begin where the learning-rate schedule falls to 1/2, 1/4, ... (arXiv
    2510.14717).

    Raises:
        StudyError: the rule has no such schedule, or one that is searched.
    """
    given, name = config.batch_schedule, config.schedule.name
    if given is None or given.rule is None:
        return given
    schedule = schedule_named(name)
    factor = schedule.factor
    if factor is None:
        raise StudyError(
            f"batch_schedule.rule needs a schedule of the learning rate, got {name!r}; set "
            'schedule.name, for example "cosine", or give batch_schedule.stages'
        )
    values = {}
    for key in schedule.hyperparameters:
        entry = space[key]
        if isinstance(entry, Range):
            raise StudyError(
                f"search.space.{key} must be a number for batch_schedule.rule, got a range: all "
                "trials of a batch size change their batches at the same steps"
            )
        values[key] = np.array([entry])
    falls = np.array([float(np.min(factor(step, _BUDGET, values))) for step in _PROBES])
    stages = [(0.0, 1.0)]
    for doubling in range(1, int(math.log2(given.most or _MAXIMUM)) + 1):
        below = np.flatnonzero(falls <= 0.5**doubling)
        if not below.size:
            break
        stages.append((_PROBES[below[0]] / _BUDGET, 2.0**doubling))
    if len(stages) == 1:
        raise StudyError(
            f"batch_schedule.rule needs a schedule that halves the learning rate, got "
            f"{name!r} down to {falls.min():g}; lower end_factor"
        )
    return BatchScheduleConfig(stages=tuple(stages))


def batch_plans(study: ResolvedStudy) -> dict[str, tuple[tuple[int, int], ...]] | None:
    """Return the plan of each batch size; None for a study without a batch schedule.

    Raises:
        StudyError: a batch is larger than the training set, or the first one than the budget.
    """
    if study.batch_schedule is None or study.batch_schedule.stages is None:
        return None
    plans = {
        str(size): BatchPlan.from_multiples(
            study.batch_schedule.stages, size, size * study.horizon(size)
        )
        for size in study.batch_sizes
    }
    for size, plan in plans.items():
        budget, first = int(size) * study.horizon(int(size)), plan.stages[0][1]
        if first > budget:
            raise StudyError(
                f"batch_schedule must begin with a batch within the budget, {budget:,} examples at "
                f"batch size {size}, got {first:,}; raise the budget, or lower the multiples"
            )
        greatest = max(examples for _, examples in plan.stages)
        if study.examples is not None and greatest > study.examples:
            raise StudyError(
                f"batch_schedule must keep batches within the {study.examples:,} training "
                f"examples, got {greatest:,} at batch size {size}; leave that batch size out, or "
                "lower the multiples"
            )
    return {size: plan.stages for size, plan in plans.items()}


def refuse_batch_schedule(config: StudyConfig, workload: Workload | Dynamics | Command) -> None:
    """Refuse a batch schedule where it has no meaning."""
    if config.batch_schedule is None:
        return
    reasons = {
        "a program, which makes its own batches": isinstance(workload, Command),
        "a federated study, whose clients have their own batches": config.federated is not None,
        'mode = "recipe", whose scaling rule is about one batch size': config.mode == "recipe",
        "until, which fits a curve of fixed batch sizes": config.until is not None,
        "a workload whose own dynamics do not support it": isinstance(workload, Dynamics)
        and not getattr(workload, "batch_schedules", False),
    }
    for reason, holds in reasons.items():
        if holds:
            raise StudyError(f"batch_schedule must be left out for {reason}")
