"""Whether parts of a batch may be computed one after another, as where memory is short."""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from study.config.sections import Precision
from study.engine.networks.noise import Stilled
from workloads.errors import WorkloadError
from workloads.randomness import drawn, forked, states
from workloads.soundness import gradient
from workloads.workload import Examples

_NEAR = {Precision.FLOAT32: 1e-4, Precision.TF32: 1e-3, Precision.BF16: 2e-2}
_SLOPE_NEAR = {Precision.FLOAT32: 1e-3, Precision.TF32: 1e-2, Precision.BF16: 0.1}
_GROWN = 0.05
"""Relative change of a loss that is no rounding; and of that change from one to the next."""

Loss = Callable[[nn.Module, Examples], Tensor]


def mixing_of(
    loss: Loss, make: Callable[[], nn.Module], batch: Examples, precision: Precision
) -> str | None:
    """Return that a batch's training loss or gradient is not the mean over its halves; else None.

    A loss may be such a mean and its gradient none, as one that is clipped on its way. Nothing is
    known where random numbers differ between a batch and its halves.

    Args:
        loss: the training loss.
        make: returns a model, the same at each call.
        batch: some examples, on the device that trains.
        precision: of the loss.

    Raises:
        WorkloadError: the loss grows with the batch.
    """  # noqa: DOC502  (raised inside)
    device = batch.tensors[0].device

    def slope(rows: slice | Tensor) -> tuple[float, Tensor]:
        """Return loss and gradient."""
        model = make().train()
        trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        with torch.enable_grad(), Stilled(device):
            found = loss(model, batch.rows(rows))
            pieces = gradient(found, trained)
        return float(found.detach()), torch.cat([piece.flatten() for piece in pieces])

    with forked(device):
        before = states(device)
        third = torch.arange(max(1, batch.size // 3))  # so that thrice is no more than a batch
        grown = [slope(third.repeat(times))[0] for times in (1, 2, 3)]
        if drawn(before, states(device)):  # by functions that are not stilled
            return None
        _refuse_sum(grown)
        return _apart(slope, batch.size, precision)


def _apart(
    slope: Callable[[slice], tuple[float, Tensor]], size: int, precision: Precision
) -> str | None:
    half = size // 2
    halves = [slice(half), slice(half, size)] if half else [slice(size)]
    shares = [len(range(size)[rows]) / size for rows in halves]
    losses, slopes = zip(*map(slope, halves), strict=True)
    loss, whole = slope(slice(size))
    mean = sum(share * part for share, part in zip(shares, losses, strict=True))
    if not math.isclose(mean, loss, rel_tol=_NEAR[precision], abs_tol=1e-6):
        return "a training loss that is not a mean over the examples of a batch"
    apart = whole - sum(share * part for share, part in zip(shares, slopes, strict=True))
    far = apart.norm() > _SLOPE_NEAR[precision] * whole.norm() + 1e-6
    return "a gradient that is not the mean over the examples of a batch" if far else None


def _refuse_sum(losses: list[float]) -> None:
    """Refuse a training loss that grows with the batch, given those of one batch 1, 2, 3 times."""
    one, two, three = losses
    grown = two - one
    if abs(grown) > _GROWN * abs(one) and math.isclose(three - two, grown, rel_tol=_GROWN):
        raise WorkloadError(
            f"the training loss must be a mean over the batch, got {one:.4g} on a batch, {two:.4g} "
            f"where it holds each example twice and {three:.4g} three times; divide by the number "
            "of examples, since learning rates at several batch sizes mean nothing otherwise"
        )
