"""How many lanes race together and how many are computed together, where the study says auto.

A fixed rule of the model's size, the batch size and the kind of device: it is written into the
study, and no measured time enters it. The numbers come from `tests/benchmarks/engine.py`.
"""

from dataclasses import dataclass
from typing import Literal

import torch

from study.config.sections import LaneLimit
from study.config.study import StudyConfig
from study.errors import StudyError

Kind = Literal["cpu", "cuda"]

COHORT_LANES = {"cpu": 32, "cuda": 128}
STATE_BYTES = {"cpu": 2**30, "cuda": 2**32}
"""Most memory for the parameters, gradients and optimizer state of a cohort."""
PACK = {"cpu": LaneLimit(lanes=32, examples=1024), "cuda": LaneLimit(lanes=128, examples=65_536)}
PACK_FLOPS = {"cpu": 2**26, "cuda": 2**36}
"""Most work in one packed forward pass: past it one lane keeps a core busy and its cache full."""
DYNAMICS_LANES = 64
_TENSORS = 3  # parameters, gradients, and the batch's own intermediate results
_OF_A_ROUND = 2  # where it started, and the clients' mean change so far
_BYTES = 4


@dataclass(frozen=True, slots=True)
class ModelSize:
    """How large a model is.

    Attributes:
        parameters: trainable numbers, >= 1.
        flops: floating-point operations of a forward pass for one example, >= 1.
        buffers: tensors of the optimizer's state, each as large as the parameters; one for those
            that have none, so that all momentum rules race in the same cohorts.
    """

    parameters: int
    flops: int
    buffers: int = 1


@dataclass(frozen=True, slots=True)
class Device:
    """What cohorts will be computed on.

    Attributes:
        kind: cpu or cuda.
        share: of a GPU, for each worker.
    """

    kind: Kind = "cpu"
    share: float = 0.0

    def state_bytes(self) -> int:
        """Gives the most memory for a cohort's state: on a GPU here, a quarter of what is free."""
        if self.kind == "cpu" or not torch.cuda.is_available():
            return STATE_BYTES[self.kind]
        free, _ = torch.cuda.mem_get_info()
        return int(free * min(self.share, 1.0) / 4)


def check_gpus(per_worker: float) -> None:
    """Refuses GPUs that this machine does not have; Ray by itself would wait for them for ever.

    Args:
        per_worker: share of a GPU that each worker gets, finite and >= 0.

    Raises:
        StudyError: there are not as many.
    """
    there = torch.cuda.device_count() if per_worker else 0
    if per_worker > there:
        raise StudyError(
            f"--gpus-per-worker must not exceed the GPUs of this machine, {there}, got "
            f"{per_worker:g}; lower it, or join a cluster that has them with --address"
        )


def cohort_lanes(config: StudyConfig, size: ModelSize | None, device: Device) -> LaneLimit:
    """Gives the number of trials that race together.

    Args:
        config: the study file, with defaults.
        size: the model's; None for a workload of own dynamics.
        device: what computes them.

    Returns:
        What the study says, or as many as the device gains from and holds.
    """
    asked = _asked(config.race.cohort)
    if asked is not None:
        return asked
    if size is None:
        return LaneLimit(lanes=DYNAMICS_LANES)
    tensors = _TENSORS + size.buffers + (0 if config.federated is None else _OF_A_ROUND)
    held = device.state_bytes() // (tensors * _BYTES * size.parameters)
    return LaneLimit(lanes=max(1, min(COHORT_LANES[device.kind], held)))


def pack_lanes(config: StudyConfig, size: ModelSize | None, device: Device) -> LaneLimit:
    """Gives the number of lanes that are computed together.

    Args:
        config: the study file, with defaults.
        size: the model's; None for a workload of own dynamics.
        device: what computes them.

    Returns:
        What the study says, or the most that pays on this kind of device.
    """
    asked = _asked(config.compute.pack)
    if asked is not None:
        return asked
    if size is None:
        return LaneLimit(lanes=DYNAMICS_LANES)
    most = PACK[device.kind]
    busy = max(1, PACK_FLOPS[device.kind] // size.flops)
    return LaneLimit(lanes=most.lanes, examples=min(most.examples or busy, busy))


def _asked(lanes: object) -> LaneLimit | None:
    if isinstance(lanes, int):
        return LaneLimit(lanes=lanes)
    return lanes if isinstance(lanes, LaneLimit) else None
