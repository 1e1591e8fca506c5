"""Whether a batch may be computed in parts, one after another, when memory is short."""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from study.config.sections import Precision
from study.engine.networks.noise import constant_draws
from workloads.errors import WorkloadError
from workloads.randomness import drawn, forked, states
from workloads.soundness import gradient
from workloads.workload import Examples

_LOSS_TOLERANCE = {Precision.FLOAT32: 1e-4, Precision.TF32: 1e-3, Precision.BF16: 2e-2}
_GRADIENT_TOLERANCE = {Precision.FLOAT32: 1e-3, Precision.TF32: 1e-2, Precision.BF16: 0.1}
_GROWTH_TOLERANCE = 0.05
"""Relative growth of a loss beyond rounding, and relative difference of two equal growths."""

Loss = Callable[[nn.Module, Examples], Tensor]


def mixing_of(
    loss: Loss, make: Callable[[], nn.Module], batch: Examples, precision: Precision
) -> str | None:
    """Return that a batch's training loss or gradient is not the mean over its halves; else None.

    A loss may be such a mean though its gradient, if clipped, is not. Random numbers that differ
    between a batch and its halves leave it unknown: None.

    Args:
        loss: the training loss.
        make: returns a model, the same at each call.
        batch: some examples, on the device that trains.
        precision: of the loss.

    Raises:
        WorkloadError: the loss grows with the batch.
    """  # noqa: DOC502  (raised inside)
    device = batch.tensors[0].device

    def loss_and_gradient(rows: slice | Tensor) -> tuple[float, Tensor]:
        model = make().train()
        trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        with torch.enable_grad(), constant_draws(device):
            value = loss(model, batch.rows(rows))
            pieces = gradient(value, trained)
        return float(value.detach()), torch.cat([piece.flatten() for piece in pieces])

    with forked(device):
        before = states(device)
        third = torch.arange(max(1, batch.size // 3))  # three times this is at most a batch
        losses = [loss_and_gradient(third.repeat(times))[0] for times in (1, 2, 3)]
        if drawn(before, states(device)):  # by functions that `constant_draws` does not know
            return None
        _refuse_sum(losses)
        return _mixing_by_halves(loss_and_gradient, batch.size, precision)


def _mixing_by_halves(
    loss_and_gradient: Callable[[slice], tuple[float, Tensor]], size: int, precision: Precision
) -> str | None:
    half = size // 2
    halves = [slice(half), slice(half, size)] if half else [slice(size)]
    shares = [len(range(size)[rows]) / size for rows in halves]
    losses, gradients = zip(*map(loss_and_gradient, halves), strict=True)
    loss, whole = loss_and_gradient(slice(size))
    mean = sum(share * part for share, part in zip(shares, losses, strict=True))
    if not math.isclose(mean, loss, rel_tol=_LOSS_TOLERANCE[precision], abs_tol=1e-6):
        return "a training loss that is not a mean over the examples of a batch"
    difference = whole - sum(share * part for share, part in zip(shares, gradients, strict=True))
    differs = difference.norm() > _GRADIENT_TOLERANCE[precision] * whole.norm() + 1e-6
    return "a gradient that is not the mean over the examples of a batch" if differs else None


def _refuse_sum(losses: list[float]) -> None:
    """Refuse a training loss that grows with the batch, given its values on one batch 1-3 times."""
    one, two, three = losses
    growth, next_growth = two - one, three - two
    is_linear = math.isclose(next_growth, growth, rel_tol=_GROWTH_TOLERANCE)
    if is_linear and abs(growth) > _GROWTH_TOLERANCE * abs(one):
        raise WorkloadError(
            f"the training loss must be a mean over the batch, got {one:.4g} on a batch, {two:.4g} "
            f"with each example twice and {three:.4g} with each three times; divide by the number "
            "of examples, or else learning rates cannot be compared between batch sizes"
        )
