"""Which tensors an operation writes into, seen where no value changes and no version is counted."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class Writes(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """A context in which writes into the memory of some tensors are noted, also through `.data`.

    Attributes:
        found: names of the tensors written into so far, in order.
    """

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        """Watch tensors by name."""
        super().__init__()  # type: ignore[no-untyped-call]
        self._watched: dict[int | None, str] = {
            _place(tensor): name for name, tensor in tensors.items()
        }
        self._watched.pop(None, None)
        self.found: list[str] = []

    def __torch_dispatch__(
        self,
        function: Any,
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Note what the operation writes into, then run it."""
        named = kwargs or {}
        for place, argument in enumerate(function._schema.arguments):
            if argument.alias_info is not None and argument.alias_info.is_write:
                given = args[place] if place < len(args) else named.get(argument.name)
                self.found += self._names(given)
        run: Callable[..., Any] = function
        return run(*args, **named)

    def _names(self, given: Any) -> list[str]:
        tensors = [leaf for leaf in tree_leaves(given) if isinstance(leaf, Tensor)]
        return [self._watched[p] for p in map(_place, tensors) if p in self._watched]


def _place(tensor: Tensor) -> int | None:
    """Return where a tensor's elements are; None for one that has none, or keeps them otherwise."""
    held = tensor.layout is torch.strided and tensor.numel()
    return tensor.untyped_storage().data_ptr() if held else None
