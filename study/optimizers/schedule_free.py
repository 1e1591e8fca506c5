"""Schedule-free SGD and AdamW: gradients at one point, measurements at an average.

Defazio et al. 2024 (arXiv 2405.15682), Algorithm 1 and its form for AdamW. A base z takes the
steps, x is the average of the bases, and gradients are computed between the two:

    y = (1 - b) z + b x;  z <- z - lr u(y);  x <- (1 - c) x + c z,  c = lr^2 / sum of all lr^2

A lane's parameters are y. The only other state is z - x, zero at the start, so x = y - (1 - b)
(z - x). The weights c differ from the authors' package if a schedule lowers the learning rate: the
package uses the greatest rate so far, this code the current rate, as in the paper. With b = 0 it is
SGD with the average of Polyak and Juditsky 1992.
"""

import torch
from torch import Tensor

from study.config.space import Hyperparameter, Range, Scale
from study.optimizers.adaptive import LR, one_minus_power
from study.optimizers.momentum import fraction, log_range, nonnegative, positive
from study.optimizers.update_rule import Optimizer, State

_GAP, _WEIGHTS = "base_less_average", "weights"
# the authors advise 0.9, and 0.95 or 0.98 for long runs
INTERPOLATION = Hyperparameter(
    default=Range(low=0.5, high=0.99, scale=Scale.REVERSE_LOG), low=0.0, high=1.0
)


def _sgd(state: State) -> None:
    """Move by u(y) = g."""
    _move(state, state.gradients)


def _adamw(state: State) -> None:
    """Move by u(y) = g / (sqrt(v^) + eps) + wd y, with Adam's v^."""
    steps, beta = state.buffers["step"].add_(1), state.values["beta2"]
    square = state.buffers["second_moment"].mul_(beta)
    square.addcmul_(state.gradients.square(), 1 - beta)
    root = (square / one_minus_power(beta, steps)).sqrt_().add_(state.values["eps"])
    update = state.gradients.div_(root)
    _move(state, update.addcmul_(state.parameters, state.values["weight_decay"]))


def _move(state: State, update: Tensor) -> None:
    """Take the step: with w = z - x - lr u, y <- y + b c w - (1 - b) lr u; z - x <- (1 - c) w."""
    lr, interpolation = state.values["lr"], state.values["interpolation"]
    total = state.buffers[_WEIGHTS].add_(lr.square())
    weight = torch.where(total > 0, lr.square() / total, 0.0)
    step = update.mul_(lr)
    gap = state.buffers[_GAP].sub_(step)
    state.parameters.addcmul_(gap, interpolation * weight)
    state.parameters.addcmul_(step, interpolation - 1)
    gap.mul_(1 - weight)


def _average(state: State) -> Tensor:
    """Return x."""
    gap, interpolation = state.buffers[_GAP], state.values["interpolation"]
    return torch.addcmul(state.parameters, gap, 1 - interpolation, value=-1.0)


SCHEDULE_FREE_SGD = Optimizer(
    hyperparameters={
        # the authors find it 10 to 50 times as large as SGD's
        "lr": log_range(1e-3, 100.0),
        "interpolation": INTERPOLATION,
    },
    buffers=(_GAP,),
    counters=(_WEIGHTS,),
    update=_sgd,
    average=_average,
    coupled_decay=True,
)
SCHEDULE_FREE_ADAMW = Optimizer(
    hyperparameters={
        "lr": LR,
        "interpolation": INTERPOLATION,
        "beta2": fraction(0.999),
        "eps": positive(1e-8),
        "weight_decay": nonnegative(0.0),
    },
    buffers=(_GAP, "second_moment"),
    counters=("step", _WEIGHTS),
    update=_adamw,
    average=_average,
)
