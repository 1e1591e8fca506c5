"""L-BFGS: steps use an estimate of the curvature from the last steps and gradients.

Liu and Nocedal 1989, as `torch.optim.LBFGS(max_iter=1, tolerance_grad=0, tolerance_change=0)`
without line search: one gradient per step, and a history that is kept from step to step.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from study.config.space import Hyperparameter
from study.optimizers.momentum import log_range
from study.optimizers.parameters import ParameterTensors
from study.optimizers.update_rule import Optimizer, State

PAIRS = 10
"""Pairs of a step and a gradient change that are kept: 20 numbers per parameter."""
_MIN_CURVATURE = 1e-10


def _lbfgs(state: State) -> None:
    """Set p <- p + lr d, d = -H g; at first d = -g min(1, 1 / |g|_1).

    H learns from a step s and the gradient change y over it if y's > 1e-10. A gradient of zero does
    not count as a step.
    """
    gradients, buffers = state.gradients, state.buffers
    last, before = buffers["last_step"], buffers["last_gradient"]
    moves = (gradients != 0).any(1, keepdim=True)
    first = buffers["step"].add_(moves) == 1
    change = gradients - before
    learns = moves & (_dot(last, change) > _MIN_CURVATURE)
    _push(_history(state, "steps"), last, learns)
    _push(_history(state, "changes"), change, learns)
    shortened = (1 / gradients.abs().sum(1, keepdim=True)).clamp_(max=1.0)
    step = _direction(state).mul_(state.values["lr"] * torch.where(first, shortened, 1.0))
    torch.where(moves, gradients, before, out=before)
    torch.where(moves, step, last, out=last)
    state.parameters.add_(step)


def _direction(state: State) -> Tensor:
    """Return -H g, (lanes, parameters), by the two-loop recursion."""
    pairs = list(zip(_history(state, "steps"), _history(state, "changes"), strict=True))
    curvatures = [_dot(step, change) for step, change in pairs]
    direction, shares = state.gradients.neg(), []
    inverses = [
        torch.where((curvature > 0) & (age < state.values["history_size"]), 1 / curvature, 0.0)
        for age, curvature in enumerate(curvatures)
    ]
    for (step, change), inverse in zip(pairs, inverses, strict=True):
        shares.append(inverse * _dot(step, direction))
        direction.addcmul_(change, shares[-1], value=-1.0)
    newest = pairs[0][1]
    scale = curvatures[0] / _dot(newest, newest)
    direction.mul_(torch.where(curvatures[0] > 0, scale, 1.0))
    backward = list(zip(pairs, inverses, shares, strict=True))[::-1]
    for (step, change), inverse, share in backward:
        direction.addcmul_(step, share - inverse * _dot(change, direction))
    return direction


def _history(state: State, name: str) -> Sequence[Tensor]:
    """Return views of a buffer, each (lanes, parameters), the newest first."""
    return state.buffers[name].view(-1, PAIRS, state.parameters.shape[1]).unbind(1)


def _push(history: Sequence[Tensor], newest: Tensor, learns: Tensor) -> None:
    """Shift the history by one and put the newest first, in the lanes that learn."""
    for age in range(PAIRS - 1, 0, -1):
        torch.where(learns, history[age - 1], history[age], out=history[age])
    torch.where(learns, newest, history[0], out=history[0])


def _dot(one: Tensor, other: Tensor) -> Tensor:
    return (one * other).sum(1, keepdim=True)


def _widths(described: ParameterTensors) -> Mapping[str, int]:
    return dict.fromkeys(("steps", "changes"), PAIRS * sum(tensor.size for tensor in described))


LBFGS = Optimizer(
    hyperparameters={
        "lr": log_range(1e-2, 3.0),  # around the usual 1; a quadratic allows up to 2
        "history_size": Hyperparameter(default=PAIRS, low=1.0, high=PAIRS, high_open=False),
    },
    buffers=("last_step", "last_gradient"),
    counters=("step",),
    widths=_widths,
    update=_lbfgs,
    coupled_decay=True,
)
