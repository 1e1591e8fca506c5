"""The Adam family: Adam, AdamW, SparseAdam, NAdam, RAdam and Adamax, each in torch's form.

For large eps Adam is heavy-ball SGD with learning rate lr / eps, so tuned Adam is never worse than
tuned momentum (Choi et al. 2019). This is why eps is searched by default, on a log scale.
"""

import torch
from torch import Tensor

from study.optimizers.momentum import MOMENTUM, fraction, log_range, nonnegative, positive
from study.optimizers.parameters import Role
from study.optimizers.update_rule import Optimizer, State

LR = log_range(1e-5, 1.0)
"""For update rules that move each parameter by about the learning rate."""
BETA1 = MOMENTUM
EPS = log_range(1e-8, 0.1)
_BETA2 = fraction(0.999)
_MIN_LENGTH = 5
"""Effective length, in steps, of the average of squares beyond which RAdam divides by its root."""


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

    The moments are bias-corrected: m^ = m / (1 - b1^t), v^ = v / (1 - b2^t). The result overwrites
    the gradients, to save one tensor of their size. The caller counts the step.
    """
    steps = state.buffers["step"]
    first, second = moments(state)
    direction = state.gradients.copy_(second).div_(one_minus_power(state.values["beta2"], steps))
    torch.div(first, direction.sqrt_().add_(state.values["eps"]), out=direction)
    return direction.div_(one_minus_power(state.values["beta1"], steps))


def one_minus_power(beta: Tensor, steps: Tensor) -> Tensor:
    """Return 1 - beta^t, (lanes, 1), without cancellation if beta^t is near 1."""
    return beta.log().mul_(steps).expm1_().neg_()


def _adam(state: State) -> None:
    """Set p <- p - lr m^ / (sqrt(v^) + eps) (Kingma and Ba 2015, Algorithm 1, eps as in torch)."""
    state.buffers["step"].add_(1)
    _step(state)


def _step(state: State) -> None:
    direction = corrected_direction(state)
    state.parameters.addcmul_(direction, state.values["lr"], value=-1.0)


def _adamw(state: State) -> None:
    """Set p <- (1 - lr wd) p, then Adam's step (Loshchilov and Hutter 2019, in torch's form)."""
    state.buffers["step"].add_(1)
    adamw_step(state)


def adamw_step(state: State) -> None:
    """Take AdamW's step; the caller has counted it."""
    lr, decay = state.values["lr"], state.values["weight_decay"]
    state.parameters.mul_(1 - lr * decay)
    _step(state)


def _sparse_adam(state: State) -> None:
    """Take Adam's step, but in embeddings update only the rows with a nonzero gradient.

    There p <- p - lr sqrt(1 - b2^t) / (1 - b1^t) m / (sqrt(v) + eps); all other rows and their
    moments are unchanged.
    """
    steps, values = state.buffers["step"].add_(1), state.values
    unbias = one_minus_power(values["beta2"], steps).sqrt_()
    rate = values["lr"] * unbias / one_minus_power(values["beta1"], steps)
    for tensor in state.each(MOMENTS):
        (described,) = tensor.described
        if described.role is not Role.EMBEDDING:
            _step(tensor)
            continue
        gradients = tensor.gradients
        touched = (gradients.view(-1, *described.sides) != 0).any(2, keepdim=True)
        touched = touched.expand(-1, *described.sides).flatten(1)
        first, second = (tensor.buffers[name] for name in MOMENTS)
        first.lerp_(gradients, (1 - values["beta1"]) * touched)
        second.lerp_(gradients.square(), (1 - values["beta2"]) * touched)
        direction = first / second.sqrt().add_(values["eps"])
        tensor.parameters.addcmul_(direction, rate * touched, value=-1.0)


def _nadam(state: State) -> None:
    """Set p <- p - lr (m' b' / (1 - P b') + (1 - b) g / (1 - P)) / (sqrt(v^) + eps), m' the new m.

    Dozat 2016: b_t = b1 (1 - 0.96^(t d) / 2), d = momentum_decay, b' is the next step's b, and P
    the product of all b up to b_t.
    """
    steps, values = state.buffers["step"].add_(1), state.values

    def beta_at(step: Tensor) -> Tensor:
        fall: Tensor = 0.96 ** (step * values["momentum_decay"])
        return values["beta1"] * (1 - 0.5 * fall)

    beta, next_beta, rest = beta_at(steps), beta_at(steps + 1), state.buffers["one_less_product"]
    rest.copy_(1 - (1 - rest) * beta)
    direction = state.gradients * ((1 - beta) / rest)
    first, second = moments(state)
    direction.addcmul_(first, next_beta / (1 - (1 - rest) * next_beta))
    root = (second / one_minus_power(values["beta2"], steps)).sqrt_().add_(values["eps"])
    state.parameters.addcmul_(direction.div_(root), values["lr"], value=-1.0)


def _radam(state: State) -> None:
    """Set p <- p - lr m^ r sqrt(1 - b2^t) / (sqrt(v) + eps) if l > 5, else p - lr m^.

    Liu et al. 2020 (arXiv 1908.03265): r = sqrt((l - 4) (l - 2) L / ((L - 4) (L - 2) l)), where
    l = L - 2 t b2^t / (1 - b2^t) is the effective length of the average of squares, and L =
    2 / (1 - b2) - 1 its limit.
    """
    steps, values = state.buffers["step"].add_(1), state.values
    first, second = moments(state)
    beta2 = values["beta2"].double()  # the length is a small difference of large numbers
    unbias = one_minus_power(beta2, steps)
    limit = 2 / (1 - beta2) - 1
    length = limit - 2 * steps * (1 - unbias) / unbias
    ratio = (length - 4) * (length - 2) * limit / ((limit - 4) * (limit - 2) * length)
    factor = (ratio * unbias).sqrt().to(second) / second.sqrt().add_(values["eps"])
    factor = torch.where(length > _MIN_LENGTH, factor, 1.0)
    rate = values["lr"] / one_minus_power(values["beta1"], steps)
    state.parameters.addcmul_(factor.mul_(first), rate, value=-1.0)


def _adamax(state: State) -> None:
    """Set p <- p - lr m^ / u, u <- max(b2 u, |g| + eps) (Kingma and Ba 2015, Algorithm 2)."""
    steps, values = state.buffers["step"].add_(1), state.values
    greatest = state.buffers["greatest"].mul_(values["beta2"])
    torch.maximum(greatest, state.gradients.abs().add_(values["eps"]), out=greatest)
    first = state.buffers["first_moment"].mul_(values["beta1"])
    first.addcmul_(state.gradients, 1 - values["beta1"])
    rate = values["lr"] / one_minus_power(values["beta1"], steps)
    state.parameters.addcmul_(first / greatest, rate, value=-1.0)


_ADAM = {"lr": LR, "beta1": BETA1, "beta2": _BETA2, "eps": EPS}
MOMENTS = ("first_moment", "second_moment")

ADAM = Optimizer(
    hyperparameters=_ADAM, buffers=MOMENTS, counters=("step",), update=_adam, coupled_decay=True
)
ADAMW = Optimizer(
    hyperparameters=_ADAM | {"weight_decay": nonnegative(0.01)},
    buffers=MOMENTS,
    counters=("step",),
    update=_adamw,
    decoupled_decay=True,
)
SPARSE_ADAM = Optimizer(
    hyperparameters=_ADAM, buffers=MOMENTS, counters=("step",), update=_sparse_adam
)
NADAM = Optimizer(
    hyperparameters=_ADAM | {"momentum_decay": nonnegative(0.004)},
    buffers=MOMENTS,
    counters=("step", "one_less_product"),
    update=_nadam,
    coupled_decay=True,
)
RADAM = Optimizer(
    hyperparameters=_ADAM, buffers=MOMENTS, counters=("step",), update=_radam, coupled_decay=True
)
ADAMAX = Optimizer(
    hyperparameters=_ADAM | {"eps": positive(1e-8)},
    buffers=("first_moment", "greatest"),
    counters=("step",),
    update=_adamax,
    coupled_decay=True,
)
