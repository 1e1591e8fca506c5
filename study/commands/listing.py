"""What building a workload shows: the size of its model, and how its lanes would train."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from study.config.study import StudyConfig
from study.engine.networks.training import fresh_model, load
from study.planning.admission import admit
from study.planning.dry_build import model_size
from study.planning.sizing import Device, pack_lanes
from workloads.command import Command
from workloads.errors import WorkloadError
from workloads.registry import Entry, resolve
from workloads.workload import Dynamics, Workload

BATCH_SIZE = 32
"""Batch size at which the lanes of a pack are counted."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Build:
    """What building a workload showed."""

    parameters: int | None  # trainable ones; None where it depends on the data
    lanes: str  # how they train at `BATCH_SIZE` on a CPU, or why they cannot


def build_each(entries: list[Entry]) -> Iterator[Build]:
    """Build each workload with its default options, and yield what that shows."""
    for entry in entries:
        workload = resolve(entry.name)
        assert not isinstance(workload, Command)  # it has no entry
        if isinstance(workload, Dynamics):
            yield Build(parameters=None, lanes="its own dynamics")
            continue
        try:
            lanes = _lanes(entry.name, workload)
        except WorkloadError:
            lanes = _obstacle(entry.name, workload)
        yield Build(parameters=_parameters(workload), lanes=lanes)


def _obstacle(name: str, workload: Workload) -> str:
    try:
        workload.data()
    except WorkloadError:
        return "needs files"
    return f"refused: `batchscale check {name}` says why"


def _parameters(workload: Workload) -> int | None:
    try:
        with torch.device("meta"):
            model = workload.model()
    except WorkloadError:
        return None  # the size depends on the data
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def _lanes(name: str, workload: Workload) -> str:
    loaded = load(workload, torch.device("cpu"))
    if reason := admit(loaded):
        return f"looped: {reason}"
    size = model_size(loaded, fresh_model(loaded, 0).eval())
    lanes = pack_lanes(StudyConfig(workload=name), size, Device()).at(BATCH_SIZE)
    return f"packed, {lanes} {'lane' if lanes == 1 else 'lanes'}"
