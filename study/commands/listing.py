"""Size of each workload's model, and how its lanes would be trained, found by building it."""

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
"""Batch size for which the lanes of a pack are given."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Built:
    """What building a workload has shown."""

    parameters: int | None  # trainable ones; None where it depends on the data
    lanes: str  # how they train at `BATCH_SIZE` on a CPU, or why they cannot


def built(entries: list[Entry]) -> Iterator[Built]:
    """Yield what building each workload with its default options shows, one after another."""
    for entry in entries:
        workload = resolve(entry.name)
        assert not isinstance(workload, Command)  # it has no entry
        if isinstance(workload, Dynamics):
            yield Built(parameters=None, lanes="its own dynamics")
            continue
        try:
            yield Built(parameters=_parameters(workload), lanes=_lanes(entry.name, workload))
        except WorkloadError:
            yield Built(parameters=_parameters(workload), lanes=_hindrance(entry.name, workload))


def _hindrance(name: str, workload: Workload) -> str:
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
