"""Optimizers, functional and vectorised over lanes: one table, open to one entry per rule.

Parameters of all lanes stand in one tensor of shape (lanes, parameters), so a rule is a few
in-place operations whatever the model; every hyperparameter has shape (lanes, 1).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor

from study.space import Hyperparameter, Range, Scale

Buffers = Mapping[str, Tensor]
Hyperparameters = Mapping[str, Tensor]
Update = Callable[[Tensor, Tensor, Buffers, Hyperparameters], None]
"""Changes parameters and buffers in place, given (parameters, gradients, buffers, values).

It may overwrite the gradients and must not allocate: a step that memory fails can be taken again.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Optimizer:
    """An update rule.

    Attributes:
        hyperparameters: what the rule is tuned by, with default ranges.
        buffers: names of its state tensors, each of the parameters' shape, zero at the start.
        update: one step of the rule.
    """

    hyperparameters: Mapping[str, Hyperparameter]
    buffers: tuple[str, ...]
    update: Update


def _sgd(parameters: Tensor, gradients: Tensor, buffers: Buffers, values: Hyperparameters) -> None:
    """P <- p - lr g."""
    parameters.addcmul_(gradients, values["lr"], value=-1.0)


def _heavy_ball(
    parameters: Tensor, gradients: Tensor, buffers: Buffers, values: Hyperparameters
) -> None:
    """V <- m v + g; p <- p - lr v (Polyak 1964, in torch's form)."""
    velocity = buffers["velocity"]
    velocity.mul_(values["momentum"]).add_(gradients)
    parameters.addcmul_(velocity, values["lr"], value=-1.0)


def _nesterov(
    parameters: Tensor, gradients: Tensor, buffers: Buffers, values: Hyperparameters
) -> None:
    """V <- m v + g; p <- p - lr (g + m v) (Sutskever et al. 2013, in torch's form)."""
    velocity = buffers["velocity"]
    velocity.mul_(values["momentum"]).add_(gradients)
    look_ahead = gradients.addcmul_(velocity, values["momentum"])
    parameters.addcmul_(look_ahead, values["lr"], value=-1.0)


_LR = Hyperparameter(default=Range(low=1e-4, high=10.0, scale=Scale.LOG), low=0.0, low_open=True)
_MOMENTUM = Hyperparameter(
    default=Range(low=0.0, high=0.999, scale=Scale.REVERSE_LOG), low=0.0, high=1.0
)

OPTIMIZERS: Mapping[str, Optimizer] = {
    "sgd": Optimizer(hyperparameters={"lr": _LR}, buffers=(), update=_sgd),
    "heavy-ball": Optimizer(
        hyperparameters={"lr": _LR, "momentum": _MOMENTUM},
        buffers=("velocity",),
        update=_heavy_ball,
    ),
    "nesterov": Optimizer(
        hyperparameters={"lr": _LR, "momentum": _MOMENTUM},
        buffers=("velocity",),
        update=_nesterov,
    ),
}
