"""Facts from building a study's workload once: its size, initial error, and mode of execution."""

from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from math import ceil

import numpy as np
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from analysis.tables.schema import AVERAGED_ERROR, RAW_ERROR
from study.config.coordinates import complete
from study.config.space import Space, middle
from study.config.study import StudyConfig
from study.engine.networks.looped import LoopedNetwork
from study.engine.networks.shared_pass import forward_passes_shared
from study.engine.networks.training import Layout, LoadedWorkload, Trainable, fresh_model, load
from study.errors import StudyError, cause
from study.optimizers import Optimizer, optimizer_named
from study.optimizers.hyperparameters import (
    EMA_DECAY,
    TAIL_AVERAGE,
    of_averaging,
    of_optimizer,
    of_workload,
)
from study.planning.admission import admit
from study.planning.sizing import ModelSize
from study.planning.update_rules import require_sound
from workloads.command import PROGRAM, Command
from workloads.examination.direction import refuse_rising
from workloads.examination.samples import few
from workloads.soundness import sound_number
from workloads.workload import DYNAMICS_OPTIMIZERS, Dynamics, Lanes, LaneSetup, Target, Workload

EXAMPLES_AT_ONCE = 512
"""Portion of the first evaluation: activations for all examples may need gigabytes."""
_TRIED = 13
"""Batch size at which the workload was examined."""
_OTHER_SEEDS = range(1, 5)
_SEVERAL = 2
_STARTING_FLOPS = 2e9
"""Largest number of operations for a pass over the validation set that counts as fast."""
_LEARNING_FLOPS = 5e6
"""Largest number of operations per example of a model that learns a few examples fast."""
_AVERAGES = {EMA_DECAY: "averages", TAIL_AVERAGE: "tail_averages"}
"""Attributes of dynamics that support these averages."""


@dataclass(frozen=True, slots=True)
class Built:
    """Facts from building the workload once; the numbers are None if it has no data.

    `quantities` are measured besides loss and error; `tested` says whether there is a test split.
    """

    trainable: Trainable
    mode: str
    examples: int | None = None
    size: ModelSize | None = None
    quantities: tuple[str, ...] = ()
    tested: bool = False


def dry_build(
    config: StudyConfig, workload: Workload | Dynamics | Command, target: Target, space: Space
) -> Built:
    """Return the facts from building a workload, or refuse it."""
    if isinstance(workload, Command):
        workload.refuse_missing()
        options = workload.options
        return Built(workload, PROGRAM, options.examples, quantities=options.quantities)
    if isinstance(workload, Dynamics):
        _refuse_mode(config, {"dynamics"})
        _refuse_unsupported(config, workload, space)
        lanes = _dynamics_lanes(config, workload, space)
        _start_above(target, float(lanes.measure()[1][0]))
        averages = {RAW_ERROR, AVERAGED_ERROR}
        own = [name for name in getattr(lanes, "quantities", ()) if name not in averages]
        return Built(workload, "dynamics", quantities=tuple(own))
    _refuse_mode(config, {"packed", "looped"})
    optimizer = optimizer_named(config.optimizer)
    require_sound(config.optimizer, optimizer)
    loaded = load(workload, torch.device("cpu"), config.compute.precision)
    if optimizer.average is not None:
        _refuse_own_average(config, loaded)
    start = _start(loaded)
    size = _size(loaded, optimizer, averaged=bool(of_averaging().used(space)))
    learns = size.flops <= _LEARNING_FLOPS  # large models would take too long
    if learns:
        refuse_rising(loaded.workload, partial(fresh_model, loaded), few(loaded.data.train))
    _start_above(target, start)
    _refuse_lucky_starts(loaded, size, target)
    _refuse_micro_batches(config, loaded)
    values = {name: middle(space[name]) for name in of_workload(workload).used(space)}
    reason = admit(loaded, values, learns=learns)
    mode = _mode(config, reason)
    loaded = replace(loaded, looped_because=reason if mode == "looped" else "")
    tested = loaded.data.test is not None
    return Built(loaded, mode, loaded.data.train.size, size, loaded.quantities, tested)


def _mode(config: StudyConfig, reason_to_loop: str) -> str:
    """Return the mode of a study; packing is refused where it would change numbers."""
    mode = config.compute.mode
    if mode == "packed" and reason_to_loop:
        raise StudyError(
            f"compute.mode must be auto or looped for this workload, got 'packed': {reason_to_loop}"
        )
    return mode if mode != "auto" else "looped" if reason_to_loop else "packed"


def _refuse_mode(config: StudyConfig, possible: set[str]) -> None:
    if config.compute.mode not in {"auto", *possible}:
        raise StudyError(
            f"compute.mode must be auto or {' or '.join(sorted(possible))} for this workload, "
            f"got {config.compute.mode!r}"
        )


def _refuse_unsupported(config: StudyConfig, workload: Dynamics, space: Space) -> None:
    if config.federated is not None:
        raise StudyError(
            "federated must be left out for a workload with its own dynamics, which has no data "
            "to share among clients"
        )
    if config.optimizer not in DYNAMICS_OPTIMIZERS:
        raise StudyError(
            f"optimizer must be one of {', '.join(DYNAMICS_OPTIMIZERS)} for a workload with its "
            f"own dynamics, got {config.optimizer!r}"
        )
    for name in of_averaging().used(space):
        if not getattr(workload, _AVERAGES[name], False):
            raise StudyError(
                f"search.space.{name}, or its half-life, must be left out for this workload, whose "
                "own dynamics have no such averages"
            )
    group = of_optimizer(config.optimizer)
    extras = [name for name in group.used(space) if name in group.optional]
    if extras:
        raise StudyError(
            f"search.space.{extras[0]} must be left out for a workload with its own dynamics, got "
            f"{space[extras[0]]!r}: its recursion has no such term"
        )


def _refuse_micro_batches(config: StudyConfig, loaded: LoadedWorkload) -> None:
    if config.compute.micro_batch != "auto" and loaded.indivisible:
        raise StudyError(
            f"compute.micro_batch must be left out for a workload with {loaded.indivisible}, "
            f"which needs the whole batch, got {config.compute.micro_batch}"
        )


def _refuse_own_average(config: StudyConfig, loaded: LoadedWorkload) -> None:
    """Refuse an optimizer's own average where other state would have to be averaged too."""
    if config.federated is not None:
        raise StudyError(
            f"federated must be left out for the optimizer {config.optimizer}, which measures its "
            "own average: the clients' averages would be lost with their state"
        )
    if loaded.observed.state is not None:
        raise StudyError(
            f"the optimizer {config.optimizer} needs a model in which training changes only "
            f"parameters, got a change of {loaded.observed.state} (such as batch statistics), "
            "which would not match its average of the parameters; use ghost norm or no norm"
        )


def _start(loaded: LoadedWorkload, seed: int = 0) -> float:
    model, validation = fresh_model(loaded, seed).eval(), loaded.data.validation
    total, examples = 0.0, validation.size
    portion = examples if loaded.whole else EXAMPLES_AT_ONCE
    for start in range(0, examples, portion):
        part = validation.rows(slice(start, start + portion))
        with torch.no_grad(), forward_passes_shared(model):  # large models take minutes
            loss = loaded.workload.loss(model, part)
            error = loaded.workload.error(model, part)
        sound_number("loss", loss)
        total += sound_number("error", error) * part.size
    return total / int(examples)


def refuse_smallest(loaded: LoadedWorkload, size: int) -> None:
    """Refuse a smallest batch that cannot train, such as one example under batch statistics.

    Raises:
        StudyError: its loss fails, or is not finite.
    """
    if size >= _TRIED:
        return
    try:
        _, loss = LoopedNetwork(loaded, 0).gradients(torch.arange(size).unsqueeze(0))
        sound_number("loss", loss)
    except Exception as error:
        raise StudyError(
            f"batch_sizes must be sizes that the workload trains with, got {size}, for which: "
            f"{cause(error)}; leave it out"
        ) from error


def _refuse_lucky_starts(loaded: LoadedWorkload, size: ModelSize, target: Target) -> None:
    """Refuse a target that several untrained models meet, unless measuring them takes too long.

    A single one may be luck, which `analyze` reports if it matters.
    """
    if size.flops * loaded.data.validation.size > _STARTING_FLOPS:
        return
    starts = [_start(loaded, seed) for seed in _OTHER_SEEDS]
    below = [start for start in starts if start < target.value]
    if len(below) >= _SEVERAL:
        _start_above(target, min(below))


def _size(loaded: LoadedWorkload, optimizer: Optimizer, averaged: bool) -> ModelSize:
    """Return the size of the model, with all buffers that a lane needs."""
    model = fresh_model(loaded, 0).eval()
    size = model_size(loaded, model)
    own = 0 if optimizer.widths is None else sum(optimizer.widths(Layout(model).described).values())
    # an average, and the parameters that it replaces in measurements
    averages = 2 * (averaged or optimizer.average is not None)
    buffers = max(1, len(optimizer.buffers) + averages + ceil(own / size.parameters))
    return replace(size, buffers=buffers)


class _NoModules(nullcontext[None]):
    """Counts operations of all modules together: torch's own forbids a gradient in the loss."""

    parents = ("Global",)


def model_size(loaded: LoadedWorkload, model: nn.Module) -> ModelSize:
    """Return a model's number of parameters, and of operations for one example."""
    some = few(loaded.data.validation)  # not one, for which there are no batch statistics
    counter = FlopCounterMode(display=False)
    counter.mod_tracker = _NoModules()  # type: ignore[assignment]
    with torch.no_grad(), counter:
        loaded.workload.loss(model, some)
    parameters = len(Layout(model).flatten(model))
    flops = -(-counter.get_total_flops() // some.size)
    convolutions = counter.get_flop_counts()["Global"].get(torch.ops.aten.convolution, 0)
    convolutional = 2 * convolutions > flops * some.size
    return ModelSize(max(1, parameters), max(1, flops), convolutional=convolutional)


def _dynamics_lanes(config: StudyConfig, workload: Dynamics, space: Space) -> Lanes:
    center = complete({name: middle(entry) for name, entry in space.items()}, 1)
    required = of_optimizer(config.optimizer).required
    values = {name: np.array([center[name]]) for name in required}
    averaging = {name: np.array([center[name]]) for name in of_averaging().used(space)}
    setup = LaneSetup(
        optimizer=config.optimizer,
        batch_size=1,
        hyperparameters=values,
        lr_factor=None,
        seeds=np.zeros(1, dtype=np.int64),
        ema_decay=averaging.get(EMA_DECAY),
        tail_average=averaging.get(TAIL_AVERAGE),
        counts_averages=config.race.weights == "averaged",
    )
    return workload.lanes(setup)


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
