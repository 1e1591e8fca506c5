"""Update rules that divide by a root mean square without correcting its bias.

Each is in torch's form. Learning rates are searched by default in the ranges of Schmidt, Schneider
and Hennig 2021 (arXiv 2007.01547), RMSprop's momentum and eps as in Choi et al. 2019 (arXiv
1910.05446).
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from study.optimizers.adaptive import EPS
from study.optimizers.momentum import MOMENTUM, fraction, log_range, nonnegative, positive
from study.optimizers.parameters import ParameterTensors
from study.optimizers.update_rule import Optimizer, State

LR = log_range(1e-4, 1.0)
_MIN_RMS = 1e-3


def _adagrad(state: State) -> None:
    """Set s <- s + g^2; p <- p - lr g / (sqrt(s) + eps) (Duchi, Hazan and Singer 2011)."""
    total = state.buffers["total"].addcmul_(state.gradients, state.gradients)
    _divide(state.gradients, total, state.values["eps"])
    state.parameters.addcmul_(state.gradients, state.values["lr"], value=-1.0)


def _rmsprop(state: State) -> None:
    """Set v <- b v + (1 - b) g^2; u <- m u + g / (sqrt(v) + eps); p <- p - lr u (Hinton 2012)."""
    _divide(state.gradients, _mean_square(state), state.values["eps"])
    velocity = state.buffers["velocity"].mul_(state.values["momentum"]).add_(state.gradients)
    state.parameters.addcmul_(velocity, state.values["lr"], value=-1.0)


def _adadelta(state: State) -> None:
    """Set p <- p - lr d, d = g sqrt((u + eps) / (v + eps)); v <- b v + (1 - b) g^2, u so from d.

    Zeiler 2012 (arXiv 1212.5701), where lr is 1.
    """
    beta, eps = state.values["beta2"], state.values["eps"]
    changes = state.buffers["changes"]
    ratio = (changes + eps).div_(_mean_square(state) + eps).sqrt_()
    step = state.gradients.mul_(ratio)
    changes.mul_(beta).addcmul_(step.square(), 1 - beta)
    state.parameters.addcmul_(step, state.values["lr"], value=-1.0)


def _mean_square(state: State) -> Tensor:
    beta = state.values["beta2"]
    mean = state.buffers["mean_square"].mul_(beta)
    return mean.addcmul_(state.gradients.square(), 1 - beta)


def _divide(gradients: Tensor, square: Tensor, eps: Tensor) -> None:
    gradients.div_(square.sqrt().add_(eps))


def _adafactor(state: State) -> None:
    """Set p <- (1 - lr wd) p - a u / max(1, rms(u) / d), per tensor.

    Shazeer and Stern 2018 (arXiv 1804.04235): a = max(1e-3, rms(p)) min(lr, 1 / sqrt(t)) and
    u = g / sqrt(v), where v is an average of g^2 whose newest term has weight t^-c; with two or
    more axes it is the product of averages over the last and the second to last, divided by their
    mean.
    """
    steps = state.buffers["step"].add_(1)
    lr, weight = state.values["lr"], steps.pow(-state.values["decay_power"])
    rate = torch.minimum(lr, steps.rsqrt())
    tensors = zip(
        state.tensors(state.parameters),
        state.shaped(state.gradients),
        _averages(state, "rows"),
        _averages(state, "columns"),
        strict=True,
    )
    for parameters, gradients, rows, columns in tensors:
        size = _rms(parameters).clamp_(min=_MIN_RMS)
        square = _square(gradients, rows, columns, weight).clamp_(min=_tiny(gradients) ** 2)
        update = gradients.div_(square.sqrt_()).flatten(1)
        excess = (_rms(update) / state.values["clip_threshold"]).clamp_(min=1.0)
        parameters.mul_(1 - lr * state.values["weight_decay"])
        parameters.sub_(update * (rate * size / excess))


def _square(gradients: Tensor, rows: Tensor, columns: Tensor, weight: Tensor) -> Tensor:
    """Update the averages; return the estimate of the mean square, (lanes, *shape)."""
    square = gradients.square()
    if gradients.dim() == 2:  # lanes and one axis
        return rows.lerp_(square, weight).clone()
    row_means = rows.lerp_(square.mean(-1).flatten(1), weight).view_as(square[..., 0])
    column_means = columns.lerp_(square.mean(-2).flatten(1), weight).view_as(square[..., 0, :])
    mean = row_means.mean(-1, keepdim=True).clamp_(min=_tiny(gradients))
    return (row_means / mean).unsqueeze(-1) * column_means.unsqueeze(-2)


def _sizes(described: ParameterTensors) -> dict[str, list[int]]:
    """Return the number of averages over the last and the second to last axis of each tensor.

    A vector has all its elements in place of the former, and none of the latter.
    """
    return {
        "rows": [t.size // t.shape[-1] if len(t.shape) > 1 else t.size for t in described],
        "columns": [t.size // t.shape[-2] if len(t.shape) > 1 else 0 for t in described],
    }


def _widths(described: ParameterTensors) -> Mapping[str, int]:
    return {name: sum(sizes) for name, sizes in _sizes(described).items()}


def _averages(state: State, name: str) -> list[Tensor]:
    """Return views of a buffer, one per parameter tensor."""
    return list(torch.split(state.buffers[name], _sizes(state.described)[name], dim=1))


def _rms(tensor: Tensor) -> Tensor:
    return tensor.square().mean(1, keepdim=True).sqrt_()


def _tiny(tensor: Tensor) -> float:
    return float(torch.finfo(tensor.dtype).eps)


ADAGRAD = Optimizer(
    hyperparameters={"lr": LR, "eps": positive(1e-10)},
    buffers=("total",),
    update=_adagrad,
    coupled_decay=True,
)
RMSPROP = Optimizer(
    hyperparameters={"lr": LR, "momentum": MOMENTUM, "beta2": fraction(0.99), "eps": EPS},
    buffers=("mean_square", "velocity"),
    update=_rmsprop,
    coupled_decay=True,
)
ADADELTA = Optimizer(
    hyperparameters={
        "lr": log_range(1e-2, 100.0),  # around the paper's 1
        "beta2": fraction(0.9),
        "eps": positive(1e-6),
    },
    buffers=("mean_square", "changes"),
    update=_adadelta,
    coupled_decay=True,
)
ADAFACTOR = Optimizer(
    hyperparameters={
        "lr": LR,
        "decay_power": positive(0.8),
        "clip_threshold": positive(1.0),
        "weight_decay": nonnegative(0.0),
    },
    counters=("step",),
    widths=_widths,
    update=_adafactor,
    decoupled_decay=True,
)
