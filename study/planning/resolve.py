"""From a study file to a resolved study: every default filled in, wrong input refused."""

import contextlib
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from batchscale.errors import BatchscaleError
from study.config.sections import BatchSizes
from study.config.space import Range, Space
from study.config.study import ResolvedStudy, StudyConfig
from study.config.study_file import validated
from study.engine.federated import refuse_federated
from study.engine.networks.training import Layout, LoadedWorkload, fresh_model, load
from study.errors import StudyError, cause, not_among, shown
from study.optimizers import Optimizer, optimizer_named
from study.optimizers.hyperparameters import of_optimizer, of_workload
from study.optimizers.schedules import SCHEDULES
from study.planning.admission import Admission, admit
from study.planning.search_space import applicable, full_space, groups_of, refuse_warm_up
from study.planning.sizing import Device, ModelSize, cohort_lanes, pack_lanes
from study.search.recipes import SCALED, recipe_defaults, refuse_recipe
from study.search.sampler import SAMPLERS
from workloads.registry import resolve as resolve_workload
from workloads.soundness import sound_number, sound_target
from workloads.workload import Dynamics, Examples, LaneSetup, Target, Workload

_OPTIMIZER: str = StudyConfig.model_fields["optimizer"].default
OF_DYNAMICS = ("sgd", "heavy-ball", "nesterov")
"""Optimizers that a workload with its own dynamics may support."""
UNLIMITED_TO = 65_536
"""Meaning of `batch_sizes.to = "all"` if the data never end (Shallue et al. 2018)."""
EXAMPLES_AT_ONCE = 512
"""Portion of the first evaluation: activations on all of it may need gigabytes."""


@dataclass(frozen=True, slots=True)
class _Built:
    """Findings from building the workload once; the numbers are None if it has no data."""

    trainable: LoadedWorkload | Dynamics
    mode: str
    examples: int | None = None
    size: ModelSize | None = None


def resolve(
    data: Mapping[str, Any], device: Device | None = None
) -> tuple[ResolvedStudy, LoadedWorkload | Dynamics]:
    """Return a study as it will run, and its loaded workload, which is built once for that.

    Args:
        data: a study file as plain data.
        device: what it will be computed on; None for a CPU.

    Raises:
        StudyError: a key, a value, or what the workload makes of them is wrong.
    """  # noqa: DOC502  (raised inside)
    written = validated(StudyConfig, data)
    workload = resolve_workload(written.workload, written.workload_options)
    with _plug_in_errors():
        defaults = _defaults(workload)
        config = validated(StudyConfig, _merged(defaults, data))
        _known("search.sampler", config.search.sampler, SAMPLERS)
        _known("schedule.name", config.schedule.name, SCHEDULES)
        groups = groups_of(config, workload)
        fitting = applicable(defaults, defaults.get("optimizer", _OPTIMIZER), groups)
        config = validated(StudyConfig, _merged(_merged(fitting, _recipe(config, workload)), data))
        space = full_space(config, groups)
        _refuse_warm_start(config, space)
        refuse_warm_up(space, endless=isinstance(workload, Dynamics))
        target = _target(config, sound_target(workload.target))
        built = _dry_build(config, workload, target, space)
    batch_sizes = _batch_sizes(config, built.examples)
    refuse_recipe(config, space, batch_sizes)
    if config.federated is not None and isinstance(built.trainable, LoadedWorkload):
        refuse_federated(config.federated, built.trainable, batch_sizes)
    resolved = config.as_data() | {
        "batch_sizes": batch_sizes,
        "examples": built.examples,
        "adaptive": SAMPLERS[config.search.sampler].adaptive is not None,
    }
    resolved["search"]["space"] = _plain(space)
    resolved["race"] |= {
        "target": target.value,
        "quantity": target.quantity,
        "cohort": cohort_lanes(config, built.size, device or Device()),
    }
    resolved["compute"] |= {
        "mode": built.mode,
        "pack": pack_lanes(config, built.size, device or Device()),
    }
    return validated(ResolvedStudy, resolved), built.trainable


@contextlib.contextmanager
def _plug_in_errors() -> Iterator[None]:
    """Report any exception of a workload as wrong input."""
    try:
        yield
    except BatchscaleError:
        raise
    except Exception as error:
        raise StudyError(
            f"the workload must return data, a model, a loss and an error, got {cause(error)}; run "
            "`batchscale check` on it"
        ) from error


def _defaults(workload: Workload | Dynamics) -> Mapping[str, Any]:
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


def _merged(defaults: Mapping[str, Any], data: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(defaults)
    for key, value in data.items():
        old = merged.get(key)
        tables = isinstance(old, Mapping) and isinstance(value, Mapping)
        # a range is never merged: the result would be a range that nobody wrote
        is_range = isinstance(value, Mapping) and "low" in value
        merged[key] = _merged(old, value) if tables and not is_range else value  # type: ignore[arg-type]
    return merged


def _recipe(config: StudyConfig, workload: Workload | Dynamics) -> dict[str, Any]:
    return recipe_defaults(config, endless=isinstance(workload, Dynamics))


def _known(key: str, name: str, table: Mapping[str, object]) -> None:
    if name not in table:
        raise StudyError(not_among(key, name, table))


def _refuse_warm_start(config: StudyConfig, space: Space) -> None:
    if config.search.warm_start and not isinstance(space.get(SCALED), Range):
        raise StudyError(
            f"search.warm_start must be left out if search.space.{SCALED} is fixed, got "
            f"{space.get(SCALED)!r}: it scales the learning rate"
        )


def _plain(space: Space) -> dict[str, Any]:
    return {n: e.model_dump(mode="json") if isinstance(e, Range) else e for n, e in space.items()}


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
        )
    return Target(value, quantity)


def _batch_sizes(config: StudyConfig, examples: int | None) -> list[int]:
    sizes = config.batch_sizes
    if isinstance(sizes, BatchSizes):
        try:
            sizes = sizes.expand(examples or UNLIMITED_TO)
        except ValueError as error:
            raise StudyError(str(error)) from error
    if examples is not None and sizes[-1] > examples:
        raise StudyError(
            f"batch_sizes must not exceed the {examples:,} training examples, got {sizes[-1]:,}; "
            "drop it or choose a larger workload"
        )
    return list(sizes)


def _dry_build(
    config: StudyConfig, workload: Workload | Dynamics, target: Target, space: Space
) -> _Built:
    if isinstance(workload, Dynamics):
        _refuse_mode(config, {"dynamics"})
        _refuse_unsupported(config, space)
        _start_above(target, _dynamics_start(config, workload, space))
        return _Built(workload, "dynamics")
    _refuse_mode(config, {"packed", "looped"})
    loaded = load(workload, torch.device("cpu"), config.compute.precision)
    start, size = _start(loaded, optimizer_named(config.optimizer))
    _start_above(target, start)
    _refuse_micro_batches(config, loaded)
    values = {name: _middle(space[name]) for name in of_workload(workload).used(space)}
    admission = admit(loaded, values)
    mode = _mode(config, admission)
    loaded = replace(loaded, looped_because=admission.reason if mode == "looped" else "")
    return _Built(loaded, mode, len(loaded.data.train.inputs), size)


def _mode(config: StudyConfig, admission: Admission) -> str:
    """Return the mode of a study: as it says, unless packing would give other numbers."""
    if config.compute.mode == "packed" and admission.reason:
        raise StudyError(
            "compute.mode must be auto or looped for this workload, got 'packed': "
            f"{admission.reason}"
        )
    return admission.mode if config.compute.mode == "auto" else config.compute.mode


def _refuse_mode(config: StudyConfig, possible: set[str]) -> None:
    if config.compute.mode not in {"auto", *possible}:
        raise StudyError(
            f"compute.mode must be auto or {' or '.join(sorted(possible))} for this workload, "
            f"got {config.compute.mode!r}"
        )


def _refuse_unsupported(config: StudyConfig, space: Space) -> None:
    if config.federated is not None:
        raise StudyError(
            "federated must be left out for a workload with its own dynamics, which has no data "
            "to share among clients"
        )
    if config.optimizer not in OF_DYNAMICS:
        raise StudyError(
            f"optimizer must be one of {', '.join(OF_DYNAMICS)} for a workload with its own "
            f"dynamics, got {config.optimizer!r}"
        )
    group = of_optimizer(config.optimizer)
    extras = [name for name in group.used(space) if name in group.optional]
    if extras:
        raise StudyError(
            f"search.space.{extras[0]} must be left out for a workload with its own dynamics, got "
            f"{space[extras[0]]!r}: its recursion has no such term"
        )


def _refuse_micro_batches(config: StudyConfig, loaded: LoadedWorkload) -> None:
    if config.compute.micro_batch != "auto" and not loaded.splits_batches:
        why = "`whole = True`" if loaded.whole else f"batch statistics in {loaded.mixing}"
        raise StudyError(
            f"compute.micro_batch must be left out for a workload with {why}, which needs the "
            f"whole batch, got {config.compute.micro_batch}"
        )


def _start(loaded: LoadedWorkload, optimizer: Optimizer) -> tuple[float, ModelSize]:
    """Return the error of an untrained model, and the size of the model."""
    model, validation = fresh_model(loaded, 0).eval(), loaded.data.validation
    total, examples = 0.0, len(validation.inputs)
    for start in range(0, examples, EXAMPLES_AT_ONCE):
        part = Examples(*(tensor[start : start + EXAMPLES_AT_ONCE] for tensor in validation))
        with torch.no_grad():
            loss = loaded.workload.loss(model, part)
            error = loaded.workload.error(model, part)
        sound_number("loss", loss)
        total += sound_number("error", error) * len(part.inputs)
    size = replace(model_size(loaded, model), buffers=max(1, len(optimizer.buffers)))
    return total / examples, size


def model_size(loaded: LoadedWorkload, model: nn.Module) -> ModelSize:
    """Return a model's number of parameters, and of operations for one example."""
    one = Examples(*(part[:1] for part in loaded.data.validation))
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        loaded.loss(model, one)
    parameters = len(Layout(model).flatten(model))
    return ModelSize(max(1, parameters), max(1, counter.get_total_flops()))


def _dynamics_start(config: StudyConfig, workload: Dynamics, space: Space) -> float:
    required = of_optimizer(config.optimizer).required
    values = {name: np.array([_middle(space[name])]) for name in required}
    setup = LaneSetup(
        optimizer=config.optimizer,
        batch_size=1,
        hyperparameters=values,
        lr_factor=None,
        seeds=np.zeros(1, dtype=np.int64),
    )
    _, error = workload.lanes(setup).measure()
    return float(error[0])


def _middle(entry: Range | float) -> float:
    return entry.at(0.5) if isinstance(entry, Range) else entry


def _start_above(target: Target, start: float) -> None:
    if target.quantity == "error" and not 0 <= start <= 1:
        raise StudyError(
            f"the workload's error must be a fraction from 0 to 1, got {start:.4g} before "
            'training; scale it, or use Target(..., quantity="loss")'
        )
    if not start >= target.value:
        raise StudyError(
            f"race.target must be below the {target.quantity} before training, {start:.4g}, got "
            f"{target.value:g}; lower the target"
        )
