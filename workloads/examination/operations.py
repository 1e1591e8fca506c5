"""Silent effects of single operations: broadcasting outputs against targets, writing in place."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from workloads.errors import WorkloadError

_REDUCING = {
    "mse_loss",
    "l1_loss",
    "smooth_l1_loss",
    "huber_loss",
    "kl_div",
    "poisson_nll_loss",
    "gaussian_nll_loss",
    "soft_margin_loss",
    "binary_cross_entropy_with_logits",
}
"""Functions that broadcast two tensors and then reduce the result."""


class RefuseBroadcasting(TorchFunctionMode):
    """A context in which an elementwise operation may not broadcast (n, 1) against (n,).

    That gives (n, n), every output against every target, whose mean looks like any other number.
    Operands of the same rank, as in `x[:, None] - x[None, :]`, are broadcast on purpose.
    """

    def __init__(self, examples: int) -> None:
        """Watch operations whose first axis has `examples` >= 2 elements."""
        super().__init__()
        self._examples = examples

    def __torch_function__(self, run: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Call the function, then check the shapes of its first two operands and its result."""
        result = run(*args, **(kwargs or {}))
        operands = [*args, *(kwargs or {}).values()][:2]
        if len(operands) == 2 and all(isinstance(operand, Tensor) for operand in operands):
            self._check(getattr(run, "__name__", ""), result, *operands)
        return result

    def _check(self, name: str, result: Any, one: Tensor, other: Tensor) -> None:
        if one.dim() == other.dim() or not (self._batched(one) and self._batched(other)):
            return
        try:
            # torch.broadcast_shapes takes half a second to import its compiler
            shape = np.broadcast_shapes(one.shape, other.shape)
        except ValueError:
            return
        elementwise = isinstance(result, Tensor) and tuple(result.shape) == shape
        # if an operand has two such axes, there are as many features as examples by chance
        new = max(one.shape.count(self._examples), other.shape.count(self._examples)) < 2
        table = new and shape.count(self._examples) >= 2
        if table and (elementwise or name in _REDUCING):
            raise WorkloadError(
                "output and target must have the same shape, got "
                f"{tuple(one.shape)} and {tuple(other.shape)} for a batch of {self._examples}, "
                f"which torch broadcasts to {shape}; squeeze(-1) the one or unsqueeze(-1) "
                "the other"
            )

    def _batched(self, tensor: Tensor) -> bool:
        return tensor.dim() > 0 and tensor.shape[0] == self._examples


class Writes(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """A context that records writes into the memory of some tensors, even through `.data`."""

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        """Watch tensors by name."""
        super().__init__()  # type: ignore[no-untyped-call]
        self._watched: dict[int | None, str] = {
            _storage(tensor): name for name, tensor in tensors.items()
        }
        self._watched.pop(None, None)
        self.found: list[str] = []  # names of the tensors written so far, in order

    def __torch_dispatch__(self, run: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Record what the operation writes into, then run it."""
        named = kwargs or {}
        for place, argument in enumerate(run._schema.arguments):
            if argument.alias_info is not None and argument.alias_info.is_write:
                given = args[place] if place < len(args) else named.get(argument.name)
                tensors = (leaf for leaf in tree_leaves(given) if isinstance(leaf, Tensor))
                storages = map(_storage, tensors)
                self.found += [self._watched[s] for s in storages if s in self._watched]
        return run(*args, **named)


def _storage(tensor: Tensor) -> int | None:
    """Return the address of a tensor's storage; None for an empty tensor or one not strided."""
    stored = tensor.layout is torch.strided and tensor.numel()
    return tensor.untyped_storage().data_ptr() if stored else None
