"""Optimizers, functional and vectorised over lanes: one table, open to entry points.

An entry point of the group `batchscale.optimizers` gives an :class:`Optimizer`.
"""

from study.optimizers.registry import OPTIMIZERS, optimizer_named
from study.optimizers.update_rule import Optimizer, Shapes, State, Step

__all__ = ["OPTIMIZERS", "Optimizer", "Shapes", "State", "Step", "optimizer_named"]
