"""Muon: orthogonalized momentum for hidden weight matrices, AdamW for all other parameters.

Jordan et al. 2024, in the form of `torch.optim.Muon` with `adjust_lr_fn="match_rms_adamw"` (Liu et
al. 2025, arXiv 2502.16982): updates are as large as AdamW's, so both parts share a learning rate,
its schedule and its scaling rule, up to the factor `adamw_lr_ratio`.
"""

from collections.abc import Mapping
from dataclasses import replace
from math import sqrt

import torch
from torch import Tensor

from study.optimizers.adaptive import LR, MOMENTS, adamw_step
from study.optimizers.momentum import fraction, nonnegative, positive
from study.optimizers.parameters import Role
from study.optimizers.update_rule import Optimizer, State

_COEFFICIENTS = (3.4445, -4.7750, 2.0315)
_ITERATIONS = 5
_MIN_NORM = 1e-7
_RMS = 0.2
"""Root mean square of an AdamW update, in units of the learning rate."""


def _muon(state: State) -> None:
    """Take Muon's step on hidden matrices, including convolution kernels, else AdamW's."""
    state.buffers["step"].add_(1)
    rest = values_of_rest(state)
    for tensor in state.each(MOMENTS):
        if tensor.described[0].role is Role.MATRIX:
            _orthogonal_step(tensor)
        else:
            adamw_step(replace(tensor, values=rest))


def values_of_rest(state: State) -> Mapping[str, Tensor]:
    """Return the hyperparameters of AdamW's step on all but hidden matrices."""
    return {**state.values, "lr": state.values["lr"] * state.values["adamw_lr_ratio"]}


def _orthogonal_step(state: State) -> None:
    """Set M <- m M + (1 - m) g; p <- (1 - lr wd) p - lr s O(g + m (M - g)).

    Here s = 0.2 sqrt(max(r, c)), and O makes all singular values of the r x c matrix about 1.
    """
    (described,), momentum, lr = state.described, state.values["momentum"], state.values["lr"]
    velocity = state.buffers["first_moment"].lerp_(state.gradients, 1 - momentum)
    look_ahead = state.gradients.lerp_(velocity, momentum)
    rows, columns = described.sides
    matrices = look_ahead.view(-1, rows, columns)
    update = _orthogonal(matrices.mT).mT if rows > columns else _orthogonal(matrices)
    update = update.reshape(look_ahead.shape)
    state.parameters.mul_(1 - lr * state.values["weight_decay"])
    state.parameters.addcmul_(update, lr * sqrt(max(rows, columns)), value=-_RMS)


def _orthogonal(matrices: Tensor) -> Tensor:
    """Return matrices (lanes, r, c) with singular values between about 0.7 and 1.2.

    Five steps of a quintic Newton-Schulz iteration, fastest where r <= c. It runs in the precision
    of the parameters, where torch's runs in bfloat16.
    """
    linear, cubic, quintic = _COEFFICIENTS
    norm = torch.linalg.vector_norm(matrices, dim=(1, 2), keepdim=True)
    result: Tensor = matrices / norm.clamp(min=_MIN_NORM)
    for _ in range(_ITERATIONS):
        gram = result @ result.mT
        result = (cubic * gram + quintic * gram @ gram) @ result + linear * result
    return result


MUON = Optimizer(
    hyperparameters={
        "lr": LR,
        "momentum": fraction(0.95),
        "weight_decay": nonnegative(0.1),
        "adamw_lr_ratio": positive(1.0),
        "beta1": fraction(0.9),
        "beta2": fraction(0.95),
        "eps": positive(1e-8),
    },
    buffers=MOMENTS,
    counters=("step",),
    update=_muon,
    decoupled_decay=True,
    normalized_momentum=True,
)
