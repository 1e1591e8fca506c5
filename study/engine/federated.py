"""Federated averaging: clients take steps on shards of their own, then their models are averaged.

FedAvg is Algorithm 1 of McMahan et al. 2017 (arXiv:1602.05629) with every client in every round. A
lane's clients are trained one after another in the lane's own place, so that a round takes the
memory of a few models, whatever the number of clients, and lanes are packed or looped as ever.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from study.config.sections import FederatedConfig
from study.config.study import ResolvedStudy
from study.engine.data_order import DataOrder
from study.engine.lanes import GradientLanes, Networks, UpdateSettings
from study.engine.networks.training import LoadedWorkload, fresh_model
from study.engine.shards import dirichlet_shards, iid_shards, shares
from study.errors import StudyError
from study.seeding import derive_seed
from workloads.workload import changing_buffer


class ClientOrder:
    """The batches of one round after another: of each client in turn, one for each local step."""

    def __init__(
        self, seeds: Sequence[int], shards: Sequence[Tensor], local_steps: int, batch_size: int
    ) -> None:
        """Starts the first epoch of every client in every lane.

        Args:
            seeds: one per lane; every client of a lane has an order of its own.
            shards: indices of each client's examples, on the device that uses them.
            local_steps: steps of each client in a round, >= 1.
            batch_size: examples in a client's batch, >= 1; of a smaller shard, some come twice.
        """
        self.local_steps = local_steps
        self.shares = shares(shards)
        self._shards = list(shards)
        self._orders = [
            DataOrder(
                [derive_seed(seed, "client", client) for seed in seeds],
                len(shard),
                batch_size,
                shard.device,
            )
            for client, shard in enumerate(shards)
        ]
        self._taken = 0

    def next(self) -> Tensor:
        """Gives the indices of the next batch, shape (lanes, batch size)."""
        client = self._taken // self.local_steps % len(self._shards)
        self._taken += 1
        return self._shards[client][self._orders[client].next()]

    def keep(self, lanes: NDArray[Any]) -> None:
        """Keeps the lanes whose indices are given, in that order."""
        for order in self._orders:
            order.keep(lanes)

    def state(self) -> dict[str, Any]:
        """Gives how many batches were taken, and where each client's order stands."""
        return {"taken": self._taken, "orders": [order.state() for order in self._orders]}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Goes on from where the same clients stood."""
        self._taken = state["taken"]
        for order, its in zip(self._orders, state["orders"], strict=True):
            order.restore(its)


class FederatedLanes(GradientLanes):
    """Lanes whose step is a round of FedAvg.

    Each client starts from the lane's model with the optimizer's state at zero, momentum too. The
    averages are weighted by the sizes of the shards, n_k / n.
    """

    def __init__(
        self, loaded: LoadedWorkload, networks: Networks, rule: UpdateSettings, order: ClientOrder
    ) -> None:
        """Starts every lane at step 0.

        Args:
            loaded: the workload and its data.
            networks: the models, one per lane.
            rule: how a client trains; its batch size is the local one.
            order: the clients' batches.
        """
        super().__init__(loaded, networks, rule, order)
        self._shares, self._local_steps = order.shares, order.local_steps

    def _step_once(self, values: Mapping[str, Tensor]) -> Tensor:
        """Takes one round; gives the clients' mean loss over their local steps, (lanes,)."""
        start = self._networks.parameters.clone()
        change = torch.zeros_like(start)
        losses = torch.zeros(len(start), device=start.device)
        for share in self._shares:
            self._networks.parameters.copy_(start)
            for buffer in self._buffers.values():
                buffer.zero_()
            for _ in range(self._local_steps):
                losses.add_(super()._step_once(values), alpha=share / self._local_steps)
            change.add_(self._networks.parameters - start, alpha=share)
        # averaged as changes, for weights that add up to 1 only nearly would scale the models
        torch.add(start, change, out=self._networks.parameters)
        return losses


def client_shards(resolved: ResolvedStudy, loaded: LoadedWorkload, batch_size: int) -> list[Tensor]:
    """Gives each client's part of the training set.

    Args:
        resolved: the resolved study, a federated one.
        loaded: its workload and data.
        batch_size: the global one.

    Returns:
        Indices of each client's examples, on the device; the same for every trial of the study
        with that many clients, and none for a study that is not federated.
    """
    if resolved.federated is None:
        return []
    clients, train = resolved.federated.clients_at(batch_size), loaded.data.train
    if resolved.federated.alpha is None:
        found = iid_shards(len(train.inputs), clients, resolved.seed)
    else:
        found = dirichlet_shards(train.targets, clients, resolved.federated.alpha, resolved.seed)
    return [shard.to(loaded.device) for shard in found]


def refuse_federated(
    federated: FederatedConfig, loaded: LoadedWorkload, batch_sizes: Sequence[int]
) -> None:
    """Refuses a federated study that cannot be run.

    Args:
        federated: the section of the study file.
        loaded: the workload and its data.
        batch_sizes: the global ones.

    Raises:
        StudyError: a batch size is no whole number of clients' batches, labels are not classes, or
            the model holds what averaging says nothing of.
    """
    uneven = [size for size in batch_sizes if not federated.divides(size)]
    if uneven:
        key = "clients" if federated.clients else "local_batch_size"
        raise StudyError(
            f"batch_sizes must be multiples of federated.{key} = {getattr(federated, key)}, got "
            f"{', '.join(map(str, uneven))}; name others, for the global batch size is clients x "
            "local batch size"
        )
    targets = loaded.data.train.targets
    if federated.alpha is not None and (targets.dim() != 1 or targets.is_floating_point()):
        raise StudyError(
            "federated.shards must be iid for a workload without a class for each example, got "
            f"'dirichlet' for targets of shape {tuple(targets.shape)} and {targets.dtype}; "
            "Dirichlet shards skew classes"
        )
    few = loaded.batch(torch.arange(min(2, len(targets))))
    buffer = changing_buffer(loaded.workload, fresh_model(loaded, 0), few)
    if buffer is not None:
        raise StudyError(
            "federated must be left out for a model whose buffers change while it trains (batch "
            f"statistics), got {buffer!r}: FedAvg says nothing of them; take a model without, "
            "such as ghost or no norm"
        )
