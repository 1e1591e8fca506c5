"""The contract of a workload as functions, one per clause.

Each returns its finding as text, or raises `BrokenClauseError`.
"""

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from workloads.errors import WorkloadError
from workloads.examination.direction import refuse_rising
from workloads.examination.means import sound_mean
from workloads.examination.observation import observe
from workloads.examination.samples import compared, few
from workloads.items import Items
from workloads.randomness import forked, seed_all
from workloads.soundness import (
    Measure,
    augmented,
    quantities,
    quantity,
    sound_data,
    sound_error,
    sound_model,
    sound_number,
    sound_target,
)
from workloads.splits import remarks
from workloads.trees import named_leaves
from workloads.workload import (
    DYNAMICS_OPTIMIZERS,
    Data,
    Dynamics,
    Examples,
    Lanes,
    LaneSetup,
    Workload,
)

_PORTION = 512
_TRAINING_STEPS = 300
_RATES = (0.01, 0.1, 0.5)
_SPLITS = {"train": "training", "validation": "validation", "test": "test"}


class BrokenClauseError(AssertionError):
    """A workload breaks a clause of the contract; the message says how."""


def target_is_in_range(workload: Workload | Dynamics) -> str:
    """Check that the target can be missed and met: in (0, 1) for an error, above 0 for a loss."""
    target = sound_target(workload.target)
    return f"{target.quantity} < {target.value:g}"


def require(clause: Callable[[], str]) -> None:
    """Raise a `WorkloadError` with the clause's own message if a workload breaks the clause."""
    try:
        clause()
    except BrokenClauseError as broken:
        raise WorkloadError(str(broken)) from broken


def data_are_identical_on_two_calls(workload: Workload, first: Data | None = None) -> str:
    """Check that `data()` returns the same on every call; `first` is an earlier call's result."""
    first, second = first or _data(workload), _data(workload)
    for split in first.splits:
        one, other = (
            dict(named_leaves(compared(getattr(data, split)))) for data in (first, second)
        )
        _require(
            one.keys() == other.keys() and all(torch.equal(one[n], other[n]) for n in one),
            f"two calls of data() must agree, got different {split} tensors; draw from a generator "
            "with a seed of its own",
        )
    sizes = ", ".join(f"{part.size:,} {_SPLITS[name]}" for name, part in first.splits.items())
    return "; ".join([sizes, *remarks(first)])


def inputs_and_targets_agree_in_length(workload: Workload) -> str:
    """Check that inputs and targets agree in length and that no split is empty."""
    train = few(_data(workload).train)
    shapes = {path[1:]: tuple(leaf.shape[1:]) for path, leaf in named_leaves(train)}
    return ", ".join(f"{path} {shape} each" for path, shape in shapes.items())


def loss_is_a_finite_mean(workload: Workload) -> str:
    """Check that `loss` is a finite number, the mean over the batch."""
    return f"{_mean('loss', workload.loss, workload, _data(workload).train):.4g}"


def error_is_a_finite_mean(workload: Workload) -> str:
    """Check that `error` is a finite number, a mean over examples, and a fraction if required."""
    target = sound_target(workload.target)
    error = _mean("error", workload.error, workload, _data(workload).validation)
    sound_error(target, error)
    return f"{error:.4g}"


def quantities_are_finite_means(workload: Workload) -> str:
    """Check that each of `quantities` is a finite number, a mean over examples."""
    data = _data(workload).validation
    names = quantities(workload, _model(workload, 0).eval(), few(data))
    found = {name: _mean(name, quantity(workload, name), workload, data) for name in names}
    return ", ".join(f"{name} {value:.4g}" for name, value in found.items()) or "none"


def models_follow_the_seed(workload: Workload) -> str:
    """Check that a model's initialization depends on the global seeds alone."""
    one, same, other = (
        torch.cat([parameter.detach().flatten() for parameter in model.parameters()])
        for model in (_model(workload, seed) for seed in (0, 0, 1))
    )
    _require(torch.equal(one, same), "equal seeds must give equal models, got different ones")
    _require(
        not torch.equal(one, other),
        "different seeds must give different models, got equal ones; initialize at random",
    )
    return f"{one.numel():,} parameters"


def computes_from_its_arguments_alone(workload: Workload) -> str:
    """Check that loss, error and model change neither the data nor anything that trials share."""
    data = _data(workload)
    found = observe(
        workload, lambda seed: _model(workload, seed), few(data.train), few(data.validation)
    )
    return "; ".join(found.words()) or "nothing else changes"


def target_is_below_the_start(workload: Workload | Dynamics) -> str:
    """Check that an untrained model does not reach the target."""
    target = sound_target(workload.target).value
    start = _start(workload)
    if start < target:
        _refuse_rising(workload)
    _require(
        start >= target,
        f"the target must be below the start, {workload.target.quantity} {start:.4g} before "
        f"training, got {target:g}",
    )
    return f"{start:.4g} before training"


def error_falls_when_trained(workload: Workload | Dynamics) -> str:
    """Check that plain SGD lowers the error within 300 steps for at least one learning rate."""
    start = _start(workload)
    if isinstance(workload, Dynamics):
        lanes = _lanes(workload)
        lanes.advance(_TRAINING_STEPS)
        errors = [float(error) for error in lanes.measure()[1]]
    else:
        errors = [_trained_error(workload, rate) for rate in _RATES]
    best = min((error for error in errors if math.isfinite(error)), default=math.nan)
    if not best < start:
        _refuse_rising(workload)
    _require(best < start, f"training must lower the error, got {best:.4g} from {start:.4g}")
    return f"{start:.4g} to {best:.4g} in {_TRAINING_STEPS} steps"


def runs_are_deterministic(workload: Dynamics) -> str:
    """Check that two runs of the same lanes give the same errors."""
    first, second = _lanes(workload), _lanes(workload)
    for lanes in (first, second):
        lanes.advance(7)
    same = np.array_equal(first.measure()[1], second.measure()[1])
    _require(same, "the same setup must give the same errors, got different ones")
    return "equal twice"


def keep_drops_the_lanes_it_is_told_to(workload: Dynamics) -> str:
    """Check that `keep` drops lanes without changing the others."""
    whole, cut = _lanes(workload), _lanes(workload)
    kept = np.array([True, False, True])
    cut.keep(kept)
    for lanes in (whole, cut):
        lanes.advance(5)
    expected, seen = whole.measure()[1][kept], cut.measure()[1]
    same = expected.shape == seen.shape and np.allclose(expected, seen)
    _require(same, f"keep must leave the other lanes as they are, got {seen} for {expected}")
    return "the others are unchanged"


def _require(holds: bool, message: str) -> None:
    if not holds:
        raise BrokenClauseError(message)


def _data(workload: Workload) -> Data:
    return sound_data(workload.data())


def _model(workload: Workload, seed: int) -> nn.Module:
    with forked(torch.device("cpu")):
        seed_all(seed)
        return sound_model(workload.model())


def _mean(name: str, measure: Measure, workload: Workload, examples: Examples | Items) -> float:
    """Return the loss or error of an untrained model on a few examples."""
    # in evaluation mode, since batch statistics differ from portion to portion
    model, some = _model(workload, 0).eval(), few(examples)
    if getattr(workload, "whole", False):
        with torch.no_grad():
            return sound_number(name, measure(model, some))
    return sound_mean(name, measure, model, some)


def _error(workload: Workload, model: nn.Module) -> float:
    """Return the validation error, measured in portions to bound memory."""
    validation, total = _data(workload).validation, 0.0
    portion = validation.size if getattr(workload, "whole", False) else _PORTION
    for start in range(0, validation.size, portion):
        part = validation.rows(slice(start, start + portion))
        with torch.no_grad():
            total += float(workload.error(model.eval(), part)) * part.size
    return total / int(validation.size)


def _start(workload: Workload | Dynamics) -> float:
    if isinstance(workload, Dynamics):
        return float(_lanes(workload).measure()[1][0])
    return _error(workload, _model(workload, 0))


def _refuse_rising(workload: Workload | Dynamics) -> None:
    """Refuse a score that rises in training, which explains a broken clause better."""
    if not isinstance(workload, Dynamics):
        refuse_rising(workload, lambda seed: _model(workload, seed), few(_data(workload).train))


def _trained_error(workload: Workload, rate: float) -> float:
    model, train = _model(workload, 0).train(), _data(workload).train
    optimizer = torch.optim.SGD(model.parameters(), lr=rate)
    size = min(32, train.size)
    with forked(torch.device("cpu")):
        seed_all(0)
        for _ in range(_TRAINING_STEPS):
            batch = augmented(workload, train.rows(torch.randint(train.size, (size,))))
            optimizer.zero_grad()
            workload.loss(model, batch).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    return _error(workload, model)


def _lanes(workload: Dynamics) -> Lanes:
    """Return lanes of the first optimizer that the dynamics support."""
    refusal: WorkloadError | None = None
    for optimizer in DYNAMICS_OPTIMIZERS:
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
    raise BrokenClauseError(
        f"one of {', '.join(DYNAMICS_OPTIMIZERS)} must be known, got: {refusal}"
    )
