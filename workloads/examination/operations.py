"""What single operations do without a word: broadcast output against target, write into tensors."""

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
"""Functions that broadcast two tensors and then reduce them."""


class RefuseBroadcasting(TorchFunctionMode):
    """A context in which (n, 1) and (n,) may not meet in one elementwise operation.

    They make (n, n), every output against every target, whose mean is a number like any other.
    Where both operands have the same rank, as in `x[:, None] - x[None, :]`, a table was asked for.
    """

    def __init__(self, examples: int) -> None:
        """Watch operations on the first axis, of `examples` >= 2 elements."""
        super().__init__()
        self._examples = examples

    def __torch_function__(self, run: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Call the function, then judge the shapes of its first two operands and of its result."""
        result = run(*args, **(kwargs or {}))
        operands = [*args, *(kwargs or {}).values()][:2]
        if len(operands) == 2 and all(isinstance(operand, Tensor) for operand in operands):
            self._judge(getattr(run, "__name__", ""), result, *operands)
        return result

    def _judge(self, name: str, result: Any, one: Tensor, other: Tensor) -> None:
        if one.dim() == other.dim() or not (self._batched(one) and self._batched(other)):
            return
        try:
            # torch's own function loads half a second of compiler
            shape = np.broadcast_shapes(one.shape, other.shape)
        except ValueError:
            return
        elementwise = isinstance(result, Tensor) and tuple(result.shape) == shape
        # a shape that holds the number twice has it by chance: as many features as examples
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
    """A context in which writes into the memory of some tensors are noted, also through `.data`."""

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        """Watch tensors by name."""
        super().__init__()  # type: ignore[no-untyped-call]
        self._watched: dict[int | None, str] = {
            _place(tensor): name for name, tensor in tensors.items()
        }
        self._watched.pop(None, None)
        self.found: list[str] = []  # names of the tensors written into so far, in order

    def __torch_dispatch__(self, run: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Note what the operation writes into, then run it."""
        named = kwargs or {}
        for place, argument in enumerate(run._schema.arguments):
            if argument.alias_info is not None and argument.alias_info.is_write:
                given = args[place] if place < len(args) else named.get(argument.name)
                tensors = (leaf for leaf in tree_leaves(given) if isinstance(leaf, Tensor))
                places = map(_place, tensors)
                self.found += [self._watched[p] for p in places if p in self._watched]
        return run(*args, **named)


def _place(tensor: Tensor) -> int | None:
    """Return where a tensor's elements are; None for one that has none, or keeps them otherwise."""
    held = tensor.layout is torch.strided and tensor.numel()
    return tensor.untyped_storage().data_ptr() if held else None
