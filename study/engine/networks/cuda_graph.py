"""A step on a CUDA device as one captured graph: many small kernel launches become one."""

from collections.abc import Callable, Sequence
from functools import cache
from weakref import WeakSet

import torch
from torch import Tensor

_WARM_UP = 3  # runs before a capture, as torch advises: libraries choose their kernels in them

_ALIVE: "WeakSet[CapturedStep]" = WeakSet()
"""Steps that share one memory pool, since they are replayed one at a time.

With pools of their own, a hundred lanes of a large batch would need a hundred times its
activations."""


class CapturedStep:
    """A function of tensors that changes others in place, replayed from one CUDA graph."""

    def __init__(
        self, step: Callable[..., Tensor], inputs: Sequence[Tensor], state: Sequence[Tensor]
    ) -> None:
        """Capture the function; the values of `state` are restored afterwards.

        Args:
            step: maps `inputs` to one tensor and changes `state` in place; kernel launches only.
            inputs: tensors on the device, of the shapes and types of all later calls.
            state: tensors that the step changes; the graph stays bound to their memory.
        """
        self._inputs = [tensor.clone() for tensor in inputs]
        before = [tensor.clone() for tensor in state]
        stream = _warm_up_stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(_WARM_UP):
                step(*self._inputs)
        torch.cuda.current_stream().wait_stream(stream)
        self._graph = torch.cuda.CUDAGraph()
        pool = next((other._graph.pool() for other in _ALIVE), None)
        with torch.cuda.graph(self._graph, pool=pool):
            self._output = step(*self._inputs)
        for tensor, value in zip(state, before, strict=True):
            tensor.copy_(value)
        _ALIVE.add(self)

    def __call__(self, *inputs: Tensor) -> Tensor:
        """Take one step; the next one overwrites the returned tensor."""
        for tensor, value in zip(self._inputs, inputs, strict=True):
            tensor.copy_(value)
        self._graph.replay()
        return self._output


@cache
def _warm_up_stream() -> torch.cuda.Stream:
    # one for all steps: torch reuses memory freed on a stream only on that stream
    return torch.cuda.Stream()  # type: ignore[no-untyped-call]
