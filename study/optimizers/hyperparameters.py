"""Hyperparameters of a study: those of its optimizer, schedule and workload, or of its program."""

import inspect
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter, ValidationError

from study.config.coordinates import COORDINATES, EMA_HALF_LIFE, EXAMPLES, replaced
from study.config.space import Hyperparameter, Range, Scale, Space, ends
from study.errors import StudyError, shown
from study.optimizers import optimizer_named, schedule_named
from study.optimizers.schedules import WARM_UP

EMA_DECAY, TAIL_AVERAGE = "ema_decay", "tail_average"
_DECLARED = TypeAdapter(Hyperparameter)


@dataclass(frozen=True, slots=True)
class Group:
    """Hyperparameters of an optimizer, a schedule or a workload."""

    required: Mapping[str, Hyperparameter]  # always in the search space
    optional: Mapping[str, Hyperparameter]  # in the search space only if the study names them

    @property
    def known(self) -> dict[str, Hyperparameter]:
        """All hyperparameters, required ones first."""
        return {**self.required, **self.optional}

    def used(self, space: Space) -> tuple[str, ...]:
        """Return the names of the hyperparameters in a resolved space that change a computation.

        Optional ones fixed at their default are left out, so a study that names them is computed
        exactly like one that does not. Coordinates are replaced by what they determine.
        """
        idle = {name for name, entry in self.optional.items() if space.get(name) == entry.default}
        effective = {*space, *replaced(space)} - idle - COORDINATES.keys()
        return tuple(name for name in self.known if name in effective)


def of_optimizer(name: str) -> Group:
    """Return an optimizer's hyperparameters; clipping and coupled weight decay are optional."""
    optimizer = optimizer_named(name)
    return Group(optimizer.hyperparameters, optimizer.optional)


def of_schedule(name: str) -> Group:
    """Return a schedule's hyperparameters; those of a warm-up are optional."""
    return Group(schedule_named(name).hyperparameters, WARM_UP)


def of_averaging() -> Group:
    """Return the hyperparameters of weight averaging, at most one of which is used."""
    decay = Hyperparameter(default=0.0, low=0.0, high=1.0)
    tail = Hyperparameter(default=0.0, low=0.0, high=1.0, high_open=False)
    return Group({}, {EMA_DECAY: decay, TAIL_AVERAGE: tail, EMA_HALF_LIFE: EXAMPLES})


def of_program(names: Iterable[str], space: Space) -> Group:
    """Return a program's hyperparameters, with domains as wide as their ranges in the space."""
    missing = sorted(set(names) - space.keys())
    if missing:
        raise StudyError(
            "search.space must give a range or a number to each hyperparameter of the program, "
            f"got none for {', '.join(missing)}; add search.space.{missing[0]}, or correct "
            "workload_options.run"
        )
    return Group({name: open_domain(space[name]) for name in space if name in set(names)}, {})


def open_domain(entry: Range | float) -> Hyperparameter:
    """Return the domain of a hyperparameter, given only its entry in the search space.

    A log scale needs values above 0, a reverse-log scale values below 1. On a linear scale, a range
    within [0, 1] is taken for a fraction's, and one above 0 for a positive number's.
    """
    if not isinstance(entry, Range):
        return Hyperparameter(default=entry, low=-math.inf)
    low = 0.0 if entry.low >= 0 else -math.inf
    if entry.scale is Scale.LOG:
        return Hyperparameter(default=entry, low=0.0, low_open=True)
    if entry.scale is Scale.REVERSE_LOG:
        return Hyperparameter(default=entry, low=low, high=1.0)
    fraction = low == 0.0 and entry.high <= 1
    return Hyperparameter(
        default=entry, low=low, high=1.0 if fraction else math.inf, high_open=not fraction
    )


def of_workload(workload: object) -> Group:
    """Return the hyperparameters that a workload declares, checked; ranges are required."""
    declared = getattr(workload, "hyperparameters", {})
    if not isinstance(declared, Mapping):
        raise StudyError(
            f"a workload's hyperparameters must be a mapping by name, got {shown(declared)}"
        )
    entries = {name: _validate(name, entry) for name, entry in declared.items()}
    for name, entry in entries.items():
        _require_in_loss(workload, name, entry.default)
    searched = {n: entry for n, entry in entries.items() if isinstance(entry.default, Range)}
    return Group(searched, {n: entry for n, entry in entries.items() if n not in searched})


def _validate(name: str, entry: Any) -> Hyperparameter:
    try:
        hyperparameter = _DECLARED.validate_python(entry)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "it"
        raise StudyError(
            "a workload's hyperparameter must give default and low, and may give high, low_open "
            f"and high_open; got {shown(entry)} for {name!r}, where {where}: {first['msg']}"
        ) from error
    if not all(map(hyperparameter.allows, ends(hyperparameter.default))):
        raise StudyError(
            f"a workload's hyperparameter must have its default in {hyperparameter.domain()}, got "
            f"{shown(entry)} for {name!r}"
        )
    return hyperparameter


def _require_in_loss(workload: object, name: str, default: Range | float) -> None:
    parameters = inspect.signature(workload.loss).parameters  # type: ignore[attr-defined]
    own = parameters[name].default if name in parameters else inspect.Parameter.empty
    if own is inspect.Parameter.empty:
        raise StudyError(
            f"the workload's loss must take {name!r}, which its hyperparameters declare, as a "
            f"keyword with a default, got {', '.join(parameters)}; add it"
        )
    if not isinstance(default, Range) and own != default:
        raise StudyError(
            f"the declared default of {name!r} must equal its default in the workload's loss, got "
            f"{default:g} and {own!r}; make them equal"
        )
