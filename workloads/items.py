"""Map-style data sets: examples that are loaded one by one, when a batch needs them."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property, partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from workloads.errors import WorkloadError
from workloads.examination.python_state import UNSEEN, changed, snapshot
from workloads.examination.reads import Reads
from workloads.randomness import drawn, forked, seed_all, states
from workloads.trees import stacked
from workloads.workload import Examples

_CPU = torch.device("cpu")
_FEW = 13
_NOT_DATA_SETS = (str, bytes, tuple, list, range, Mapping, np.ndarray, Tensor, nn.Module)


def is_map_style(data: object) -> bool:
    """Return whether an object can be a data set: it has a length, and items by index."""
    indexable = hasattr(type(data), "__getitem__") and hasattr(type(data), "__len__")
    return indexable and not isinstance(data, _NOT_DATA_SETS)


class Items:
    """The examples of a map-style `torch.utils.data.Dataset`, loaded when they are needed.

    Each item is a pair of input and target, trees of tensors, arrays or numbers whose shapes are
    the same in all items. Items of a training set may draw from the generators of torch, numpy and
    random, for augmentation; these are seeded per trial.

    Attributes:
        tensors: the tensors kept in memory: none.
    """

    tensors: tuple[Tensor, ...] = ()

    def __init__(self, dataset: Any, loaders: int = 0) -> None:
        """Wrap a data set, with the number of threads that load items beside the training thread.

        Threads help if items are read, decoded or computed by code that releases the interpreter
        lock, as PIL, numpy and torch do.

        Raises:
            WorkloadError: the data set is not map-style, or `loaders` is not a number of threads.
        """
        if not is_map_style(dataset):
            raise WorkloadError(
                "a data set must be map-style, with __len__ and __getitem__, so that epochs can be "
                f"shuffled, got {type(dataset).__name__}; wrap it in a torch.utils.data.Dataset"
            )
        if not isinstance(loaders, int) or isinstance(loaders, bool) or loaders < 0:
            raise WorkloadError(f"`loaders` must be a number of threads from 0, got {loaders!r}")
        self._dataset, self._loaders = dataset, loaders

    @cached_property
    def size(self) -> int:
        """Number of examples."""
        return len(self._dataset)

    @cached_property
    def draws(self) -> str | None:
        """Names of the generators that loading an item draws from; None for none."""
        with forked(_CPU):
            before = states(_CPU)
            for index in {0, self.size // 2, self.size - 1}:
                self._item(index)
            return drawn(before, states(_CPU))

    def rows(self, index: Tensor | slice) -> Examples:
        """Return the examples at these indices, on the CPU."""
        chosen = range(self.size)[index] if isinstance(index, slice) else index.tolist()
        before = None if self.draws else states(_CPU)
        items = self._pool.map(self._item, chosen) if self._loaders else map(self._item, chosen)
        inputs, targets = zip(*items, strict=True)
        examples = Examples(stacked(inputs, "input"), stacked(targets, "target"))
        draws = None if before is None else drawn(before, states(_CPU))
        if draws is not None:
            raise WorkloadError(
                "all items of a data set must draw random numbers, or none, got draws from "
                f"{draws} in some items, but none in the first, the middle and the last one; draw "
                "in every item, and ignore the draw where you do not need it"
            )
        return examples

    def to(self, device: torch.device) -> "Items":
        """Return the same data set: items are moved after they are loaded, batch by batch."""
        return self

    def checked(self, name: str) -> Examples:
        """Return a few examples; refuse items that differ when loaded again from the same seed."""
        if self.draws is not None and self._loaders:
            raise WorkloadError(
                f"`loaders` of {name} must be 0 where an item draws random numbers, here from "
                f"{self.draws}, whose state threads share, got {self._loaders}"
            )
        one, before = self._seeded(0), snapshot(items=self._dataset)
        with Reads(files=False) as reads:
            other = self._seeded(0)
        pairs = zip(one.tensors, other.tensors, strict=True)
        if not all(torch.equal(a.nan_to_num(), b.nan_to_num()) for a, b in pairs):
            raise WorkloadError(
                f"an item of {name} must be the same whenever it is loaded, got two that differ; "
                "let it depend only on its index and the global generators of torch, numpy and "
                "random"
            )
        reads.refuse()
        kept = [p for p in changed(before, snapshot(items=self._dataset)) if p != UNSEEN]
        if kept:
            raise WorkloadError(
                f"an item of {name} must depend on its index alone, since a worker loads items for "
                f"several trials, got a change of {min(kept)} when an item is loaded again; keep "
                "no counts in the data set, and draw from the global generators"
            )
        return one

    def _seeded(self, seed: int) -> Examples:
        with forked(_CPU):
            seed_all(seed)
            return self.rows(torch.arange(_FEW) * (self.size - 1) // (_FEW - 1))

    def _item(self, index: int) -> Any:
        item = self._dataset[index]
        if not isinstance(item, tuple | list) or len(item) != 2:
            length = f" of {len(item)}" if isinstance(item, tuple | list) else ""
            raise WorkloadError(
                "an item of a data set must be a pair of input and target, got "
                f"{type(item).__name__}{length}; return (input, target)"
            )
        return item

    @cached_property
    def _pool(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(self._loaders, initializer=partial(torch.set_num_threads, 1))
