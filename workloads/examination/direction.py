"""Whether an error falls when the model learns: an accuracy in its place rises, without a word."""

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
"""Length of an update relative to the parameters."""
_ENOUGH = 0.4
"""Part of the loss at which learning ends."""
_LEARNT = 0.7
"""Part of the loss that is left where a model has learnt its examples."""
_RISEN = {"error": 0.2, "loss": 0.1}
"""Mean rise that no error makes on examples that are learnt; of a loss, relative to its start."""


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
        scale = 1.0 if quantity == "error" else abs(before[1])
        rises.append((after[1] - before[1]) / scale)
        if after[0] > _LEARNT * before[0] or rises[-1] < 0:
            return
    if sum(rises) / len(rises) <= _RISEN[quantity]:
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
    workload: Workload, model: nn.Module, examples: Examples, enough: float = _ENOUGH
) -> None:
    """Let a model learn a few examples by plain SGD, in steps of a length relative to its own.

    It ends where this part of the loss is left, or after some steps.
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
        length = float(_norm(pieces))
        if not 0 < length < float("inf"):
            return
        with torch.no_grad():
            rate = _STEP_SIZE * float(_norm(trained)) / length
            for parameter, piece in zip(trained, pieces, strict=True):
                parameter.sub_(rate * piece)


def _norm(tensors: Sequence[Tensor]) -> Tensor:
    lengths = torch.stack([torch.linalg.vector_norm(tensor.detach()) for tensor in tensors])
    norm: Tensor = torch.linalg.vector_norm(lengths)
    return norm
