"""The rules made for large batches, which scale the step of each parameter tensor by its size.

Each rule is its paper's. Libraries that bear the same names differ: LARS with the learning rate
outside of the buffer (another path under a schedule), plain SGD where weight decay is 0, or for
1-D tensors; LAMB with clipping on by default, or with the decay outside of the ratio.
Here every parameter tensor is a layer of its own, 1-D ones (biases, gains) too, and decays like
the others: the papers' algorithms make no exception, and an exception would be one more knob.
"""

import torch
from torch import Tensor

from study.config.space import Hyperparameter, Range, Scale
from study.optimizers.adaptive import (
    BETA1,
    LR,
    MOMENTS,
    corrected_direction,
    fixed_beta2,
    fixed_decay,
    fixed_eps,
    moments,
)
from study.optimizers.momentum import MOMENTUM
from study.optimizers.update_rule import Optimizer, State


def _lars(state: State) -> None:
    """V <- m v + lr r (g + wd w), w <- w - v; r = trust |w| / (|g| + wd |w|), of each tensor.

    You, Gitman and Ginsburg 2017 (arXiv 1708.03888), Algorithm 1: the learning rate stands inside
    of the buffer. Where |w| or |g| is 0, r is 1.
    """
    lr, decay = state.values["lr"], state.values["weight_decay"]
    pairs = zip(state.tensors(state.parameters), state.tensors(state.gradients), strict=True)
    for weights, gradients in pairs:
        size, slope = _norm(weights), _norm(gradients)
        ratio = state.values["trust_coefficient"] * size / (slope + decay * size)
        ratio = torch.where((size > 0) & (slope > 0), ratio, 1.0)
        gradients.addcmul_(weights, decay).mul_(lr * ratio)
    velocity = state.buffers["velocity"].mul_(state.values["momentum"]).add_(state.gradients)
    state.parameters.sub_(velocity)


def _lamb(state: State) -> None:
    """W <- w - lr |w| / |u| u, of each tensor; u = Adam's direction + wd w.

    You et al. 2020 (arXiv 1904.00962), Algorithm 2, with bias correction and phi the identity.
    Where |w| or |u| is 0, their ratio is 1.
    """
    direction = corrected_direction(state)
    direction.addcmul_(state.parameters, state.values["weight_decay"])
    pairs = zip(state.tensors(state.parameters), state.tensors(direction), strict=True)
    for weights, towards in pairs:
        towards.mul_(_ratio(_norm(weights), _norm(towards)) * state.values["lr"])
    state.parameters.sub_(direction)


def _merit(state: State) -> None:
    """W <- w - lr clip(r u, -1, 1), elementwise; u = m / (sqrt(v) + eps) + wd w, uncorrected.

    MERIT (ICML 2025), after its authors' published code. r is a ratio of greatest magnitudes of
    w and u: of a 1-D tensor as a whole; else the greatest of those of the element's row (over
    axis 1), of its column (over axis 0) and of the whole tensor. It is 1 where one of the former
    is 0. So no parameter moves by more than lr.
    """
    first, second = moments(state)
    direction = state.gradients.copy_(second).sqrt_().add_(state.values["eps"])
    torch.div(first, direction, out=direction)
    direction.addcmul_(state.parameters, state.values["weight_decay"])
    for weights, towards in zip(
        state.shaped(state.parameters), state.shaped(direction), strict=True
    ):
        towards.mul_(_max_ratio(weights.abs(), towards.abs())).clamp_(-1.0, 1.0)
    state.parameters.addcmul_(direction, state.values["lr"], value=-1.0)


def _max_ratio(weights: Tensor, towards: Tensor) -> Tensor:
    """Gives MERIT's ratio of magnitudes (lanes, *shape), of a shape that broadcasts to theirs."""
    whole = tuple(range(1, weights.dim()))
    if len(whole) == 1:
        return _ratio(_greatest(weights, whole), _greatest(towards, whole))
    row, column = ((_greatest(weights, (axis,)), _greatest(towards, (axis,))) for axis in (2, 1))
    least = _greatest(weights, whole) / _greatest(towards, whole)
    ratio = torch.maximum(row[0] / row[1], column[0] / column[1]).maximum(least)
    positive = (torch.minimum(*row) > 0) & (torch.minimum(*column) > 0)
    return torch.where(positive, ratio, 1.0)


def _greatest(magnitudes: Tensor, axes: tuple[int, ...]) -> Tensor:
    return torch.amax(magnitudes, axes, keepdim=True)


def _norm(tensor: Tensor) -> Tensor:
    norm: Tensor = torch.linalg.vector_norm(tensor, dim=1, keepdim=True)
    return norm


def _ratio(size: Tensor, step: Tensor) -> Tensor:
    return torch.where((size > 0) & (step > 0), size / step, 1.0)


LARS = Optimizer(
    hyperparameters={
        "lr": Hyperparameter(
            default=Range(low=0.1, high=100.0, scale=Scale.LOG), low=0.0, low_open=True
        ),
        "momentum": MOMENTUM,
        "trust_coefficient": Hyperparameter(default=1e-3, low=0.0, low_open=True),
        "weight_decay": fixed_decay(5e-4),
    },
    buffers=("velocity",),
    update=_lars,
)
LAMB = Optimizer(
    hyperparameters={
        "lr": Hyperparameter(
            default=Range(low=1e-4, high=1.0, scale=Scale.LOG), low=0.0, low_open=True
        ),
        "beta1": BETA1,
        "beta2": fixed_beta2(0.999),
        "eps": fixed_eps(1e-6),
        "weight_decay": fixed_decay(0.01),
    },
    buffers=MOMENTS,
    counters=("step",),
    update=_lamb,
)
MERIT = Optimizer(
    hyperparameters={
        "lr": LR,
        "beta1": BETA1,
        "beta2": fixed_beta2(0.95),
        "eps": fixed_eps(1e-6),
        "weight_decay": fixed_decay(0.01),
    },
    buffers=MOMENTS,
    update=_merit,
)
