"""From a study file to a resolved study: defaults are filled in, wrong input is refused."""

import contextlib
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from analysis.tables.schema import TEST_ERROR
from batchscale.errors import BatchscaleError
from study.config.coordinates import refuse_coordinates
from study.config.space import Range, Space, plain
from study.config.study import RECORDED_KEYS, ResolvedStudy, StudyConfig
from study.config.study_file import validated
from study.engine.federated import refuse_federated
from study.engine.networks.training import LoadedWorkload, Trainable
from study.errors import StudyError, cause, shown
from study.optimizers import Optimizer, optimizer_named, schedule_named
from study.optimizers.schedules import SCHEDULES
from study.optimizers.testing import require_sound_schedule
from study.planning.batch_schedule import batch_plans, refuse_batch_schedule, staged
from study.planning.batch_sizes import batch_sizes_of, refuse_short_budgets
from study.planning.dry_build import Built, dry_build, refuse_smallest
from study.planning.horizons import step_budgets
from study.planning.programs import refuse_gpus
from study.planning.search_space import (
    applicable,
    full_space,
    groups_of,
    measured_beside,
    refuse_names,
    refuse_warm_up,
)
from study.planning.sizing import Device, cohort_lanes, pack_lanes
from study.planning.tokens import counts_tokens, in_examples, tokens_of
from study.search.recipes import SCALED, recipe_defaults, refuse_recipe
from study.search.samplers import sampler_named
from study.search.shared import REPLICATES
from study.search.testing import require_sound_sampler
from workloads.command import Command
from workloads.registry import resolve as resolve_workload
from workloads.soundness import above_one, sound_target
from workloads.workload import Dynamics, Target, Workload

_OPTIMIZER: str = StudyConfig.model_fields["optimizer"].default


def resolve(
    data: Mapping[str, Any], device: Device | None = None
) -> tuple[ResolvedStudy, Trainable]:
    """Return a study as it will run, and its loaded workload, which is built once.

    The study file may be one that a sweep has recorded. The default device is the CPU.
    """
    device = device or Device()
    # the folder keeps `granted`, and `batch_plans` follow from batch sizes, which may grow
    checked = (key for key in RECORDED_KEYS if key not in {"granted", "batch_plans"})
    recorded = {key: data[key] for key in checked if key in data}
    data = {key: value for key, value in data.items() if key not in RECORDED_KEYS}
    written = validated(StudyConfig, data)
    workload = resolve_workload(written.workload, written.workload_options)
    with plug_in_errors():
        defaults = study_defaults(workload)
        in_tokens = "tokens_per_example" in recorded or any(map(counts_tokens, (data, defaults)))
        data, defaults = (in_examples(given, workload) for given in (data, defaults))
        config, space = _with_defaults(data, defaults, workload, written.search.space)
        refuse_batch_schedule(config, workload)
        schedule = staged(config, space)
        target = _target(config, sound_target(workload.target))
        if isinstance(workload, Command):
            refuse_gpus(device.share)
        built, quantities = _built(config, workload, target, space)
    batch_sizes, candidates = batch_sizes_of(config, built.examples)
    if candidates:
        recorded.pop("listed", None)
    _refuse_across(config, space, candidates or batch_sizes, built.trainable)
    optimizer = _optimizer(config, workload)
    resolved = config.as_data() | {
        "batch_sizes": batch_sizes,
        "candidates": candidates or recorded.get("candidates"),
        "listed": recorded.get("listed"),
        "examples": built.examples,
        "tokens_per_example": tokens_of(workload) if in_tokens else None,
        "quantities": quantities or None,
        "adaptive": sampler_named(config.search.sampler).learns,
        "normalized_momentum": (optimizer and optimizer.normalized_momentum) or None,
    }
    resolved["search"]["space"] = plain(space)
    resolved["race"] |= {
        "max_steps": step_budgets(config.race.max_steps),
        "target": target.value,
        "quantity": target.quantity,
        "cohort": cohort_lanes(config, built.size, device),
    }
    if config.race.weights == "raw" and not _averages(config, workload):
        del resolved["race"]["weights"]  # as left out
    resolved["compute"] |= {"mode": built.mode, "pack": pack_lanes(config, built.size, device)}
    if schedule is not None:
        resolved["batch_schedule"] = schedule.model_dump(mode="json", exclude_none=True)
    study = validated(ResolvedStudy, resolved)
    refuse_short_budgets(study, candidates or batch_sizes)
    study = study.model_copy(update={"batch_plans": batch_plans(study)})
    _refuse_idle_pruning(study)
    _refuse_other(recorded, study)
    return study, built.trainable


def _with_defaults(
    data: Mapping[str, Any],
    defaults: Mapping[str, Any],
    workload: Workload | Dynamics | Command,
    given: Space,
) -> tuple[StudyConfig, Space]:
    """Return a study with the workload's defaults, and its complete search space.

    `given` is the search space as written in the study file.
    """
    config = validated(StudyConfig, merged(defaults, data))
    sampler = sampler_named(config.search.sampler)
    name = config.schedule.name
    schedule = schedule_named(name)
    if name not in SCHEDULES and schedule.factor is not None:
        require_sound_schedule(name, schedule)
    groups = groups_of(config, workload)
    fitting = applicable(defaults, defaults.get("optimizer", _OPTIMIZER), groups, given)
    if _averages(config, workload):
        fitting = merged({"race": {"weights": "averaged"}}, fitting)
    endless = isinstance(workload, Dynamics)
    recipe = recipe_defaults(config, endless=endless)
    if sampler.together and not (recipe or "replicates" in fitting or "replicates" in data):
        fitting = merged({"replicates": REPLICATES}, fitting)
    config = validated(StudyConfig, merged(merged(fitting, recipe), data))
    space = full_space(config, groups)
    _refuse_warm_start(config, space)
    if not isinstance(workload, Command):  # which may give these names another meaning
        refuse_warm_up(space, endless=endless)
    return config, space


def _built(
    config: StudyConfig, workload: Workload | Dynamics | Command, target: Target, space: Space
) -> tuple[Built, tuple[str, ...]]:
    """Return the facts from building the workload, and all quantities besides loss and error."""
    name = config.search.sampler
    require_sound_sampler(name, sampler_named(name), space)
    beside = measured_beside(config, space, own=_averages(config, workload))
    built = dry_build(config, workload, target, space)
    allowed = (TEST_ERROR,) if isinstance(workload, Command) else ()
    refuse_names(built.quantities, space, allowed=allowed)
    return built, (*built.quantities, *beside, *([TEST_ERROR] if built.tested else []))


def _refuse_across(
    config: StudyConfig, space: Space, batch_sizes: Sequence[int], trainable: Trainable
) -> None:
    """Refuse keys that conflict with the batch sizes or with `until`."""
    if not isinstance(trainable, Command):
        refuse_coordinates(space, batch_sizes, federated=config.federated is not None)
    refuse_recipe(config, space, batch_sizes)
    _refuse_until(config)
    if isinstance(trainable, LoadedWorkload):
        refuse_smallest(trainable, min(batch_sizes))
        if config.federated is not None:
            refuse_federated(config.federated, trainable, batch_sizes)


def _refuse_other(recorded: Mapping[str, Any], study: ResolvedStudy) -> None:
    """Refuse a recorded study that would not run as recorded."""
    for key, value in recorded.items():
        derived = getattr(study, key)
        derived = list(derived) if isinstance(derived, tuple) else derived
        if value != derived or isinstance(value, bool) is not isinstance(derived, bool):
            raise StudyError(
                f"{key} follows from the rest of the study and its data, which give "
                f"{shown(derived)}, got {shown(value)}; undo the change, or remove {key} to start "
                "another study"
            )


@contextlib.contextmanager
def plug_in_errors() -> Iterator[None]:
    """Report any exception of a workload as wrong input."""
    try:
        yield
    except BatchscaleError:
        raise
    except (Exception, SystemExit) as error:
        raise StudyError(
            f"the workload must return data, a model, a loss and an error, got {cause(error)}; run "
            "`batchscale check` on it"
        ) from error


def study_defaults(workload: object) -> Mapping[str, Any]:
    """Return a workload's, or its class's, own defaults for a study file.

    Raises:
        StudyError: they are not shaped like a study file.
    """
    defaults = getattr(workload, "study_defaults", {})
    if not isinstance(defaults, Mapping):
        raise StudyError(
            f"a workload's study_defaults must be a mapping shaped like a study file, got "
            f"{shown(defaults)}"
        )
    try:
        validated(StudyConfig, {"workload": "", **defaults})
    except StudyError as error:
        lines = [f"in the workload's study_defaults: {line}" for line in str(error).splitlines()]
        raise StudyError("\n".join(lines)) from error
    return defaults


def merged(defaults: Mapping[str, Any], data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content of a study file, with defaults for keys that it leaves out."""
    whole = dict(defaults)
    for key, value in data.items():
        old = whole.get(key)
        tables = isinstance(old, Mapping) and isinstance(value, Mapping)
        # a range or a table of budgets is never merged: nobody wrote the result
        alone = key == "max_steps" or (isinstance(value, Mapping) and "low" in value)
        whole[key] = merged(old, value) if tables and not alone else value  # type: ignore[arg-type]
    return whole


def _optimizer(config: StudyConfig, workload: Workload | Dynamics | Command) -> Optimizer | None:
    """Return the optimizer of the trials; None for a program, whose optimizer is unknown."""
    return None if isinstance(workload, Command) else optimizer_named(config.optimizer)


def _averages(config: StudyConfig, workload: Workload | Dynamics | Command) -> bool:
    """Return whether the optimizer measures its own average."""
    optimizer = _optimizer(config, workload)
    return optimizer is not None and optimizer.average is not None


def _refuse_warm_start(config: StudyConfig, space: Space) -> None:
    if config.search.warm_start and not isinstance(space.get(SCALED), Range):
        raise StudyError(
            f"search.warm_start must be left out if search.space.{SCALED} is fixed, got "
            f"{space.get(SCALED)!r}: it scales the learning rate"
        )


def _refuse_until(config: StudyConfig) -> None:
    if config.until is None:
        return
    if config.mode == "recipe":
        raise StudyError(
            'until must be left out for mode = "recipe", which searches at one batch size at most'
        )
    if config.replicates.seeds < 2:
        raise StudyError(
            f"until needs replicates.seeds of at least 2, got {config.replicates.seeds}: without "
            "fresh seeds the noise is unknown"
        )


def _refuse_idle_pruning(study: ResolvedStudy) -> None:
    lanes = [min(study.search.trials, study.lanes_at(size)) for size in study.searched]
    if study.race.prune is not None and max(lanes, default=0) < 2:
        got = "cohorts of one trial; raise race.cohort" if lanes else "a recipe without a base"
        raise StudyError(
            f"race.prune needs searches in cohorts of at least two trials, got {got}; or leave "
            "race.prune out"
        )


def _target(config: StudyConfig, own: Target) -> Target:
    quantity = own.quantity
    if config.race.quantity not in {None, quantity}:
        raise StudyError(
            f"race.quantity must be what the workload measures, {quantity!r}, got "
            f"{config.race.quantity!r}"
        )
    value = own.value if config.race.target is None else config.race.target
    upper = 1.0 if quantity == "error" else math.inf
    if not 0 < value < upper:
        raise StudyError(
            f"race.target must lie in (0, {upper:g}) for a target on the {quantity}, got {value:g}"
            f"{above_one(value) if quantity == 'error' else ''}"
        )
    return Target(value, quantity)
