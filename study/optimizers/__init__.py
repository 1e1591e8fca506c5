"""Optimizers, functional and vectorized over lanes: a table that entry points extend.

An entry point in the group `batchscale.optimizers` refers to an :class:`Optimizer`.
"""

from study.optimizers.parameters import ParameterTensor, ParameterTensors, Role
from study.optimizers.registry import OPTIMIZERS, optimizer_named, schedule_named
from study.optimizers.update_rule import Optimizer, State, Step

__all__ = [
    "OPTIMIZERS",
    "Optimizer",
    "ParameterTensor",
    "ParameterTensors",
    "Role",
    "State",
    "Step",
    "optimizer_named",
    "schedule_named",
]
