"""Whether an error falls when the model learns: an accuracy returned in its place would rise."""

import sys
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from workloads.errors import WorkloadError
from workloads.randomness import forked, seed_all
from workloads.soundness import copied, gradient
from workloads.workload import Examples, Workload

_SEEDS = (0, 1)
_STEPS = 60
_STEP_SIZE = 0.05
"""Norm of an update relative to the norm of the parameters."""
_FINAL_LOSS = 0.4
"""Learning ends when this fraction of the initial loss is left."""
_LEARNT_LOSS = 0.7
"""A model whose loss is above this fraction of the initial loss has not learnt its examples."""
_RISE = {"error": 0.2, "loss": 0.1}
"""Largest mean rise on learnt examples that passes as noise; for a loss, relative to its start."""


def refuse_rising(workload: Workload, make: Callable[[int], nn.Module], examples: Examples) -> None:
    """Refuse an error that rises while models of two seeds learn the examples it is measured on."""
    quantity, rises = workload.target.quantity, []
    for seed in _SEEDS:
        model = make(seed)
        with forked(examples.tensors[0].device):
            seed_all(0)
            before = _measured(workload, model, examples)
            learn(workload, model, examples)
            after = _measured(workload, model, examples)
        scale = 1.0 if quantity == "error" else max(abs(before[1]), sys.float_info.min)
        rises.append((after[1] - before[1]) / scale)
        if not (after[0] <= _LEARNT_LOSS * before[0] and rises[-1] >= 0):  # neither if one is NaN
            return
    if sum(rises) / len(rises) <= _RISE[quantity]:
        return
    raise WorkloadError(
        f"lower must be better, got an error that rises from {before[1]:.4g} to {after[1]:.4g} on "
        f"the {examples.size} examples that a model learns; return 1 - accuracy in place of an "
        "accuracy, minus the value of any other score, and set the target to match"
    )


def _measured(workload: Workload, model: nn.Module, examples: Examples) -> tuple[float, float]:
    model.eval()
    with torch.no_grad():
        loss = workload.loss(model, copied(examples))
        return float(loss), float(workload.error(model, copied(examples)))


def learn(
    workload: Workload, model: nn.Module, examples: Examples, enough: float = _FINAL_LOSS
) -> None:
    """Train a model on a few examples by plain SGD, with updates of fixed relative norm.

    Training ends when the fraction `enough` of the initial loss is left, or after some steps.
    """
    trained = [parameter for parameter in model.train().parameters() if parameter.requires_grad]
    first = None
    for _ in range(_STEPS):
        with torch.enable_grad():
            loss = workload.loss(model, copied(examples))
            now = float(loss.detach())
            first = now if first is None else first
            if now < enough * first:
                return
            pieces = gradient(loss, trained)
        norm = _norm(pieces)
        if not 0 < norm < float("inf"):
            return
        with torch.no_grad():
            rate = _STEP_SIZE * _norm(trained) / norm
            for parameter, piece in zip(trained, pieces, strict=True):
                parameter.sub_(rate * piece)


def _norm(tensors: Sequence[Tensor]) -> float:
    norms = torch.stack([torch.linalg.vector_norm(tensor.detach()) for tensor in tensors])
    return float(torch.linalg.vector_norm(norms))
