"""Update rules that step along the gradient: SGD and ASGD, heavy-ball and Nesterov momentum.

Weight decay, where a study sets it, is coupled: g + weight_decay p in place of g.
"""

import torch
from torch import Tensor

from study.config.space import Hyperparameter, Range, Scale
from study.optimizers.update_rule import Optimizer, State


def searched_on_log_scale(low: float, high: float) -> Hyperparameter:
    """Return a positive hyperparameter, searched from low to high on a log scale by default."""
    return Hyperparameter(
        default=Range(low=low, high=high, scale=Scale.LOG), low=0.0, low_open=True
    )


def positive(default: float) -> Hyperparameter:
    """Return a positive hyperparameter that a study searches only where it says so."""
    return Hyperparameter(default=default, low=0.0, low_open=True)


def fraction(default: float) -> Hyperparameter:
    """Return a hyperparameter from 0 to below 1 that a study searches only where it says so."""
    return Hyperparameter(default=default, low=0.0, high=1.0)


LR = searched_on_log_scale(1e-4, 10.0)
MOMENTUM = Hyperparameter(
    default=Range(low=0.0, high=0.999, scale=Scale.REVERSE_LOG), low=0.0, high=1.0
)


def _sgd(state: State) -> None:
    """P <- p - lr g."""
    state.parameters.addcmul_(state.gradients, state.values["lr"], value=-1.0)


def _heavy_ball(state: State) -> None:
    """V <- m v + g; p <- p - lr v (Polyak 1964, in torch's form)."""
    state.parameters.addcmul_(_gathered(state), state.values["lr"], value=-1.0)


def _nesterov(state: State) -> None:
    """V <- m v + g; p <- p - lr (g + m v) (Sutskever et al. 2013, in torch's form)."""
    look_ahead = state.gradients.addcmul_(_gathered(state), state.values["momentum"])
    state.parameters.addcmul_(look_ahead, state.values["lr"], value=-1.0)


def _asgd(state: State) -> None:
    """P <- (1 - l r) p - r g; r <- lr / (1 + l lr t)^c, lr at first; x <- x + (p - x) / n.

    The average x is p until step `average_after`, of which n counts the steps from the next but one
    on (Polyak and Juditsky 1992, in torch's form).
    """
    lr, shrinks = state.values["lr"], state.values["lambd"]
    rate, average = state.buffers["rate"], state.buffers["average"]
    steps = state.buffers["step"].add_(1)
    rate.copy_(torch.where(steps == 1, lr, rate))
    state.parameters.mul_(1 - shrinks * rate).addcmul_(state.gradients, rate, value=-1.0)
    counted = (steps - 1 - state.values["average_after"]).clamp_(min=1.0)
    average.lerp_(state.parameters, 1 / counted)
    rate.copy_(lr / (1 + shrinks * lr * steps).pow(state.values["fall_power"]))


def _gathered(state: State) -> Tensor:
    """Return v <- m v + g, (lanes, parameters), in one pass over memory."""
    velocity = state.buffers["velocity"]
    return torch.addcmul(state.gradients, velocity, state.values["momentum"], out=velocity)


SGD = Optimizer(hyperparameters={"lr": LR}, buffers=(), update=_sgd, coupled_decay=True)
HEAVY_BALL = Optimizer(
    hyperparameters={"lr": LR, "momentum": MOMENTUM},
    buffers=("velocity",),
    update=_heavy_ball,
    coupled_decay=True,
)
NESTEROV = Optimizer(
    hyperparameters={"lr": LR, "momentum": MOMENTUM},
    buffers=("velocity",),
    update=_nesterov,
    coupled_decay=True,
)
ASGD = Optimizer(
    hyperparameters={
        "lr": LR,
        "lambd": Hyperparameter(default=1e-4, low=0.0),
        "fall_power": Hyperparameter(default=0.75, low=0.0),
        "average_after": Hyperparameter(default=1e6, low=0.0),
    },
    buffers=("average",),
    counters=("step", "rate"),
    update=_asgd,
    average=lambda state: state.buffers["average"],
    coupled_decay=True,
)
