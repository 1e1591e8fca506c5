"""The contract of a workload as functions, one per clause.

Each returns what it found as text, or raises `BrokenClauseError`.
"""

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, stack_module_state, vmap

from workloads.errors import WorkloadError
from workloads.soundness import sound_data, sound_model, sound_number, sound_target
from workloads.workload import (
    Data,
    Dynamics,
    Examples,
    Lanes,
    LaneSetup,
    Workload,
    changing_buffer,
)

_FEW = 64
_PORTION = 512
_TRAINING_STEPS = 300
_RATES = (0.01, 0.1, 0.5)
_OPTIMIZERS = ("sgd", "heavy-ball", "nesterov")

Measure = Callable[[nn.Module, Examples], Tensor]
"""A workload's `loss` or `error`."""


class BrokenClauseError(AssertionError):
    """A workload breaks a clause of the contract; the message says how."""


def target_is_in_range(workload: Workload | Dynamics) -> str:
    """Check that the target can be missed and met: in (0, 1) for an error, above 0 for a loss."""
    target = sound_target(workload.target)
    return f"{target.quantity} < {target.value:g}"


def data_are_identical_on_two_calls(workload: Workload) -> str:
    """Check that `data()` gives the same split on every call."""
    first, second = _data(workload), _data(workload)
    for split in ("train", "validation"):
        for one, other in zip(getattr(first, split), getattr(second, split), strict=True):
            same = torch.equal(one, other)
            _require(same, f"two calls of data() must agree, got different {split} tensors")
    return f"{len(first.train.inputs):,} training, {len(first.validation.inputs):,} validation"


def inputs_and_targets_agree_in_length(workload: Workload) -> str:
    """Check that inputs and targets agree in length and that neither split is empty."""
    train = _data(workload).train
    return f"inputs {tuple(train.inputs.shape)}, targets {tuple(train.targets.shape)}"


def loss_is_a_finite_mean(workload: Workload) -> str:
    """Check that `loss` is one finite number, the mean over the batch."""
    return f"{_mean('loss', workload.loss, workload, _data(workload).train):.4g}"


def error_is_a_finite_mean(workload: Workload) -> str:
    """Check that `error` is one finite number, a mean over examples, and a fraction if required."""
    error = _mean("error", workload.error, workload, _data(workload).validation)
    if workload.target.quantity == "error":
        _require(0 <= error <= 1, f"error must lie in [0, 1], got {error:.4g}")
    return f"{error:.4g}"


def models_follow_the_seed(workload: Workload) -> str:
    """Check that a model's initialization depends on torch's seed and on nothing else."""
    one, same, other = (_parameters(_model(workload, seed)) for seed in (0, 0, 1))
    _require(torch.equal(one, same), "equal seeds must give equal models, got different ones")
    _require(
        not torch.equal(one, other),
        "different seeds must give different models, got equal ones; initialize at random",
    )
    return f"{one.numel():,} parameters"


def target_is_below_the_start(workload: Workload | Dynamics) -> str:
    """Check that an untrained model has not met the target."""
    start, target = _start(workload), workload.target.value
    _require(
        start >= target,
        f"the target must be below the start, {workload.target.quantity} {start:.4g} before "
        f"training, got {target:g}",
    )
    return f"{start:.4g} before training"


def packed_equals_looped(workload: Workload) -> str:
    """Check that the gradients of three models under vmap equal those of each model alone."""
    models = [_model(workload, seed).train() for seed in range(3)]
    batch = Examples(*(part[:8] for part in _data(workload).train))
    buffer = changing_buffer(workload, models[0], batch)
    if buffer is not None:
        return f"looped: buffer {buffer!r} changes while the model trains"
    try:
        packed = _packed_gradients(workload, models, batch)
    except Exception as error:  # noqa: BLE001 - whatever vmap refuses is looped
        return f"looped: {(str(error) or type(error).__name__).splitlines()[0]}"
    for lane, model in enumerate(models):
        for name, alone in _gradients(workload, model, batch).items():
            close = torch.allclose(packed[name][lane], alone, rtol=1e-3, atol=1e-5)
            _require(
                close, f"the gradient of {name} must be the same packed and alone, got another"
            )
    return "packed"


def error_falls_when_trained(workload: Workload | Dynamics) -> str:
    """Check that some learning rate lowers the error within 300 steps of plain SGD."""
    start = _start(workload)
    if isinstance(workload, Dynamics):
        lanes = _lanes(workload)
        lanes.advance(_TRAINING_STEPS)
        errors = [float(error) for error in lanes.measure()[1]]
    else:
        errors = [_trained_error(workload, rate) for rate in _RATES]
    best = min((error for error in errors if math.isfinite(error)), default=math.nan)
    _require(best < start, f"training must lower the error, got {best:.4g} from {start:.4g}")
    return f"{start:.4g} to {best:.4g} in {_TRAINING_STEPS} steps"


def runs_are_deterministic(workload: Dynamics) -> str:
    """Check that the same lanes give the same errors twice."""
    first, second = _lanes(workload), _lanes(workload)
    for lanes in (first, second):
        lanes.advance(7)
    same = np.array_equal(first.measure()[1], second.measure()[1])
    _require(same, "the same setup must give the same errors, got different ones")
    return "equal twice"


def keep_drops_the_lanes_it_is_told_to(workload: Dynamics) -> str:
    """Check that `keep` drops lanes and leaves the others as they were."""
    whole, cut = _lanes(workload), _lanes(workload)
    kept = np.array([True, False, True])
    cut.keep(kept)
    for lanes in (whole, cut):
        lanes.advance(5)
    expected, seen = whole.measure()[1][kept], cut.measure()[1]
    same = expected.shape == seen.shape and np.allclose(expected, seen)
    _require(same, f"keep must leave the other lanes as they are, got {seen} for {expected}")
    return "the others are unchanged"


def _require(kept: bool, message: str) -> None:
    if not kept:
        raise BrokenClauseError(message)


def _data(workload: Workload) -> Data:
    return sound_data(workload.data())


def _model(workload: Workload, seed: int) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return sound_model(workload.model())


def _parameters(model: nn.Module) -> Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


def _mean(name: str, measure: Measure, workload: Workload, examples: Examples) -> float:
    """Return a measure of an untrained model on a few examples, checked to be a mean over them."""
    # batch statistics would make the parts differ
    model = _model(workload, 0).eval()
    few = Examples(*(part[:_FEW] for part in examples))
    count = len(few.inputs)
    cut = max(1, count // 3)
    parts = [Examples(*(part[:cut] for part in few)), Examples(*(part[cut:] for part in few))]
    with torch.no_grad():
        whole = sound_number(name, measure(model, few))
        kept = [part for part in parts if len(part.inputs)]
        sums = [sound_number(name, measure(model, p)) * len(p.inputs) for p in kept]
    mean = sum(sums) / count
    _require(
        math.isclose(mean, whole, rel_tol=1e-3, abs_tol=1e-6),
        f"{name} must be a mean over the examples, got {whole:.6g} where its parts give {mean:.6g}",
    )
    return whole


def _error(workload: Workload, model: nn.Module) -> float:
    """Return the validation error, in portions: large models would need gigabytes at once."""
    validation, total = _data(workload).validation, 0.0
    for start in range(0, len(validation.inputs), _PORTION):
        part = Examples(*(tensor[start : start + _PORTION] for tensor in validation))
        with torch.no_grad():
            total += float(workload.error(model.eval(), part)) * len(part.inputs)
    return total / len(validation.inputs)


def _start(workload: Workload | Dynamics) -> float:
    if isinstance(workload, Dynamics):
        return float(_lanes(workload).measure()[1][0])
    return _error(workload, _model(workload, 0))


def _gradients(workload: Workload, model: nn.Module, batch: Examples) -> Mapping[str, Tensor]:
    trainable = {name: p for name, p in model.named_parameters() if p.requires_grad}
    gradients = torch.autograd.grad(
        workload.loss(model, batch), list(trainable.values()), materialize_grads=True
    )
    return dict(zip(trainable, gradients, strict=True))


def _packed_gradients(
    workload: Workload, models: list[nn.Module], batch: Examples
) -> Mapping[str, Tensor]:
    parameters, buffers = stack_module_state(models)

    def loss(own: dict[str, Any], fixed: dict[str, Any]) -> Tensor:
        model = partial(functional_call, models[0], (own, fixed))
        return workload.loss(model, batch)

    gradients: dict[str, Tensor] = vmap(grad(loss))(parameters, buffers)
    return gradients


def _trained_error(workload: Workload, rate: float) -> float:
    model, train = _model(workload, 0).train(), _data(workload).train
    optimizer = torch.optim.SGD(model.parameters(), lr=rate)
    size = min(32, len(train.inputs))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        for _ in range(_TRAINING_STEPS):
            rows = torch.randint(len(train.inputs), (size,))
            optimizer.zero_grad()
            batch = Examples(train.inputs[rows], train.targets[rows])
            workload.loss(model, batch).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    return _error(workload, model)


def _lanes(workload: Dynamics) -> Lanes:
    """Return lanes with the first optimizer that the dynamics support."""
    refusal: WorkloadError | None = None
    for optimizer in _OPTIMIZERS:
        values = {"lr": np.array(_RATES)}
        if optimizer != "sgd":
            values["momentum"] = np.full(len(_RATES), 0.5)
        setup = LaneSetup(
            optimizer=optimizer,
            batch_size=16,
            hyperparameters=values,
            lr_factor=None,
            seeds=np.arange(len(_RATES)),
        )
        try:
            return workload.lanes(setup)
        except WorkloadError as error:
            refusal = refusal or error
    raise BrokenClauseError(f"one of {', '.join(_OPTIMIZERS)} must be known, got: {refusal}")
