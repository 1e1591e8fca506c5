"""Which hyperparameters a study has: those of its optimizer, its schedule and its workload."""

import inspect
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from study.config.sections import Flag, Number
from study.config.space import Hyperparameter, Range, Space
from study.errors import StudyError, shown
from study.optimizers import optimizer_named
from study.optimizers.schedules import SCHEDULES, WARM_UP


@dataclass(frozen=True, slots=True)
class Group:
    """The hyperparameters of one part of a study.

    Attributes:
        required: always in the search space, by their defaults where the study file names none.
        optional: in the search space only where the study file names them.
    """

    required: Mapping[str, Hyperparameter]
    optional: Mapping[str, Hyperparameter]

    @property
    def known(self) -> dict[str, Hyperparameter]:
        """All of them, required ones first."""
        return {**self.required, **self.optional}

    def used(self, space: Space) -> tuple[str, ...]:
        """Names those that a computation must know.

        Args:
            space: of the resolved study.

        Returns:
            All of the group in the space, but for optional ones fixed at their default: a study
            that names them so is computed as one that does not.
        """
        idle = {name for name, entry in self.optional.items() if space.get(name) == entry.default}
        return tuple(name for name in self.known if name in space and name not in idle)


def of_optimizer(name: str) -> Group:
    """Gives the hyperparameters of an optimizer.

    Args:
        name: as in a study file.

    Returns:
        Its own and, as options, clipping and coupled weight decay.
    """
    optimizer = optimizer_named(name)
    return Group(optimizer.hyperparameters, optimizer.optional)


def of_schedule(name: str) -> Group:
    """Gives the hyperparameters of a schedule of the table, with a warm-up as an option."""
    return Group(SCHEDULES[name].hyperparameters, WARM_UP)


def of_workload(workload: object) -> Group:
    """Gives the hyperparameters that a workload declares.

    Args:
        workload: perhaps with `hyperparameters`, see `workloads.workload.Workload`.

    Returns:
        As required those with a default range, as options those with a fixed default.

    Raises:
        StudyError: a declaration is malformed, or `loss` does not take it.
    """
    declared = getattr(workload, "hyperparameters", {})
    if not isinstance(declared, Mapping):
        raise StudyError(
            f"a workload's hyperparameters must be a mapping by name, got {shown(declared)}; "
            "correct the workload"
        )
    entries = {name: _declared(name, entry) for name, entry in declared.items()}
    for name, entry in entries.items():
        _loss_takes(workload, name, entry.default)
    searched = {n for n, entry in entries.items() if isinstance(entry.default, Range)}
    return Group(
        {n: entry for n, entry in entries.items() if n in searched},
        {n: entry for n, entry in entries.items() if n not in searched},
    )


class _Declaration(BaseModel):
    """A workload's hyperparameter as plain data: the fields of :class:`Hyperparameter`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    default: Range | Number
    low: Number
    high: Number = math.inf
    low_open: Flag = False
    high_open: Flag = True


def _declared(name: str, entry: Any) -> Hyperparameter:
    try:
        declaration = _Declaration.model_validate(entry)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "it"
        raise StudyError(
            "a workload's hyperparameter must give default and low, and may give high, low_open "
            f"and high_open; got {shown(entry)} for {name!r}, where {where}: {first['msg']}; "
            "correct it"
        ) from error
    fields = {name: getattr(declaration, name) for name in _Declaration.model_fields}
    hyperparameter = Hyperparameter(**fields)
    default = declaration.default
    ends = (default.low, default.high) if isinstance(default, Range) else (default,)
    if not all(map(hyperparameter.allows, ends)):
        raise StudyError(
            f"a workload's hyperparameter must have its default in {hyperparameter.domain()}, got "
            f"{shown(entry)} for {name!r}; correct it"
        )
    return hyperparameter


def _loss_takes(workload: object, name: str, default: Range | float) -> None:
    parameters = inspect.signature(workload.loss).parameters  # type: ignore[attr-defined]
    own = parameters[name].default if name in parameters else inspect.Parameter.empty
    if own is inspect.Parameter.empty:
        raise StudyError(
            f"the workload's loss must take {name!r}, which its hyperparameters declare, as a "
            f"keyword with a default, got {', '.join(parameters)}; add it"
        )
    if not isinstance(default, Range) and own != default:
        raise StudyError(
            f"the declared default of {name!r} must be that of the workload's loss, got "
            f"{default:g} and {own!r}; make them one"
        )
