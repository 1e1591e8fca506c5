"""Map-style data sets: examples that are loaded one by one, as batches need them."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property, partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from workloads.errors import WorkloadError
from workloads.randomness import drawn, forked, seed_all, states
from workloads.trees import stacked
from workloads.workload import Examples

_CPU = torch.device("cpu")
_NO_SETS = (str, bytes, tuple, list, range, Mapping, np.ndarray, Tensor, nn.Module)


def is_map_style(data: object) -> bool:
    """Return whether an object can be a data set: it has a length, and items by number."""
    whole = hasattr(type(data), "__getitem__") and hasattr(type(data), "__len__")
    return whole and not isinstance(data, _NO_SETS)


class Items:
    """The examples of a map-style `torch.utils.data.Dataset`, loaded when they are needed.

    Each item is a pair of input and target, each a tree of tensors, arrays or numbers, and of the
    same shapes in all items. An item may draw from the generators of torch, numpy and random, as
    augmentation does, if it is trained on: they are seeded by trial.

    Attributes:
        tensors: the tensors that are held in memory: none.
    """

    tensors: tuple[Tensor, ...] = ()

    def __init__(self, dataset: Any, loaders: int = 0) -> None:
        """Set the data set, and how many threads load items beside the one that trains.

        Threads help where an item is read, decoded or computed by code that lets others run, as
        PIL, numpy and torch do.

        Raises:
            WorkloadError: the data set is not map-style, or `loaders` is no number of threads.
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
        """Name of a generator that loading an item draws from; None without one."""
        with forked(_CPU):
            before = states(_CPU)
            for place in {0, self.size // 2, self.size - 1}:
                self._item(place)
            return drawn(before, states(_CPU))

    def rows(self, index: Tensor | slice) -> Examples:
        """Return the examples of these numbers, on the CPU."""
        chosen = range(self.size)[index] if isinstance(index, slice) else index.tolist()
        items = self._pool.map(self._item, chosen) if self._loaders else map(self._item, chosen)
        inputs, targets = zip(*items, strict=True)
        return Examples(stacked(inputs, "input"), stacked(targets, "target"))

    def to(self, device: torch.device) -> "Items":
        """Return the same data set: what is loaded of it is moved, a batch at a time."""
        return self

    def checked(self, name: str) -> Examples:
        """Return a few examples, checked to be the same whenever they are loaded from one seed."""
        if self.draws is not None and self._loaders:
            raise WorkloadError(
                f"`loaders` of {name} must be 0 where an item draws random numbers, here from "
                f"{self.draws}, which threads share, got {self._loaders}"
            )
        one, other = self._seeded(0), self._seeded(0)
        pairs = zip(one.tensors, other.tensors, strict=True)
        if not all(torch.equal(a.nan_to_num(), b.nan_to_num()) for a, b in pairs):
            raise WorkloadError(
                f"an item of {name} must be the same whenever it is loaded, got two that differ; "
                "let it depend on its number, and on the global generators of torch, numpy and "
                "random alone"
            )
        return one

    def _seeded(self, seed: int) -> Examples:
        with forked(_CPU):
            seed_all(seed)
            return self.rows(torch.tensor([0, self.size // 2, self.size - 1]))

    def _item(self, number: int) -> Any:
        item = self._dataset[number]
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
