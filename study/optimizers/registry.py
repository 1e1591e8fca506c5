"""Find optimizers and schedules by name: in a table, or in a package as an entry point.

A schedule may also be given as path/to/file.py:Class.
"""

import functools
from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from study.config.space import Hyperparameter
from study.errors import StudyError, cause, not_among
from study.optimizers.adaptive import ADAM, ADAMW
from study.optimizers.layerwise import LAMB, LARS, MERIT
from study.optimizers.momentum import HEAVY_BALL, NESTEROV, SGD
from study.optimizers.orthogonal import MUON
from study.optimizers.schedules import SCHEDULES, Schedule
from study.optimizers.update_rule import Optimizer
from workloads.entry_points import Kind, package
from workloads.registry import class_in_file

GROUP = "batchscale.optimizers"
OPTIMIZERS: Mapping[str, Optimizer] = {
    "sgd": SGD,
    "heavy-ball": HEAVY_BALL,
    "nesterov": NESTEROV,
    "adam": ADAM,
    "adamw": ADAMW,
    "lars": LARS,
    "lamb": LAMB,
    "merit": MERIT,
    "muon": MUON,
}
"""Built-in optimizers."""
SCHEDULE_GROUP = "batchscale.schedules"
_SCHEDULE_KIND = Kind(noun="schedule", article="a", builtin=SCHEDULES, error=StudyError)
_KIND = Kind(noun="optimizer", article="an", builtin=OPTIMIZERS, error=StudyError)


def optimizer_named(name: str) -> Optimizer:
    """Return the optimizer of a name in a study file.

    Raises:
        StudyError: the name is unknown, two packages provide it, or its entry point does not refer
            to an `Optimizer`.
    """
    plugins = _plugins()
    if name in OPTIMIZERS:
        return OPTIMIZERS[name]
    if name in plugins:
        return _load(plugins[name])
    raise StudyError(not_among("optimizer", name, [*OPTIMIZERS, *sorted(plugins)]))


def schedule_named(name: str) -> Schedule:
    """Return the schedule of a name in a study file, or of path/to/file.py:Class.

    Raises:
        StudyError: the name is unknown, two packages provide it, or what it names is no schedule.
        WorkloadError: the file does not import, or may not run.
    """  # noqa: DOC502  (raised by class_in_file)
    if name in SCHEDULES:
        return SCHEDULES[name]
    made = class_in_file(name, "schedule")
    if made is not None:
        return made_schedule(made, name)
    plugins = _SCHEDULE_KIND.by_name(_schedule_points())
    if name in plugins:
        return made_schedule(_SCHEDULE_KIND.load(plugins[name]), name)
    raise StudyError(not_among("schedule.name", name, [*SCHEDULES, *sorted(plugins)]))


def made_schedule(made: object, name: str) -> Schedule:
    """Return a schedule as it is, or from a class with `hyperparameters` and a method `factor`.

    Raises:
        StudyError: it is neither; `name` is what the message calls it.
    """
    try:
        own: Any = made() if isinstance(made, type) else made
        if isinstance(own, Schedule):
            return own
        entries, factor = dict(own.hyperparameters), own.factor
    except Exception as error:
        raise StudyError(
            "a schedule must be a study.optimizers.schedules.Schedule, or a class with "
            f"`hyperparameters` and `factor(step, max_steps, values)`, got {cause(error)} from "
            f"{name}"
        ) from error
    wrong = [n for n, entry in entries.items() if not isinstance(entry, Hyperparameter)]
    if wrong or not callable(factor):
        raise StudyError(
            "the hyperparameters of a schedule must each be a study.config.space.Hyperparameter, "
            f"and factor a method, got {wrong[0] if wrong else factor!r} in {name}"
        )
    return Schedule(hyperparameters=entries, factor=factor)


@functools.cache
def _schedule_points() -> tuple[EntryPoint, ...]:
    return tuple(entry_points(group=SCHEDULE_GROUP))


@functools.cache  # reads the metadata of every installed package
def _plugins() -> dict[str, EntryPoint]:
    return _KIND.by_name(entry_points(group=GROUP))


def _load(point: EntryPoint) -> Optimizer:
    optimizer = _KIND.load(point)
    if not isinstance(optimizer, Optimizer):
        raise StudyError(
            f"an entry point of {GROUP} must be a study.optimizers.Optimizer, got "
            f"{type(optimizer).__name__} behind {point.name!r} from {package(point)}"
        )
    return optimizer
