"""One forward pass for both loss and error of a measurement, if they call the model alike."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn
from torch.utils._pytree import tree_leaves


@contextmanager
def forward_passes_shared(model: nn.Module) -> Iterator[None]:
    """Let `loss` and `error` share one forward pass on the same arguments."""
    forward, own = model.forward, vars(model).get("forward")
    last: list[tuple[tuple[Any, ...], Any, list[int]]] = []

    def shared(*arguments: Any, **keywords: Any) -> Any:
        key = (*arguments, *keywords, *keywords.values())
        if last:
            previous, output, versions = last[0]
            same = list(map(id, previous)) == list(map(id, key))
            # an output that has been written into is computed again
            if same and versions == _versions(output):
                return output
        output = forward(*arguments, **keywords)
        last[:] = [(key, output, _versions(output))]
        return output

    vars(model)["forward"] = shared
    try:
        yield
    finally:
        del vars(model)["forward"]
        if own is not None:
            vars(model)["forward"] = own


def _versions(output: Any) -> list[int]:
    return [leaf._version for leaf in tree_leaves(output) if isinstance(leaf, Tensor)]
