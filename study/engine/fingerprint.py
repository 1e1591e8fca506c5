"""A fingerprint that distinguishes workloads of the same name: data, and numbers at step 0."""

import hashlib
from typing import Any

import torch

from study.engine.networks.looped import LoopedNetwork
from study.engine.networks.training import LoadedWorkload
from workloads.examination.samples import FEW, compared, few
from workloads.examination.values import digest
from workloads.trees import named_leaves


def fingerprint(loaded: LoadedWorkload) -> dict[str, Any]:
    """Return a workload's fingerprint.

    Returns:
        The SHA-256 of each split (of some examples, if there are very many or they are loaded one
        by one), and what `untrained_numbers` returns.
    """
    data = {name: _of_split(split) for name, split in loaded.data.splits.items()}
    return {"data": data, "start": untrained_numbers(loaded)}


def untrained_numbers(loaded: LoadedWorkload) -> dict[str, Any]:
    """Return the number of parameters, and an untrained model's numbers on a few examples."""
    network = LoopedNetwork(loaded, 0)
    examples = torch.arange(min(FEW, loaded.data.train.size)).unsqueeze(0)
    gradient, train_loss = network.gradients(examples)
    measured = network.evaluate(few(loaded.data.validation).to(loaded.device))
    return {
        "number of parameters": gradient.numel(),
        "gradient": float(torch.linalg.vector_norm(gradient).nan_to_num()),
        "training loss": float(train_loss),
        "validation loss": float(measured[0]),
        "validation error": float(measured[1]),
    }


def _of_split(split: Any) -> str:
    sha256 = hashlib.sha256()
    for path, leaf in named_leaves(compared(split)):
        sha256.update(f"{path} {leaf.dtype} {tuple(leaf.shape)}".encode() + digest(leaf))
    return sha256.hexdigest()
