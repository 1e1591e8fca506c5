"""Update rules for large batches, which scale the step of each parameter tensor by its norm.

Each follows its paper. Libraries differ under the same names: LARS with the learning rate outside
the buffer (which changes the path under a schedule), or as plain SGD if weight decay is 0 or for
1-D tensors; LAMB with clipping on by default, or with the decay outside the ratio.
Every parameter tensor counts as a layer here, 1-D ones (biases, gains) too, and is decayed: the
papers' algorithms make no exception, and an exception would be one more hyperparameter.
"""

import torch
from torch import Tensor

from study.optimizers.adaptive import BETA1, LR, MOMENTS, corrected_direction, moments
from study.optimizers.momentum import MOMENTUM, fraction, log_range, nonnegative, positive
from study.optimizers.update_rule import Optimizer, State


def _lars(state: State) -> None:
    """Set v <- m v + lr r (g + wd w), w <- w - v; r = trust |w| / (|g| + wd |w|), per tensor.

    You, Gitman and Ginsburg 2017 (arXiv 1708.03888), Algorithm 1: the learning rate is inside the
    buffer. If |w| or |g| is 0, r is 1.
    """
    lr, decay = state.values["lr"], state.values["weight_decay"]
    for tensor in state.each(()):
        size, slope = _norm(tensor.parameters), _norm(tensor.gradients)
        ratio = state.values["trust_coefficient"] * size / (slope + decay * size)
        ratio = torch.where((size > 0) & (slope > 0), ratio, 1.0)
        tensor.gradients.addcmul_(tensor.parameters, decay).mul_(lr * ratio)
    velocity = state.buffers["velocity"].mul_(state.values["momentum"]).add_(state.gradients)
    state.parameters.sub_(velocity)


def _lamb(state: State) -> None:
    """Set w <- w - lr |w| / |u| u, per tensor; u = Adam's direction + wd w.

    You et al. 2020 (arXiv 1904.00962), Algorithm 2, with bias correction and phi the identity.
    If |w| or |u| is 0, their ratio is 1.
    """
    state.buffers["step"].add_(1)
    direction = corrected_direction(state)
    direction.addcmul_(state.parameters, state.values["weight_decay"])
    pairs = zip(state.tensors(state.parameters), state.tensors(direction), strict=True)
    for weights, update in pairs:
        update.mul_(_ratio(_norm(weights), _norm(update)) * state.values["lr"])
    state.parameters.sub_(direction)


def _merit(state: State) -> None:
    """Set w <- w - lr clip(r u, -1, 1); u = m / (sqrt(v) + eps) + wd w, uncorrected.

    MERIT (ICML 2025), after its authors' published code. r is a ratio of max-norms of w and u:
    over the complete tensor if it is 1-D; otherwise the greatest of the ratios over the element's
    row (axis 1), its column (axis 0) and the complete tensor. It is 1 if a max-norm of the row or
    column is 0. So no parameter moves by more than lr.
    """
    first, second = moments(state)
    direction = state.gradients.copy_(second).sqrt_().add_(state.values["eps"])
    torch.div(first, direction, out=direction)
    direction.addcmul_(state.parameters, state.values["weight_decay"])
    pairs = zip(state.shaped(state.parameters), state.shaped(direction), strict=True)
    for weights, update in pairs:
        update.mul_(_max_ratio(weights.abs(), update.abs())).clamp_(-1.0, 1.0)
    state.parameters.addcmul_(direction, state.values["lr"], value=-1.0)


def _max_ratio(weights: Tensor, update: Tensor) -> Tensor:
    """Return MERIT's ratio of magnitudes (lanes, *shape), in a shape that broadcasts to theirs."""
    axes = tuple(range(1, weights.dim()))
    if len(axes) == 1:
        return _ratio(_max_norm(weights, axes), _max_norm(update, axes))
    row, column = ((_max_norm(weights, (axis,)), _max_norm(update, (axis,))) for axis in (2, 1))
    overall = _max_norm(weights, axes) / _max_norm(update, axes)
    ratio = torch.maximum(row[0] / row[1], column[0] / column[1]).maximum(overall)
    positive = (torch.minimum(*row) > 0) & (torch.minimum(*column) > 0)
    return torch.where(positive, ratio, 1.0)


def _max_norm(magnitudes: Tensor, axes: tuple[int, ...]) -> Tensor:
    return torch.amax(magnitudes, axes, keepdim=True)


def _norm(tensor: Tensor) -> Tensor:
    norm: Tensor = torch.linalg.vector_norm(tensor, dim=1, keepdim=True)
    return norm


def _ratio(size: Tensor, step: Tensor) -> Tensor:
    return torch.where((size > 0) & (step > 0), size / step, 1.0)


LARS = Optimizer(
    hyperparameters={
        "lr": log_range(0.1, 100.0),
        "momentum": MOMENTUM,
        "trust_coefficient": positive(1e-3),
        "weight_decay": nonnegative(5e-4),
    },
    buffers=("velocity",),
    update=_lars,
)
LAMB = Optimizer(
    hyperparameters={
        "lr": log_range(1e-4, 1.0),
        "beta1": BETA1,
        "beta2": fraction(0.999),
        "eps": positive(1e-6),
        "weight_decay": nonnegative(0.01),
    },
    buffers=MOMENTS,
    counters=("step",),
    update=_lamb,
)
MERIT = Optimizer(
    hyperparameters={
        "lr": LR,
        "beta1": BETA1,
        "beta2": fraction(0.95),
        "eps": positive(1e-6),
        "weight_decay": nonnegative(0.01),
    },
    buffers=MOMENTS,
    update=_merit,
)
