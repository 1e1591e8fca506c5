"""Update rules that step along the gradient: SGD and ASGD, heavy-ball and Nesterov momentum.

Weight decay, if a study sets it, is coupled: g + weight_decay p in place of g.
"""

import torch
from torch import Tensor

from study.config.space import Hyperparameter, Range, Scale
from study.optimizers.update_rule import Optimizer, State


def log_range(low: float, high: float) -> Hyperparameter:
    """Return a positive hyperparameter, searched from low to high on a log scale by default."""
    return Hyperparameter(
        default=Range(low=low, high=high, scale=Scale.LOG), low=0.0, low_open=True
    )


def nonnegative(default: float) -> Hyperparameter:
    """Return a hyperparameter of at least 0, searched only if a study asks for it."""
    return Hyperparameter(default=default, low=0.0)


def positive(default: float) -> Hyperparameter:
    """Return a positive hyperparameter, searched only if a study asks for it."""
    return Hyperparameter(default=default, low=0.0, low_open=True)


def fraction(default: float) -> Hyperparameter:
    """Return a hyperparameter in [0, 1), searched only if a study asks for it."""
    return Hyperparameter(default=default, low=0.0, high=1.0)


LR = log_range(1e-4, 10.0)
MOMENTUM = Hyperparameter(
    default=Range(low=0.0, high=0.999, scale=Scale.REVERSE_LOG), low=0.0, high=1.0
)


def _sgd(state: State) -> None:
    """Set p <- p - lr g."""
    state.parameters.addcmul_(state.gradients, state.values["lr"], value=-1.0)


def _heavy_ball(state: State) -> None:
    """Set v <- m v + g; p <- p - lr v (Polyak 1964, in torch's form)."""
    state.parameters.addcmul_(_velocity(state), state.values["lr"], value=-1.0)


def _nesterov(state: State) -> None:
    """Set v <- m v + g; p <- p - lr (g + m v) (Sutskever et al. 2013, in torch's form)."""
    look_ahead = state.gradients.addcmul_(_velocity(state), state.values["momentum"])
    state.parameters.addcmul_(look_ahead, state.values["lr"], value=-1.0)


def _asgd(state: State) -> None:
    """Set p <- (1 - l r) p - r g; r <- lr / (1 + l lr t)^c, lr at first; x <- x + (p - x) / n.

    With n = max(1, t - 1 - average_after), the average x is p until then (Polyak and Juditsky 1992,
    in torch's form).
    """
    lr, lambd = state.values["lr"], state.values["lambd"]
    rate, average = state.buffers["rate"], state.buffers["average"]
    steps = state.buffers["step"].add_(1)
    rate.copy_(torch.where(steps == 1, lr, rate))
    state.parameters.mul_(1 - lambd * rate).addcmul_(state.gradients, rate, value=-1.0)
    counted = (steps - 1 - state.values["average_after"]).clamp_(min=1.0)
    average.lerp_(state.parameters, 1 / counted)
    rate.copy_(lr / (1 + lambd * lr * steps).pow(state.values["fall_power"]))


def _velocity(state: State) -> Tensor:
    """Return v <- m v + g, (lanes, parameters), in one pass over memory."""
    velocity = state.buffers["velocity"]
    return torch.addcmul(state.gradients, velocity, state.values["momentum"], out=velocity)


SGD = Optimizer(hyperparameters={"lr": LR}, update=_sgd, coupled_decay=True)
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
        "lambd": nonnegative(1e-4),
        "fall_power": nonnegative(0.75),
        "average_after": nonnegative(1e6),
    },
    buffers=("average",),
    counters=("step", "rate"),
    update=_asgd,
    average=lambda state: state.buffers["average"],
    coupled_decay=True,
)
