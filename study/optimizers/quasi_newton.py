"""L-BFGS: each step is turned by what the last steps and gradients tell of the curvature.

Liu and Nocedal 1989, as `torch.optim.LBFGS(max_iter=1, tolerance_grad=0, tolerance_change=0)`
without line search: one gradient per step, and a history that stays from step to step.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from study.config.space import Hyperparameter
from study.optimizers.momentum import searched_on_log_scale
from study.optimizers.parameters import ParameterTensors
from study.optimizers.update_rule import Optimizer, State

PAIRS = 10
"""Steps and changes of the gradient that are kept: 20 numbers per parameter."""
_LEAST_CURVATURE = 1e-10


def _lbfgs(state: State) -> None:
    """P <- p + lr d, d = -H g; at first d = -g min(1, 1 / |g|_1).

    Of a step s and the change of the gradient y over it, H learns where y's > 1e-10. A gradient of
    zero is no step.
    """
    gradients, buffers = state.gradients, state.buffers
    last, before = buffers["last_step"], buffers["last_gradient"]
    moves = (gradients != 0).any(1, keepdim=True)
    first = buffers["step"].add_(moves) == 1
    change = gradients - before
    learns = moves & (_dot(last, change) > _LEAST_CURVATURE)
    _keep(_kept(state, "steps"), last, learns)
    _keep(_kept(state, "changes"), change, learns)
    shortened = (1 / gradients.abs().sum(1, keepdim=True)).clamp_(max=1.0)
    step = _direction(state).mul_(state.values["lr"] * torch.where(first, shortened, 1.0))
    torch.where(moves, gradients, before, out=before)
    torch.where(moves, step, last, out=last)
    state.parameters.add_(step)


def _direction(state: State) -> Tensor:
    """Return -H g, (lanes, parameters), by the recursion over the pairs, the newest first."""
    pairs = list(zip(_kept(state, "steps"), _kept(state, "changes"), strict=True))
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


def _kept(state: State, name: str) -> Sequence[Tensor]:
    """Return views of a buffer, each (lanes, parameters), the newest first."""
    return state.buffers[name].view(-1, PAIRS, state.parameters.shape[1]).unbind(1)


def _keep(kept: Sequence[Tensor], newest: Tensor, learns: Tensor) -> None:
    """Move all one place on and put the newest in front, in the lanes that learn."""
    for age in range(PAIRS - 1, 0, -1):
        torch.where(learns, kept[age - 1], kept[age], out=kept[age])
    torch.where(learns, newest, kept[0], out=kept[0])


def _dot(one: Tensor, other: Tensor) -> Tensor:
    return (one * other).sum(1, keepdim=True)


def _widths(described: ParameterTensors) -> Mapping[str, int]:
    return dict.fromkeys(("steps", "changes"), PAIRS * sum(tensor.size for tensor in described))


LBFGS = Optimizer(
    hyperparameters={
        "lr": searched_on_log_scale(1e-2, 3.0),  # around its 1; a quadratic allows 2
        "history_size": Hyperparameter(default=PAIRS, low=1.0, high=PAIRS, high_open=False),
    },
    buffers=("last_step", "last_gradient"),
    counters=("step",),
    widths=_widths,
    update=_lbfgs,
    coupled_decay=True,
)
