"""A program's inputs: values for its placeholders, and its environment."""

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from study.config.study import ResolvedStudy
from study.records import Cohort, Point
from workloads.command import Command

_NUMBERS = ("batch_size", "micro_batch", "seed", "max_steps", "max_examples")


def placeholder_values(
    resolved: ResolvedStudy, cohort: Cohort, index: int, checkpoint: Path
) -> dict[str, str]:
    """Return the values of a trial's placeholders; floats round-trip through Python."""
    size, point = cohort.batch_size, cohort.points[index]
    budget = resolved.budget(size)
    return {name: repr(float(value)) for name, value in point.values.items()} | {
        "batch_size": str(size),
        "micro_batch": str(min(size, resolved.micro_batch or size)),
        "seed": str(point.seed % 2**31),
        "max_steps": str(budget),
        "max_examples": str(budget * size),
        "checkpoint": str(checkpoint),
        "python": sys.executable,
    }


def environment(
    command: Command, point: Point, values: Mapping[str, str], slot: int
) -> dict[str, str]:
    """Return a program's environment: the worker's, batchscale's, and the workload's own variables.

    `slot` is the worker's slot that it runs in, from 0.
    """
    trial: dict[str, object] = {name: int(values[name]) for name in _NUMBERS}
    trial |= {"hyperparameters": dict(point.values), "checkpoint": values["checkpoint"]}
    return {
        **os.environ,
        "OMP_NUM_THREADS": str(command.options.cpus),
        "CUDA_VISIBLE_DEVICES": _devices(command.options.gpus, slot),
        "PYTHONUNBUFFERED": "1",  # else measurements wait in Python's buffer
        "BATCHSCALE_TRIAL": json.dumps(trial),
        **command.environment(values),
    }


def _devices(gpus: float, slot: int) -> str:
    """Return the slot's share of the worker's GPUs, as CUDA_VISIBLE_DEVICES."""
    if not gpus:
        return ""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    first, count = int(slot * gpus), max(1, int(gpus))
    names = visible.split(",") if visible else [str(n) for n in range(first + count)]
    return ",".join(names[first : first + count])
