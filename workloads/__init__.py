"""What is trained: data set, model, loss, error and target. Knows no optimizer and no batch size."""

from workloads.workload import Data, Dynamics, Examples, Lanes, LaneSetup, Model, Target, Workload

__all__ = [
    "Data",
    "Dynamics",
    "Examples",
    "LaneSetup",
    "Lanes",
    "Model",
    "Target",
    "Workload",
]
