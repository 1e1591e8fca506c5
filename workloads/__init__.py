"""What is trained: data set, model, loss, error and target; no optimizer, no batch size."""

import importlib
from typing import TYPE_CHECKING, Any

from workloads.errors import WorkloadError

if TYPE_CHECKING:
    from workloads.items import Items
    from workloads.workload import (
        Data,
        Dynamics,
        Examples,
        Lanes,
        LaneSetup,
        Model,
        Target,
        Workload,
    )

DISTRIBUTION = "batchscale"
"""`batchscale.packages` recognizes our packages, among others of the same name, by this line."""

__all__ = [
    "Data",
    "Dynamics",
    "Examples",
    "Items",
    "LaneSetup",
    "Lanes",
    "Model",
    "Target",
    "Workload",
    "WorkloadError",
]


def __getattr__(name: str) -> Any:
    """Import the contract, and torch with it, on first use: listing workloads needs neither."""
    if name == "Items":
        return importlib.import_module("workloads.items").Items
    if name in __all__:
        return getattr(importlib.import_module("workloads.workload"), name)
    raise AttributeError(f"module 'workloads' has no attribute {name!r}")
