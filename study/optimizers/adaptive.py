"""Update rules that divide by the gradient's root mean square: Adam and AdamW.

For large eps Adam is heavy-ball SGD with learning rate lr / eps, so tuned Adam can do what
tuned momentum does (Choi et al. 2019). This is why eps is searched by default, on a log scale.
"""

import torch
from torch import Tensor

from study.config.space import Hyperparameter
from study.optimizers.momentum import MOMENTUM, searched_on_log_scale
from study.optimizers.update_rule import Optimizer, State

LR = searched_on_log_scale(1e-5, 1.0)
"""For update rules whose step of each parameter is about the learning rate."""
BETA1 = MOMENTUM


def moments(state: State) -> tuple[Tensor, Tensor]:
    """Return the moments m <- b1 m + (1 - b1) g and v <- b2 v + (1 - b2) g^2, updated in place.

    Both have shape (lanes, parameters). The gradients are overwritten.
    """
    beta1, beta2 = state.values["beta1"], state.values["beta2"]
    first, second = state.buffers["first_moment"], state.buffers["second_moment"]
    first.mul_(beta1).addcmul_(state.gradients, 1 - beta1)
    second.mul_(beta2).addcmul_(state.gradients.square_(), 1 - beta2)
    return first, second


def corrected_direction(state: State) -> Tensor:
    """Return Adam's direction m^ / (sqrt(v^) + eps), shape (lanes, parameters).

    The moments are bias-corrected: m^ = m / (1 - b1^t), v^ = v / (1 - b2^t). The result is in the
    storage of the gradients, to save one tensor of their size. The caller counts the step.
    """
    steps = state.buffers["step"]
    first, second = moments(state)
    direction = state.gradients.copy_(second).div_(_one_minus_power(state.values["beta2"], steps))
    torch.div(first, direction.sqrt_().add_(state.values["eps"]), out=direction)
    return direction.div_(_one_minus_power(state.values["beta1"], steps))


def _one_minus_power(beta: Tensor, steps: Tensor) -> Tensor:
    """Return 1 - beta^t, (lanes, 1), without cancellation where beta^t is near 1."""
    return beta.log().mul_(steps).expm1_().neg_()


def _adam(state: State) -> None:
    """P <- p - lr m^ / (sqrt(v^) + eps) (Kingma and Ba 2015, Algorithm 1, eps as in torch)."""
    state.buffers["step"].add_(1)
    _step(state)


def _step(state: State) -> None:
    direction = corrected_direction(state)
    state.parameters.addcmul_(direction, state.values["lr"], value=-1.0)


def _adamw(state: State) -> None:
    """P <- (1 - lr wd) p, then Adam's step (Loshchilov and Hutter 2019, in torch's form)."""
    state.buffers["step"].add_(1)
    adamw_step(state)


def adamw_step(state: State) -> None:
    """Take AdamW's step, whose number the caller has counted."""
    lr, decay = state.values["lr"], state.values["weight_decay"]
    state.parameters.mul_(1 - lr * decay)
    _step(state)


_ADAM = {
    "lr": LR,
    "beta1": BETA1,
    "beta2": Hyperparameter(default=0.999, low=0.0, high=1.0),
    "eps": searched_on_log_scale(1e-8, 0.1),
}
MOMENTS = ("first_moment", "second_moment")

ADAM = Optimizer(
    hyperparameters=_ADAM, buffers=MOMENTS, counters=("step",), update=_adam, coupled_decay=True
)
ADAMW = Optimizer(
    hyperparameters=_ADAM | {"weight_decay": Hyperparameter(default=0.01, low=0.0)},
    buffers=MOMENTS,
    counters=("step",),
    update=_adamw,
    decoupled_decay=True,
)
