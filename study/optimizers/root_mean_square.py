"""Update rules that divide by a root mean square without correcting its bias.

Each is that of torch. Default ranges of learning rates are those that Schmidt, Schneider and Hennig
2021 (arXiv 2007.01547) searched; RMSprop's momentum and eps are searched as in Choi et al. 2019
(arXiv 1910.05446).
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from study.config.space import Hyperparameter
from study.optimizers.adaptive import EPS
from study.optimizers.momentum import MOMENTUM, fraction, positive, searched_on_log_scale
from study.optimizers.parameters import ParameterTensors
from study.optimizers.update_rule import Optimizer, State

LR = searched_on_log_scale(1e-4, 1.0)
_LEAST_RMS = 1e-3


def _adagrad(state: State) -> None:
    """S <- s + g^2; p <- p - lr g / (sqrt(s) + eps) (Duchi, Hazan and Singer 2011)."""
    total = state.buffers["total"].addcmul_(state.gradients, state.gradients)
    _divide(state.gradients, total, state.values["eps"])
    state.parameters.addcmul_(state.gradients, state.values["lr"], value=-1.0)


def _rmsprop(state: State) -> None:
    """V <- b v + (1 - b) g^2; u <- m u + g / (sqrt(v) + eps); p <- p - lr u (Hinton 2012)."""
    _divide(state.gradients, _mean_square(state), state.values["eps"])
    velocity = state.buffers["velocity"].mul_(state.values["momentum"]).add_(state.gradients)
    state.parameters.addcmul_(velocity, state.values["lr"], value=-1.0)


def _adadelta(state: State) -> None:
    """V <- b v + (1 - b) g^2; d = sqrt(u + eps) / sqrt(v + eps) g; u likewise of d; p <- p - lr d.

    Zeiler 2012 (arXiv 1212.5701), whose lr is 1.
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
    """P <- (1 - lr wd) p - a u / max(1, rms(u) / d), a = max(1e-3, rms(p)) min(lr, 1 / sqrt(t)).

    Per tensor (Shazeer and Stern 2018, arXiv 1804.04235): u = g / sqrt(v), where v is an average of
    g^2 whose newest term has weight t^-c; with two or more axes it is the product of averages over
    the last and over the last but one, divided by their mean.
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
        size = _rms(parameters).clamp_(min=_LEAST_RMS)
        square = _square(gradients, rows, columns, weight).clamp_(min=_tiny(gradients) ** 2)
        update = gradients.div_(square.sqrt_()).flatten(1)
        excess = (_rms(update) / state.values["clip_threshold"]).clamp_(min=1.0)
        parameters.mul_(1 - lr * state.values["weight_decay"])
        parameters.sub_(update * (rate * size / excess))


def _square(gradients: Tensor, rows: Tensor, columns: Tensor, weight: Tensor) -> Tensor:
    """Return the estimate of the mean square, (lanes, *shape), after a step."""
    square = gradients.square()
    if gradients.dim() == 2:  # lanes, and one axis
        return rows.lerp_(square, weight).clone()
    of_rows = rows.lerp_(square.mean(-1).flatten(1), weight).view_as(square[..., 0])
    of_columns = columns.lerp_(square.mean(-2).flatten(1), weight).view_as(square[..., 0, :])
    mean = of_rows.mean(-1, keepdim=True).clamp_(min=_tiny(gradients))
    return (of_rows / mean).unsqueeze(-1) * of_columns.unsqueeze(-2)


def _widths(described: ParameterTensors) -> Mapping[str, int]:
    return {"rows": sum(_rows(described)), "columns": sum(_columns(described))}


def _averages(state: State, name: str) -> list[Tensor]:
    """Return views of a buffer, one per parameter tensor."""
    sizes = {"rows": _rows, "columns": _columns}[name](state.described)
    return list(torch.split(state.buffers[name], sizes, dim=1))


def _rows(described: ParameterTensors) -> list[int]:
    """Return the number of averages over the last axis; of a vector, that of its elements."""
    return [t.size // t.shape[-1] if len(t.shape) > 1 else t.size for t in described]


def _columns(described: ParameterTensors) -> list[int]:
    return [t.size // t.shape[-2] if len(t.shape) > 1 else 0 for t in described]


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
        "lr": searched_on_log_scale(1e-2, 100.0),  # around its 1.0
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
        "weight_decay": Hyperparameter(default=0.0, low=0.0),
    },
    buffers=(),
    counters=("step",),
    widths=_widths,
    update=_adafactor,
    decoupled_decay=True,
)
