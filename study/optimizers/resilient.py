"""Rprop: each parameter has its own step width, and only the sign of its gradient counts.

Riedmiller and Braun 1993, in torch's form: a width grows while the sign is unchanged; when it
changes, the width shrinks and the parameter does not move. The learning rate is the initial width.
"""

import torch

from study.config.space import Hyperparameter
from study.optimizers.adaptive import LR
from study.optimizers.momentum import positive
from study.optimizers.update_rule import Optimizer, State


def _rprop(state: State) -> None:
    values, last, width = state.values, state.buffers["last_gradient"], state.buffers["width"]
    first = state.buffers["step"].add_(1) == 1
    width.add_(torch.where(first, values["lr"], 0.0))
    agreement = last.mul_(state.gradients)
    stays = torch.where(agreement > 0, values["grow"], 1.0)
    factor = torch.where(agreement < 0, values["shrink"], stays)
    torch.clamp(width.mul_(factor), values["min_step"], values["max_step"], out=width)
    state.gradients.masked_fill_(agreement < 0, 0.0)
    state.parameters.addcmul_(state.gradients.sign(), width, value=-1.0)
    last.copy_(state.gradients)


RPROP = Optimizer(
    hyperparameters={
        "lr": LR,
        "shrink": Hyperparameter(default=0.5, low=0.0, high=1.0, low_open=True),
        "grow": Hyperparameter(default=1.2, low=1.0),
        "min_step": positive(1e-6),
        "max_step": positive(50.0),
    },
    buffers=("last_gradient", "width"),
    counters=("step",),
    update=_rprop,
    coupled_decay=True,
)
