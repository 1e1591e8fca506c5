"""Mini-batches: every lane draws its own reshuffled epochs, in batches of exactly B examples."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from study.seeding import generator


class DataOrder:
    """The example indices of each lane's next batch.

    A lane's stream is one random permutation of the training set after another, cut into batches
    of exactly B; a batch may begin in one epoch and end in the next, so that any B keeps every
    epoch complete. Only a B above the size of the set, which may be that of a client's shard,
    holds an example twice.
    """

    def __init__(
        self, seeds: Sequence[int], examples: int, batch_size: int, device: torch.device
    ) -> None:
        """Starts the first epoch of every lane.

        Args:
            seeds: one seed per lane.
            examples: size of the training set, >= 1.
            batch_size: examples per batch, >= 1.
            device: where the indices are used.
        """
        self._generators = [generator(seed, "order") for seed in seeds]
        self._examples = examples
        self._batch_size = batch_size
        self._device = device
        self._epoch = self._shuffle()
        self._position = 0

    def next(self) -> Tensor:
        """Gives the indices of the next batch, shape (lanes, B)."""
        start, end = self._position, self._position + self._batch_size
        parts = [self._epoch[:, start:end]]
        while end > self._examples:
            end -= self._examples
            self._epoch = self._shuffle()
            parts.append(self._epoch[:, :end])
        self._position = end
        return parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)

    def keep(self, lanes: NDArray[np.int64]) -> None:
        """Keeps the lanes whose indices are given, in that order."""
        self._generators = [self._generators[lane] for lane in lanes]
        self._epoch = self._epoch[torch.from_numpy(lanes).to(self._device)]

    def state(self) -> dict[str, Any]:
        """Gives the epoch of every lane, the place in it, and what the next ones are drawn from."""
        return {
            "generators": [generator.get_state() for generator in self._generators],
            "epoch": self._epoch,
            "position": self._position,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Goes on from where the same lanes stood."""
        for drawing, its in zip(self._generators, state["generators"], strict=True):
            drawing.set_state(its)
        self._epoch, self._position = state["epoch"].to(self._device), state["position"]

    def _shuffle(self) -> Tensor:
        permutations = [torch.randperm(self._examples, generator=g) for g in self._generators]
        return torch.stack(permutations).to(self._device)
