"""Mini-batches: each lane has its own shuffled epochs, cut into batches of exactly B examples."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from analysis.measures.batch_plan import BatchPlan
from study.seeding import derive_seed
from study.seeding import generator as make_generator


class DataOrder:
    """The example indices of each lane's next batch.

    A lane's stream is one random permutation of the training set after another, cut into batches
    of exactly B. A batch may begin in one epoch and end in the next, so every epoch is complete for
    any B. A batch repeats examples only if B exceeds the set (or a client's shard).
    """

    def __init__(
        self,
        seeds: Sequence[int],
        examples: int,
        batch_size: int,
        device: torch.device,
        plan: BatchPlan | None = None,
    ) -> None:
        """Shuffle the first epoch of every lane, of `examples` >= 1.

        Batches have `batch_size` >= 1 examples, or as many as the plan says for each step.
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
        """Keep the lanes with these indices, in this order."""
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


class ClientOrder:
    """The batches of successive rounds: for each client in turn, one per local step."""

    def __init__(
        self, seeds: Sequence[int], shards: Sequence[Tensor], local_steps: int, batch_size: int
    ) -> None:
        """Shuffle the first epoch of every client in every lane.

        Shards are the indices of each client's examples, on the device that trains. A client takes
        `local_steps` >= 1 in a round.
        """
        self.local_steps = local_steps
        total = sum(map(len, shards))
        self.shares = [len(shard) / total for shard in shards]  # n_k / n of each client
        self._shards, self._orders = list(shards), []
        for client, shard in enumerate(shards):
            client_seeds = [derive_seed(seed, "client", client) for seed in seeds]
            self._orders.append(DataOrder(client_seeds, len(shard), batch_size, shard.device))
        self._taken = 0

    def next(self) -> Tensor:
        """Return the indices of the next batch, shape (lanes, batch size)."""
        client = self._taken // self.local_steps % len(self._shards)
        self._taken += 1
        return self._shards[client][self._orders[client].next()]

    def keep(self, lanes: NDArray[Any]) -> None:
        """Keep the lanes with these indices, in this order."""
        for order in self._orders:
            order.keep(lanes)

    def state(self) -> dict[str, Any]:
        """Return the number of batches taken and the state of each client's order."""
        return {"taken": self._taken, "orders": [order.state() for order in self._orders]}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Restore a state of the same clients."""
        self._taken = state["taken"]
        for order, saved in zip(self._orders, state["orders"], strict=True):
            order.restore(saved)


Order = DataOrder | ClientOrder
