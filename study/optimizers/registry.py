"""Find optimizers and schedules by name: in a table, a package (entry points) or a file."""

import functools
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from study.config.space import Hyperparameter
from study.errors import StudyError, cause
from study.optimizers.adaptive import ADAM, ADAMAX, ADAMW, NADAM, RADAM, SPARSE_ADAM
from study.optimizers.eigenbasis import SOAP
from study.optimizers.layerwise import LAMB, LARS, MERIT
from study.optimizers.momentum import ASGD, HEAVY_BALL, NESTEROV, SGD
from study.optimizers.orthogonal import MUON
from study.optimizers.quasi_newton import LBFGS
from study.optimizers.resilient import RPROP
from study.optimizers.root_mean_square import ADADELTA, ADAFACTOR, ADAGRAD, RMSPROP
from study.optimizers.schedule_free import SCHEDULE_FREE_ADAMW, SCHEDULE_FREE_SGD
from study.optimizers.schedules import SCHEDULES, Schedule
from study.optimizers.update_rule import Optimizer
from workloads.entry_points import Kind
from workloads.examination.python_state import changed, snapshot
from workloads.registry import plug_in

OPTIMIZERS: Mapping[str, Optimizer] = {
    "sgd": SGD,
    "heavy-ball": HEAVY_BALL,
    "nesterov": NESTEROV,
    "asgd": ASGD,
    "adam": ADAM,
    "adamw": ADAMW,
    "sparse-adam": SPARSE_ADAM,
    "nadam": NADAM,
    "radam": RADAM,
    "adamax": ADAMAX,
    "adagrad": ADAGRAD,
    "rmsprop": RMSPROP,
    "adadelta": ADADELTA,
    "adafactor": ADAFACTOR,
    "rprop": RPROP,
    "lbfgs": LBFGS,
    "lars": LARS,
    "lamb": LAMB,
    "merit": MERIT,
    "muon": MUON,
    "soap": SOAP,
    "schedule-free-sgd": SCHEDULE_FREE_SGD,
    "schedule-free-adamw": SCHEDULE_FREE_ADAMW,
}
"""Built-in optimizers."""
_SCHEDULE_KIND = Kind(noun="schedule", article="a", builtin=SCHEDULES, error=StudyError)
_OPTIMIZER_FIELDS = tuple(field.name for field in fields(Optimizer))
_KIND = Kind(noun="optimizer", article="an", builtin=OPTIMIZERS, error=StudyError)


def optimizer_named(name: str) -> Optimizer:
    """Return the optimizer of a name in a study file, or of path/to/file.py:Class."""
    made = plug_in(_KIND, "optimizer", name)
    return OPTIMIZERS[name] if made is None else made_optimizer(made, name)


def schedule_named(name: str) -> Schedule:
    """Return the schedule of a name in a study file, as :func:`optimizer_named` does."""
    made = plug_in(_SCHEDULE_KIND, "schedule.name", name)
    return SCHEDULES[name] if made is None else made_schedule(made, name)


def made_optimizer(made: object, name: str) -> Optimizer:
    """Return an optimizer, checked, or one from a class with its attributes and `update`."""
    try:
        own: Any = _instance(made) if isinstance(made, type) else made
        if isinstance(own, Optimizer):
            found = own
        else:
            given = {n: getattr(own, n) for n in _OPTIMIZER_FIELDS if hasattr(own, n)}
            named = {n: tuple(given.get(n, ())) for n in ("buffers", "counters")}
            hyperparameters = dict(own.hyperparameters)
            found = Optimizer(**{**given, **named, "hyperparameters": hyperparameters})
    except (Exception, SystemExit) as error:
        raise StudyError(
            "an optimizer must be a study.optimizers.Optimizer, or a class with `hyperparameters`, "
            f"`buffers` and `update(state)`, got {cause(error)} from {name}"
        ) from error
    _require_named(found, name)
    return found


@functools.cache  # traces are cached by its update, which must be the same in every call
def _instance(made: type) -> Any:
    one, other = made(), made()
    if differing := changed(snapshot(itself=one), snapshot(itself=other)):
        raise ValueError(f"two objects that differ in {min(differing)}, as those of two workers")
    return one


def _require_named(optimizer: Optimizer, name: str) -> None:
    entries = optimizer.hyperparameters
    _require_entries("an optimizer", entries, name)
    if not callable(optimizer.update):
        raise StudyError(
            f"the update of an optimizer must be a method, got {optimizer.update!r} in {name}"
        )
    if "lr" not in entries:
        raise StudyError(
            "an optimizer must have a hyperparameter lr, which schedules scale, got "
            f"{', '.join(entries) or 'none'} in {name}; one without a learning rate fixes it to 1"
        )
    names = [*entries, *optimizer.buffers, *optimizer.counters]
    twice = [one for one in names if names.count(one) > 1 or not isinstance(one, str)]
    if twice:
        raise StudyError(
            "hyperparameters, buffers and counters of an optimizer need names of their own, got "
            f"{twice[0]!r} more than once, or no text, in {name}; rename it"
        )


def _require_entries(owner: str, entries: Mapping[str, Any], name: str) -> None:
    wrong = [n for n, entry in entries.items() if not isinstance(entry, Hyperparameter)]
    if wrong:
        raise StudyError(
            f"the hyperparameters of {owner} must each be a study.config.space.Hyperparameter, got "
            f"{entries[wrong[0]]!r} for {wrong[0]!r} in {name}"
        )


def made_schedule(made: object, name: str) -> Schedule:
    """Return a schedule, or one from a class with `hyperparameters` and `factor`, checked."""
    try:
        own: Any = _instance(made) if isinstance(made, type) else made
        if isinstance(own, Schedule):
            return own
        entries, factor = dict(own.hyperparameters), own.factor
    except (Exception, SystemExit) as error:
        raise StudyError(
            "a schedule must be a study.optimizers.schedules.Schedule, or a class with "
            f"`hyperparameters` and `factor(step, max_steps, values)`, got {cause(error)} from "
            f"{name}"
        ) from error
    _require_entries("a schedule", entries, name)
    if not callable(factor):
        raise StudyError(f"the factor of a schedule must be a method, got {factor!r} in {name}")
    return Schedule(hyperparameters=entries, factor=factor)
