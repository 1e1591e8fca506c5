"""Admission of an optimizer: its update must consist of tensor operations on each lane alone.

A sweep admits its optimizer before it starts. In the tests of your own optimizer:

    from study.planning.update_rules import OptimizerContract

    class TestMine(OptimizerContract):
        def make(self):
            return Mine
"""

import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from study.config.space import middle
from study.engine.networks.tracing import Trace, compile_trace
from study.errors import StudyError, cause
from study.optimizers import Optimizer, State, Step
from study.optimizers.parameters import tensors_of_shapes
from study.optimizers.registry import made_optimizer
from study.seeding import generator
from workloads.examination.python_state import changed, snapshot
from workloads.examination.reads import Reads

_aten = torch.ops.aten
_SHAPES = ((4, 3), (4,), (1,))
_LANES = 2
_STEPS = 4
_SCALES = (1.0, 1e3, 0.1, 1.0, 1e-3)
"""Sizes of gradients by step, the second lane one step ahead, to cross thresholds of any size."""
_FACTORS = (1.0, 0.9)
"""Hyperparameters of each lane, relative to the middle of their ranges."""
_NUMBERS = {_aten.equal.default, _aten.allclose.default, _aten._local_scalar_dense.default}
"""Operations that convert tensors to Python numbers, some of them without a warning by torch."""
_WARNINGS = ("Converting a tensor to a", "Using len to get tensor shape")
"""Beginnings of torch's warnings about Python numbers that a trace freezes."""
_FROZEN = (
    "a tensor converted to a Python number, as by if, float() or numpy, which a trace freezes; "
    "compute with tensors, as by torch.where, clamp and minimum"
)
_CLOSE = 1e-4


def require_sound(name: str, optimizer: Optimizer) -> None:
    """Refuse an update rule that gives other numbers in a pack than in a lane alone.

    Two lanes take a few steps as one traced program, and each by itself in Python.

    Raises:
        StudyError: the rule fails, moves nothing, keeps Python state, converts tensors to Python
            numbers, draws random numbers, or mixes lanes; or its average has another shape than the
            parameters, or changes them.
    """
    try:
        packed = _trained(optimizer, slice(0, _LANES), traced=True)
        first = _trained(optimizer, slice(0, 1), traced=False)
        before = snapshot(optimizer=optimizer)  # caches that the first calls fill are no state
        with Reads(files=False) as reads:
            alone = torch.cat([first, _trained(optimizer, slice(1, _LANES), traced=False)])
        reads.refuse()
        state = changed(before, snapshot(optimizer=optimizer))
    except Exception as error:
        raise StudyError(
            f"optimizer {name} must take a step, got {cause(error)}; fix its update rule"
        ) from error
    if state:
        raise StudyError(
            f"optimizer {name} must keep its state in buffers and counters, which belong to a lane "
            f"and are part of a trace, got a change of {min(state)}"
        )
    if not torch.allclose(packed, alone, rtol=_CLOSE, atol=_CLOSE, equal_nan=True):
        raise StudyError(
            f"optimizer {name} must update each lane by tensor operations on its own row, but a "
            "traced pack of lanes and a lane alone differ; keep state in buffers and counters, not "
            "in Python, draw no random numbers, and do not mix rows"
        )


def _trained(optimizer: Optimizer, lanes: slice, *, traced: bool) -> Tensor:
    """Return the parameters of some lanes after a few updates on random gradients."""
    parameters = _random("parameters", 0)[lanes].clone()
    step = Step.of(optimizer, tensors_of_shapes(_SHAPES), ())
    buffers = optimizer.zeros(parameters, step.described)
    factors = torch.tensor(_FACTORS)[lanes].unsqueeze(1)  # each lane has its own values
    values = {
        name: (middle(entry.default) * factors).clamp_min(entry.low)
        for name, entry in optimizer.hyperparameters.items()
    }
    constant = (parameters, *buffers.values(), *values.values())  # the same tensors at every step

    def take(parameters: Tensor, *rest: Tensor) -> Tensor:
        *state, gradients = rest
        named = dict(zip((*buffers, *values), state, strict=True))
        step(parameters, gradients, named, named)
        return parameters

    run, start = take, [tensor.clone() for tensor in (parameters, *values.values())]
    for number in range(_STEPS):
        scales = torch.tensor([_SCALES[number + lane] for lane in range(_LANES)])
        gradients = (_random("gradients", number) * scales.unsqueeze(1))[lanes].clone()
        if traced and number == 0:
            run = _traced(take, (*constant, gradients))
        with torch.no_grad():
            step.prepare(number, parameters, buffers, values)
            with nullcontext() if traced else _RefuseNumbers():  # type: ignore[no-untyped-call]
                run(*constant, gradients)
    if torch.equal(parameters, start[0]):
        raise ValueError("parameters that do not move; change state.parameters in place")
    for name, value, given in zip(values, values.values(), start[1:], strict=True):
        if not torch.equal(value, given):
            raise ValueError(f"a change of the hyperparameter {name}; keep such numbers in buffers")
    return _measured(optimizer, step.between(parameters, buffers, values))


def _traced(take: Trace, examples: tuple[Tensor, ...]) -> Trace:
    with warnings.catch_warnings(record=True, action="always") as warned:
        traced = compile_trace(take, examples)
    if any(str(warning.message).startswith(_WARNINGS) for warning in warned):
        raise ValueError(_FROZEN)
    return traced


class _RefuseNumbers(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """A context that refuses to convert tensors to Python numbers, as by `torch.equal`."""

    def __torch_dispatch__(
        self,
        function: Any,
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Run an operation that returns tensors."""
        if function in _NUMBERS:
            raise ValueError(_FROZEN)
        run: Callable[..., Any] = function
        return run(*args, **(kwargs or {}))


def _measured(optimizer: Optimizer, state: State) -> Tensor:
    if optimizer.average is None:
        return state.parameters
    before = state.parameters.clone()
    average = optimizer.average(state)
    if average.shape != before.shape:
        raise ValueError(f"an average of shape {tuple(average.shape)}, not that of the parameters")
    if not torch.allclose(before, state.parameters, rtol=0.0, atol=0.0, equal_nan=True):
        raise ValueError("an average that changes the parameters; return a new tensor")
    return average


def _random(stream: str, number: int) -> Tensor:
    size = sum(torch.Size(shape).numel() for shape in _SHAPES)
    return torch.randn(_LANES, size, generator=generator(number, stream))


class OptimizerContract:
    """A pytest kit: inherit from it and override `make`."""

    def make(self) -> object:
        """Return the optimizer to test: a class, or an `Optimizer`; authors override this."""
        raise NotImplementedError("override `make` to return your optimizer")

    def test_update(self) -> None:
        """Check the optimizer."""
        require_sound("of this test", made_optimizer(self.make(), "make()"))
