"""Step budgets, and whether a learning-rate schedule that spans them decays before the target.

Where the target takes a small part of the budget, the schedule's factor is still close to 1 when it
is reached. The learning rate is then nearly constant there, but not at batch sizes that take
longer.
"""

import math
from collections.abc import Mapping
from itertools import product

import numpy as np

from analysis.errors import AnalysisError
from analysis.tables.folder import ResultsFolder
from study.config.sections import MAXIMUM, MeasuredSteps
from study.config.space import ends
from study.config.study import ResolvedStudy
from study.errors import StudyError
from study.optimizers import schedule_named

MOVED = 0.9
"""A schedule whose factor is above this at the target has hardly decayed."""


def step_budgets(given: int | dict[str, int] | MeasuredSteps) -> int | dict[str, int]:
    """Return step budgets as numbers; a multiple of measured steps gives a table by batch size.

    Raises:
        StudyError: the folder has no study that can be read, or one that missed its target.
    """
    if not isinstance(given, MeasuredSteps):
        return given
    from analysis.measures.targets import steps_to_target  # loads pandas, which few studies need
    from analysis.tables.study import read_study

    try:
        table = steps_to_target(read_study(ResultsFolder.at(given.of)))
    except AnalysisError as error:
        raise StudyError(
            f"race.max_steps.of must be the results folder of a study, got {given.of!r}: {error}"
        ) from error
    reached = table[table["steps"].notna()]
    if reached.empty:
        raise StudyError(
            "race.max_steps.of must be the results folder of a study that reached its target, got "
            f"{given.of!r}, where no batch size did; give race.max_steps as a number or a table"
        )
    return {
        str(size): min(MAXIMUM, math.ceil(given.times * steps))
        for size, steps in zip(reached["batch_size"], reached["steps"], strict=True)
    }


def still_schedules(resolved: ResolvedStudy, steps: Mapping[int, int]) -> list[str]:
    """Return a sentence on batch sizes where the schedule hardly decays before the target, if any.

    There, no point of the search space has a factor below `MOVED` after these steps.
    """
    least = {size: _least_factor(resolved, size, count) for size, count in steps.items()}
    still = {size: factor for size, factor in least.items() if factor > MOVED}
    if not still:
        return []
    name = resolved.schedule.name
    where = ", ".join(
        f"B = {size} ({still[size]:.2f} at step {steps[size]:,} of {resolved.budget(size):,})"
        for size in sorted(still)
    )
    table = ", ".join(f"{size} = {4 * steps[size]}" for size in sorted(steps))
    return [
        f"the {name} schedule hardly decays before the target at {where}: the learning rate is "
        "nearly constant there; set budgets in proportion to the steps, for example race.max_steps "
        f"= {{ {table} }}, in a new results folder"
    ]


def _least_factor(resolved: ResolvedStudy, batch_size: int, steps: int) -> float:
    """Return the lowest factor in the search space at the last update before the target."""
    schedule = schedule_named(resolved.schedule.name)
    if schedule.factor is None:
        return 0.0
    entries = [resolved.search.space[name] for name in schedule.hyperparameters]
    corners = np.array(list(product(*map(ends, entries)))).T
    values = dict(zip(schedule.hyperparameters, corners, strict=True))
    horizon, plan = resolved.horizon(batch_size), resolved.plan(batch_size)
    before = steps - 1 if plan is None else int(plan.examples(steps - 1)) // batch_size
    return float(np.min(schedule.factor(before, horizon, values)))
