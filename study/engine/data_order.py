"""Mini-batches: every lane has its own shuffled epochs, cut into batches of exactly B examples."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from analysis.measures.batch_plan import BatchPlan
from study.seeding import generator as make_generator


class Order(Protocol):
    """The batches of several lanes."""

    def next(self) -> Tensor:
        """Return the indices of the next batch, shape (lanes, batch size)."""

    def keep(self, lanes: NDArray[np.int64]) -> None:
        """Keep the lanes of these indices, in this order."""

    def state(self) -> dict[str, Any]:
        """Return the state as tensors and plain values, which the next batch may change."""

    def restore(self, state: Mapping[str, Any]) -> None:
        """Restore a state of the same lanes."""


class DataOrder:
    """The example indices of each lane's next batch.

    A lane's stream is one random permutation of the training set after another, cut into batches
    of exactly B. A batch may begin in one epoch and end in the next, so every epoch is complete for
    any B. Only a B larger than the set (or a client's shard) holds an example twice.
    """

    def __init__(
        self,
        seeds: Sequence[int],
        examples: int,
        batch_size: int,
        device: torch.device,
        plan: BatchPlan | None = None,
    ) -> None:
        """Shuffle the first epoch of every lane.

        Args:
            seeds: seed of each lane's trial.
            examples: size of the training set, >= 1.
            batch_size: B, examples per batch, >= 1.
            device: device of the returned indices.
            plan: batch sizes of the steps, where they change; None for B in all.
        """
        self._generators = [make_generator(seed, "order") for seed in seeds]
        self._examples = examples
        self._batch_size = batch_size
        self._device = device
        self._plan, self._taken = plan, 0
        self._epoch = self._shuffle()
        self._position = 0

    def next(self) -> Tensor:
        """Return the indices of the next batch, shape (lanes, B)."""
        size = self._batch_size if self._plan is None else self._plan.size_at(self._taken)
        self._taken += 1
        start, end = self._position, self._position + size
        parts = [self._epoch[:, start:end]]
        while end > self._examples:
            end -= self._examples
            self._epoch = self._shuffle()
            parts.append(self._epoch[:, :end])
        self._position = end
        return parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)

    def keep(self, lanes: NDArray[np.int64]) -> None:
        """Keep the lanes of these indices, in this order."""
        self._generators = [self._generators[lane] for lane in lanes]
        self._epoch = self._epoch[torch.from_numpy(lanes).to(self._device)]

    def state(self) -> dict[str, Any]:
        """Return every lane's current epoch, the position in it, and the generators' states."""
        return {
            "generators": [generator.get_state() for generator in self._generators],
            "epoch": self._epoch,
            "position": self._position,
            "taken": self._taken,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Restore a state of the same lanes."""
        for generator, saved in zip(self._generators, state["generators"], strict=True):
            generator.set_state(saved)
        self._epoch, self._position = state["epoch"].to(self._device), state["position"]
        self._taken = state["taken"]

    def _shuffle(self) -> Tensor:
        permutations = [torch.randperm(self._examples, generator=g) for g in self._generators]
        return torch.stack(permutations).to(self._device)
