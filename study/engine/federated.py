"""Federated averaging: clients take steps on their own shards, then their models are averaged.

FedAvg is Algorithm 1 of McMahan et al. 2017 (arXiv:1602.05629) with every client in every round. A
lane's clients are trained one after another in the lane's own memory, so a round needs the memory
of a few models for any number of clients, and lanes can be packed or looped.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from study.config.federated import FederatedConfig
from study.config.study import ResolvedStudy
from study.engine.data_order import ClientOrder
from study.engine.lanes import GradientLanes, UpdateSettings
from study.engine.networks import Networks
from study.engine.networks.training import LoadedWorkload
from study.engine.shards import dirichlet_shards, iid_shards
from study.errors import StudyError
from workloads.trees import leaves
from workloads.workload import Examples


class FederatedLanes(GradientLanes):
    """Lanes whose step is a round of FedAvg.

    Each client starts from the lane's model with zero optimizer state, including momentum. The
    average is weighted by shard size, n_k / n.
    """

    def __init__(
        self,
        loaded: LoadedWorkload,
        networks: Networks,
        settings: UpdateSettings,
        order: ClientOrder,
    ) -> None:
        """Start every lane at step 0; the batch size of `settings` is the local one."""
        super().__init__(loaded, networks, settings, order)
        self._shares, self._local_steps = order.shares, order.local_steps

    def _step_once(self, number: int, values: Mapping[str, Tensor]) -> Tensor:
        """Take one round; return the clients' mean loss over their local steps, (lanes,)."""
        start = self._networks.parameters.clone()
        change = torch.zeros_like(start)
        losses = torch.zeros(len(start), device=start.device)
        for share in self._shares:
            self._networks.parameters.copy_(start)
            for buffer in self._buffers.values():
                buffer.zero_()
            for step in range(self._local_steps):
                losses.add_(super()._step_once(step, values), alpha=share / self._local_steps)
            change.add_(self._networks.parameters - start, alpha=share)
        # changes are averaged, not models: shares add up to 1 only up to rounding
        torch.add(start, change, out=self._networks.parameters)
        return losses


def client_shards(resolved: ResolvedStudy, loaded: LoadedWorkload, batch_size: int) -> list[Tensor]:
    """Return the indices of each client's examples, on the device; empty without federation.

    Within a study, shards depend on the number of clients alone, which the global batch size sets.
    """
    if resolved.federated is None:
        return []
    clients, train = resolved.federated.clients_at(batch_size), loaded.data.train
    if resolved.federated.alpha is None:
        shards = iid_shards(train.size, clients, resolved.seed)
    else:
        (targets,) = leaves(train.targets)
        shards = dirichlet_shards(targets, clients, resolved.federated.alpha, resolved.seed)
    return [shard.to(loaded.device) for shard in shards]


def refuse_federated(
    federated: FederatedConfig, loaded: LoadedWorkload, batch_sizes: Sequence[int]
) -> None:
    """Refuse a study with batch sizes, targets or a model that cannot be federated."""
    uneven = [size for size in batch_sizes if not federated.divides(size)]
    if uneven:
        key = "clients" if federated.clients else "local_batch_size"
        raise StudyError(
            f"batch_sizes must be multiples of federated.{key} = {getattr(federated, key)}, got "
            f"{', '.join(map(str, uneven))}; leave them out with a list, or with batch_sizes.from "
            "and batch_sizes.to, since the global batch size is clients x local batch size"
        )
    if federated.alpha is not None and (why := _targets_unlike_classes(loaded)):
        raise StudyError(
            "federated.shards must be iid for a workload whose targets are not classes, got "
            f"'dirichlet' for {why}; Dirichlet shards skew classes"
        )
    if loaded.observed.state is not None:
        raise StudyError(
            "a federated study needs a model in which training changes only parameters, got a "
            f"change of {loaded.observed.state} (such as batch statistics), which FedAvg does not "
            "average; use ghost norm or no norm"
        )


def _targets_unlike_classes(loaded: LoadedWorkload) -> str:
    """Describe training targets that are not one class per example; empty if they are."""
    train = loaded.data.train
    if not isinstance(train, Examples):
        return "a data set whose items are loaded one by one"
    targets = leaves(train.targets)
    if len(targets) > 1:
        return f"targets of {len(targets)} tensors"
    if targets[0].dim() != 1 or targets[0].is_floating_point():
        return f"targets of shape {tuple(targets[0].shape)} and {targets[0].dtype}"
    return ""
