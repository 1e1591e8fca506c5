"""Lookup of optimizers and schedules by name: in a table, a package (entry points) or a file."""

import functools
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, TypeVar

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

T = TypeVar("T", Optimizer, Schedule)
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
_KIND = Kind(noun="optimizer", article="an", builtin=OPTIMIZERS, error=StudyError)


def optimizer_named(name: str) -> Optimizer:
    """Return the optimizer with a name in the table or of an entry point, or path/file.py:Class."""
    plugin = plug_in(_KIND, "optimizer", name)
    return OPTIMIZERS[name] if plugin is None else made_optimizer(plugin, name)


def schedule_named(name: str) -> Schedule:
    """Return the schedule with a name, as :func:`optimizer_named` does."""
    plugin = plug_in(_SCHEDULE_KIND, "schedule.name", name)
    return SCHEDULES[name] if plugin is None else made_schedule(plugin, name)


def made_optimizer(plugin: object, name: str) -> Optimizer:
    """Return a plug-in's optimizer, checked: itself, or one made from a class with its fields."""
    contract = (
        "an optimizer must be a study.optimizers.Optimizer, or a class with `hyperparameters`, "
        "`buffers` and `update(state)`"
    )
    optimizer = _made(Optimizer, plugin, name, contract)
    _require_valid(optimizer, name)
    return optimizer


def made_schedule(plugin: object, name: str) -> Schedule:
    """Return a plug-in's schedule, checked: itself, or one made from a class with its fields."""
    contract = (
        "a schedule must be a study.optimizers.schedules.Schedule, or a class with "
        "`hyperparameters` and `factor(step, max_steps, values)`"
    )
    schedule = _made(Schedule, plugin, name, contract)
    _require_entries("a schedule", schedule.hyperparameters, name)
    if schedule.factor is not None and not callable(schedule.factor):
        raise StudyError(
            f"the factor of a schedule must be a method, got {schedule.factor!r} in {name}"
        )
    return schedule


def _made(cls: type[T], plugin: object, name: str, contract: str) -> T:
    try:
        own: Any = _instance(plugin) if isinstance(plugin, type) else plugin
        if isinstance(own, cls):
            return own
        given = {f.name: getattr(own, f.name) for f in fields(cls) if hasattr(own, f.name)}
        given |= {n: tuple(given[n]) for n in ("buffers", "counters") if n in given}
        return cls(**given | {"hyperparameters": dict(own.hyperparameters)})
    except (Exception, SystemExit) as error:
        raise StudyError(f"{contract}, got {cause(error)} from {name}") from error


@functools.cache  # traces are cached by the bound update, which must be the same in every call
def _instance(plugin: type) -> Any:
    one, other = plugin(), plugin()
    if differences := changed(snapshot(itself=one), snapshot(itself=other)):
        raise ValueError(
            f"two objects that differ in {min(differences)}, as they would on two workers"
        )
    return one


def _require_valid(optimizer: Optimizer, name: str) -> None:
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
    wrong = [one for one in names if names.count(one) > 1 or not isinstance(one, str)]
    if wrong:
        raise StudyError(
            "hyperparameters, buffers and counters of an optimizer must have distinct names, got "
            f"{wrong[0]!r} more than once, or not as a string, in {name}; rename it"
        )


def _require_entries(owner: str, entries: Mapping[str, Any], name: str) -> None:
    wrong = [n for n, entry in entries.items() if not isinstance(entry, Hyperparameter)]
    if wrong:
        raise StudyError(
            f"the hyperparameters of {owner} must each be a study.config.space.Hyperparameter, got "
            f"{entries[wrong[0]]!r} for {wrong[0]!r} in {name}"
        )
