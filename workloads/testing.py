"""The contract of a workload, clause by clause: for `batchscale check`, and as a pytest kit.

from workloads.testing import WorkloadContract

class TestMine(WorkloadContract):
    def make(self):
        return Mine()
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, stack_module_state, vmap

from workloads.workload import (
    Data,
    Dynamics,
    Examples,
    Lanes,
    LaneSetup,
    Target,
    Workload,
    changing_buffer,
)

_FEW = 64
_TRAINING_STEPS = 200
_RATES = (0.01, 0.1, 0.5)
_Kind = TypeVar("_Kind")


class BrokenClauseError(AssertionError):
    """A clause of the contract that a workload breaks, in words."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Clause:
    """What came of one clause.

    Attributes:
        name: what is promised.
        passed: whether the workload keeps it.
        detail: what was seen.
    """

    name: str
    passed: bool
    detail: str


def target_is_in_range(workload: Workload | Dynamics) -> str:
    """Checks that the target can be missed and met: in (0, 1) for an error, above 0 for a loss."""
    target = workload.target
    _require(isinstance(target, Target), f"`target` must be a Target, got {target!r}")
    upper = 1.0 if target.quantity == "error" else math.inf
    _require(0 < target.value < upper, f"must lie in (0, {upper:g}), got {target.value}")
    return f"{target.quantity} < {target.value:g}"


def data_are_identical_on_two_calls(workload: Workload) -> str:
    """Checks that `data()` gives the same split on every call."""
    first, second = workload.data(), workload.data()
    for one, other in zip(_tensors(first), _tensors(second), strict=True):
        _require(torch.equal(one, other), "two calls of data() must agree, got different tensors")
    return f"{len(first.train.inputs):,} training, {len(first.validation.inputs):,} validation"


def inputs_and_targets_agree_in_length(workload: Workload) -> str:
    """Checks that every input has its target and that neither split is empty."""
    data = workload.data()
    for name, part in (("train", data.train), ("validation", data.validation)):
        count = len(part.inputs)
        _require(count > 0, f"{name} must hold examples, got none")
        _require(
            count == len(part.targets),
            f"{name} must have one target per input, got {len(part.targets)} for {count}",
        )
    return f"inputs {tuple(data.train.inputs.shape)}, targets {tuple(data.train.targets.shape)}"


def loss_is_a_finite_mean(workload: Workload) -> str:
    """Checks that `loss` is one finite number, the mean over the batch."""
    return _is_finite_mean(workload, workload.loss, workload.data().train)


def error_is_a_finite_mean(workload: Workload) -> str:
    """Checks that `error` is one finite number, a mean over the examples, in [0, 1] if it must."""
    seen = _is_finite_mean(workload, workload.error, workload.data().validation)
    if workload.target.quantity == "error":
        _require(0 <= float(seen) <= 1, f"an error must lie in [0, 1], got {seen}")
    return seen


def target_is_below_the_start(workload: Workload | Dynamics) -> str:
    """Checks that an untrained model has not met the target."""
    if isinstance(workload, Dynamics):
        start = float(_lanes(workload).measure()[1][0])
    else:
        start = _error(workload, _model(workload, 0))
    target = workload.target.value
    _require(start >= target, f"must be below the start, got {target:g} with start {start:.4g}")
    return f"{start:.4g} before training"


def models_follow_the_seed(workload: Workload) -> str:
    """Checks that a model's initialisation depends on torch's seed and on nothing else."""
    one, same, other = (_flat(_model(workload, seed)) for seed in (0, 0, 1))
    _require(torch.equal(one, same), "equal seeds must give equal models, got different ones")
    _require(
        not torch.equal(one, other),
        "different seeds must give different models, got equal ones: initialise at random",
    )
    return f"{one.numel():,} parameters"


def packed_equals_looped(workload: Workload) -> str:
    """Checks that gradients under vmap are those of each model alone."""
    batch = _few(workload.data().train, 8)
    changing = changing_buffer(workload, _model(workload, 0), batch)
    if changing is not None:
        return f"looped, since buffer {changing!r} changes while it trains"
    models = [_model(workload, seed).train() for seed in range(3)]
    try:
        packed = _packed_gradients(workload, models, batch)
    except Exception as error:  # noqa: BLE001 - whatever vmap refuses is trained by the loop
        return f"looped, since vmap refuses it: {str(error).splitlines()[0]}"
    for lane, model in enumerate(models):
        for name, alone in _gradients(workload, model, batch).items():
            close = torch.allclose(packed[name][lane], alone, rtol=1e-3, atol=1e-5)
            _require(close, f"the gradient of {name} must be the same packed and alone")
    return "packed"


def error_falls_when_trained(workload: Workload | Dynamics) -> str:
    """Checks that some learning rate lowers the error within 200 steps of plain SGD."""
    if isinstance(workload, Dynamics):
        lanes = _lanes(workload)
        start = float(lanes.measure()[1][0])
        lanes.advance(_TRAINING_STEPS)
        best = float(np.nanmin(lanes.measure()[1]))
    else:
        start = _error(workload, _model(workload, 0))
        best = min(_trained_error(workload, rate) for rate in _RATES)
    _require(best < start, f"training must lower the error, got {best:.4g} from {start:.4g}")
    return f"{start:.4g} to {best:.4g} in {_TRAINING_STEPS} steps"


def runs_are_deterministic(workload: Dynamics) -> str:
    """Checks that the same lanes give the same errors twice."""
    first, second = _lanes(workload), _lanes(workload)
    for lanes in (first, second):
        lanes.advance(7)
    same = np.array_equal(first.measure()[1], second.measure()[1])
    _require(same, "the same setup must give the same errors, got different ones")
    return "the same twice"


def keep_drops_the_lanes_it_is_told_to(workload: Dynamics) -> str:
    """Checks that dropped lanes go and the others go on as before."""
    whole, cut = _lanes(workload), _lanes(workload)
    kept = np.array([True, False, True])
    cut.keep(kept)
    for lanes in (whole, cut):
        lanes.advance(5)
    same = np.allclose(whole.measure()[1][kept], cut.measure()[1])
    _require(same, "keep must leave the other lanes as they are, got other errors")
    return "the others go on"


_TRAINED: tuple[Callable[[Any], str], ...] = (
    target_is_in_range,
    data_are_identical_on_two_calls,
    inputs_and_targets_agree_in_length,
    loss_is_a_finite_mean,
    error_is_a_finite_mean,
    models_follow_the_seed,
    target_is_below_the_start,
    packed_equals_looped,
    error_falls_when_trained,
)
_OWN_DYNAMICS: tuple[Callable[[Any], str], ...] = (
    target_is_in_range,
    target_is_below_the_start,
    runs_are_deterministic,
    keep_drops_the_lanes_it_is_told_to,
    error_falls_when_trained,
)


def clauses(workload: Workload | Dynamics) -> tuple[Callable[[Any], str], ...]:
    """Gives the clauses that a workload must keep."""
    return _OWN_DYNAMICS if isinstance(workload, Dynamics) else _TRAINED


def check(workload: Workload | Dynamics) -> Iterator[Clause]:
    """Puts a workload through its contract.

    Args:
        workload: the workload.

    Yields:
        What came of each clause; one that raises is broken, the others are still tried.
    """
    for clause in clauses(workload):
        name = clause.__name__.replace("_", " ")
        try:
            yield Clause(name=name, passed=True, detail=clause(workload))
        except BrokenClauseError as broken:
            yield Clause(name=name, passed=False, detail=str(broken))
        except Exception as error:  # noqa: BLE001 - the author is told, clause by clause
            yield Clause(name=name, passed=False, detail=f"{type(error).__name__}: {error}")


class WorkloadContract:
    """The kit for pytest: inherit, give `make`, and every clause is a test."""

    def make(self) -> Workload | Dynamics:
        """Gives the workload to test.

        Raises:
            NotImplementedError: the author has not overridden it.
        """
        raise NotImplementedError("override `make` to give your workload")

    def pytest_generate_tests(self, metafunc: Any) -> None:
        """Makes every clause a test of its own."""
        if "clause" in metafunc.fixturenames:
            kept = clauses(self.make())
            metafunc.parametrize("clause", kept, ids=[clause.__name__ for clause in kept])

    def test_clause(self, clause: Callable[[Any], str]) -> None:
        """Puts the workload through one clause."""
        clause(self.make())


def _require(kept: bool, words: str) -> None:
    if not kept:
        raise BrokenClauseError(words)


def _tensors(data: Data) -> list[Tensor]:
    return [*data.train, *data.validation]


def _few(examples: Examples, count: int) -> Examples:
    return Examples(examples.inputs[:count], examples.targets[:count])


def _model(workload: Workload, seed: int) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return workload.model()


def _flat(model: nn.Module) -> Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


def _error(workload: Workload, model: nn.Module) -> float:
    with torch.no_grad():
        return float(workload.error(model.eval(), workload.data().validation))


def _is_finite_mean(
    workload: Workload, measure: Callable[[nn.Module, Examples], Tensor], examples: Examples
) -> str:
    model = _model(workload, 0).eval()
    few = _few(examples, _FEW)
    cut = max(1, len(few.inputs) // 3)
    parts = [Examples(*(t[:cut] for t in few)), Examples(*(t[cut:] for t in few))]
    with torch.no_grad():
        whole = measure(model, few)
        _require(whole.numel() == 1, f"must be one number, got shape {tuple(whole.shape)}")
        _require(math.isfinite(float(whole)), f"must be finite, got {float(whole)}")
        pieces = [(float(measure(model, p)), len(p.inputs)) for p in parts if len(p.inputs)]
    mean = sum(value * count for value, count in pieces) / len(few.inputs)
    _require(
        math.isclose(mean, float(whole), rel_tol=1e-3, abs_tol=1e-6),
        f"must be a mean over the examples, got {float(whole):.6g} where its parts give {mean:.6g}",
    )
    return f"{float(whole):.4g}"


def _gradients(workload: Workload, model: nn.Module, batch: Examples) -> Mapping[str, Tensor]:
    trainable = {n: p for n, p in model.named_parameters() if p.requires_grad}
    loss = workload.loss(model, batch)
    return dict(zip(trainable, torch.autograd.grad(loss, list(trainable.values())), strict=True))


def _packed_gradients(
    workload: Workload, models: list[nn.Module], batch: Examples
) -> Mapping[str, Tensor]:
    parameters, buffers = stack_module_state(models)
    skeleton = models[0]

    def loss(own: dict[str, Tensor], fixed: dict[str, Tensor]) -> Tensor:
        def model(inputs: Tensor) -> Tensor:
            output: Tensor = functional_call(skeleton, (own, fixed), (inputs,))
            return output

        return workload.loss(model, batch)

    gradients: dict[str, Tensor] = vmap(grad(loss))(parameters, buffers)
    return gradients


def _trained_error(workload: Workload, rate: float) -> float:
    model, train = _model(workload, 0).train(), workload.data().train
    optimizer = torch.optim.SGD(model.parameters(), lr=rate)
    generator = torch.Generator().manual_seed(0)
    for _ in range(_TRAINING_STEPS):
        rows = torch.randint(len(train.inputs), (min(32, len(train.inputs)),), generator=generator)
        optimizer.zero_grad()
        workload.loss(model, Examples(train.inputs[rows], train.targets[rows])).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return _error(workload, model)


def _lanes(workload: Dynamics) -> Lanes:
    setup = LaneSetup(
        optimizer="sgd",
        batch_size=16,
        hyperparameters={"lr": np.array(_RATES)},
        lr_factor=None,
        seeds=np.arange(len(_RATES)),
    )
    return workload.lanes(setup)
