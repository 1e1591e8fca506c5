"""The search space with every default filled in, and wrong entries refused.

An entry comes from the study file, else from the workload's `study_defaults`, else from the
defaults of the optimizer, the schedule, or the workload's own hyperparameters.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from analysis.tables.schema import AVERAGED_ERROR, RAW_ERROR, RESERVED_COLUMNS
from analysis.tables.validation import MAX_FURTHER, is_name, is_quantity
from batchscale.errors import not_among
from study.config.coordinates import COORDINATES, EXAMPLES, replaced
from study.config.space import Hyperparameter, Range, Space, ends
from study.config.study import StudyConfig
from study.errors import StudyError, shown
from study.optimizers.hyperparameters import (
    EMA_DECAY,
    TAIL_AVERAGE,
    Group,
    of_averaging,
    of_optimizer,
    of_schedule,
    of_workload,
)
from study.optimizers.schedules import WARM_UP
from study.planning.programs import group_of
from workloads.command import Command
from workloads.workload import Dynamics, Workload


def groups_of(config: StudyConfig, workload: Workload | Dynamics | Command) -> list[Group]:
    """Return the hyperparameters of a study's optimizer, schedule, averages and workload."""
    if isinstance(workload, Command):
        program = group_of(config, workload)
        _refuse_taken("a program", program, RESERVED_COLUMNS)
        return [program]
    groups = [of_optimizer(config.optimizer), of_schedule(config.schedule.name)]
    averaging = of_averaging()
    of_all = RESERVED_COLUMNS | averaging.known.keys()
    _refuse_taken("an optimizer", groups[0], of_all)
    _refuse_taken("a schedule", groups[1], of_all | groups[0].known.keys())
    groups.append(averaging)
    if isinstance(workload, Dynamics):
        return groups
    own = of_workload(workload)
    taken = {name for group in groups for name in group.known}
    _refuse_taken("a workload", own, taken | RESERVED_COLUMNS)
    return [*groups, own]


def _refuse_taken(owner: str, group: Group, taken: Collection[str]) -> None:
    invalid = [name for name in group.known if not (isinstance(name, str) and is_name(name))]
    if invalid:
        raise StudyError(
            f"{owner}'s hyperparameter needs a name of letters, digits and any of _ . + -, which "
            f"becomes a column, got {shown(invalid[0])}; rename it"
        )
    names = set(taken) & group.known.keys()
    if names:
        raise StudyError(
            f"{owner}'s hyperparameter needs a unique name, got {min(names)!r}, which the "
            "optimizer, the schedule, the results or their analysis use; rename it"
        )


def measured_beside(config: StudyConfig, space: Space, *, own: bool) -> tuple[str, ...]:
    """Return the column of the weights to which the target does not refer; none without averages.

    `own` says whether the optimizer averages the weights itself.

    Raises:
        StudyError: the target refers to an average that is not there, there are two averages, or
            one is searched to which the target does not refer.
    """
    named = [name for name in of_averaging().known if name in space]
    used = [name for name in named if space[name] != 0.0]
    averaged = config.race.weights == "averaged"
    if own and named:
        raise StudyError(
            f"search.space.{named[0]} must be left out for the optimizer {config.optimizer}, "
            f"which measures its own average, got {space[named[0]]!r}"
        )
    if averaged and not (used or own):
        got = f"{named[0]} = 0" if named else "none"
        raise StudyError(
            f'race.weights = "averaged" needs an average, got {got}; add search.space.{EMA_DECAY}, '
            f"for example 0.99, or search.space.{TAIL_AVERAGE}, for example 0.5"
        )
    if len(used) > 1:
        raise StudyError(
            f"search.space must have at most one average of the weights, got {' and '.join(used)}; "
            "leave one out"
        )
    if not (used or own):
        return ()
    if used and isinstance(space[used[0]], Range) and not averaged:
        raise StudyError(
            f"search.space.{used[0]} must be a number where the target refers to raw weights, "
            'which it does not change, got a range; fix it, or set race.weights = "averaged"'
        )
    return (RAW_ERROR,) if averaged else (AVERAGED_ERROR,)


def refuse_names(quantities: Sequence[str], space: Space, allowed: Collection[str] = ()) -> None:
    """Refuse names of measured quantities that columns of the curves may not have.

    `allowed` names mean the same to a program and to the tables.

    Raises:
        StudyError: a name is malformed, given twice, or taken.
    """
    if len(quantities) > MAX_FURTHER:
        raise StudyError(
            f"a workload may measure at most {MAX_FURTHER} quantities besides loss and error, got "
            f"{len(quantities)}; measure fewer"
        )
    taken = (RESERVED_COLUMNS | space.keys()) - set(allowed)
    for name in quantities:
        if not is_quantity(name):
            raise StudyError(
                "a measured quantity needs a name of letters, digits and any of _ . + - and /, got "
                f"{shown(name)}; rename it"
            )
        if name in taken or quantities.count(name) > 1:
            raise StudyError(
                f"a measured quantity needs a unique name, got {name!r}, which another quantity, a "
                "hyperparameter, the results or their analysis use; rename it"
            )


def applicable(
    defaults: Mapping[str, Any], optimizer: str, groups: Sequence[Group], space: Space
) -> dict[str, Any]:
    """Return a workload's `study_defaults` with the part of its search space that fits a study.

    Left out are unknown names, those that the study gives in another unit, and those for which
    `optimizer`, for which the defaults were written, has another default than the study's: a range
    of SGD's learning rate says nothing about Adam's.
    """
    own = defaults.get("search", {}).get("space")
    if own is None:
        return dict(defaults)
    given = {*replaced(space), *(n for n, c in COORDINATES.items() if c.hyperparameter in space)}
    written_for, known = of_optimizer(optimizer).known, _known(groups)
    fitting = {
        name: entry
        for name, entry in own.items()
        if name in known and name not in given and written_for.get(name, known[name]) == known[name]
    }
    return {**defaults, "search": {**defaults["search"], "space": fitting}}


def full_space(config: StudyConfig, groups: Sequence[Group]) -> dict[str, Range | float]:
    """Return the search space with defaults filled in, required hyperparameters first.

    Raises:
        StudyError: an entry has an unknown name, or is outside its domain.
    """
    known, named = _known(groups), config.search.space
    for name, entry in named.items():
        if name not in known:
            raise StudyError(not_among("a key of search.space", name, known))
        for value in ends(entry):
            if not known[name].allows(value):
                raise StudyError(
                    f"search.space.{name} must lie in {known[name].domain()}, got {value:g}"
                )
    # a program may give such a name another meaning
    derived = replaced(name for name in named if known.get(name) is EXAMPLES)
    for name in named:
        if name in derived:
            raise StudyError(
                f"search.space must give {name} or its coordinate in examples, got both; remove one"
            )
    required = [name for group in groups for name in group.required if name not in derived]
    optional = [name for group in groups for name in group.optional if name in named]
    return {name: named.get(name, known[name].default) for name in [*required, *optional]}


def refuse_warm_up(space: Space, *, endless: bool) -> None:
    """Refuse a warm-up that is given twice, incompletely, or in epochs of endless data."""
    lengths = [name for name in WARM_UP if name in space and name != "warmup_factor"]
    if len(lengths) > 1:
        raise StudyError(
            "search.space must give the warm-up in steps, in epochs or as a fraction, got "
            f"{' and '.join(lengths)}; remove all but one"
        )
    if "warmup_factor" in space and not lengths:
        raise StudyError(
            "search.space.warmup_factor needs the length of the warm-up, got none; add "
            "warmup_steps, warmup_epochs or warmup_fraction"
        )
    if endless and "warmup_epochs" in lengths:
        raise StudyError(
            "search.space.warmup_epochs must be left out for a workload with endless data, got "
            f"{space['warmup_epochs']!r}; use warmup_steps"
        )


def _known(groups: Sequence[Group]) -> dict[str, Hyperparameter]:
    required = {name: entry for group in groups for name, entry in group.required.items()}
    return required | {name: entry for group in groups for name, entry in group.optional.items()}
