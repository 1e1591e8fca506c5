"""How many lanes race together, and how many are computed together, if the study says auto.

Both follow from the model's size, the batch size and the kind of device alone, not from measured
times, and are written into the study. The constants come from `tests/benchmarks/steps/packs.py`.
"""

import sys
from dataclasses import dataclass
from typing import Literal

import torch

from study.config.sections import LaneLimit
from study.config.study import StudyConfig
from study.errors import StudyError
from study.search.samplers import shared_search

Kind = Literal["cpu", "cuda"]

COHORT_LANES = {"cpu": 32, "cuda": 128}
STATE_BYTES = {"cpu": 2**30, "cuda": 2**32}
"""Upper bound on a cohort's parameters, gradients and optimizer state."""
PACK_LANES = {"cpu": 32, "cuda": 128}
PACK_EXAMPLES = {"cpu": 2**14, "cuda": 2**16}
PACK_FLOPS = {"cpu": 2**29, "cuda": 2**38}
"""Operations of a packed forward pass beyond which a single lane keeps the device busy.

On a CPU packs grow with the square root above 16 lanes, because their intermediate results leave
the cache. A step then takes at most 10 % longer than in the best pack, for all built-in models
measured (`tests/benchmarks/README.md`, "Packs"). Twice the operations, or the root above eight
lanes, make packs of `digits-cnn` too large at 512."""
CONVOLUTION_FLOPS = 2**36
CONVOLUTION_LANES = 16
"""The same on a GPU for a convolutional model, and the fewest lanes that pay off.

cuDNN computes the convolutions of one lane after another, each more slowly than alone; a pack saves
time in the rest of the step (`tests/benchmarks/README.md`, "On a GPU")."""
PACK_STATE_BYTES = 2**23
"""Parameters, gradients and momentum of a pack on a CPU, so that they stay in the cache.

It limits models that do little but read and write them; without it a fully connected network at
B = 1 takes 1.6 (119,000 parameters) to 3.9 times (814,000) the time of the best pack."""
_MEMORY_BOUND = 16
"""Operations per example and parameter, in a forward pass, below which a model is memory-bound."""
DYNAMICS_LANES = 64
ROUND_LANES = 16
"""Most lanes where batch sizes learn from each other: 64 trials are then four rounds."""
_TENSORS = 3  # parameters, gradients, and the batch's own intermediate results
_FEDERATED_TENSORS = 2  # the common model, and the clients' mean change so far
_BYTES = 4


@dataclass(frozen=True, slots=True)
class ModelSize:
    """The size of a model."""

    parameters: int  # trainable ones, >= 1
    flops: int  # floating-point operations of a forward pass for one example, >= 1
    # of the optimizer, in units of the parameters' size; one for SGD too, so that its cohorts are
    # as large as those of momentum optimizers
    buffers: int = 1
    convolutional: bool = False  # whether most operations are convolutions


@dataclass(frozen=True, slots=True)
class Device:
    """The device that computes cohorts: the CPU, or a share of a GPU per worker."""

    kind: Kind = "cpu"
    share: float = 0.0

    def state_bytes(self) -> int:
        """Return the bytes for a cohort's state: on a GPU, a quarter of the free memory."""
        if self.kind == "cpu" or not torch.cuda.is_available():
            return STATE_BYTES[self.kind]
        free, _ = torch.cuda.mem_get_info()
        return int(free * min(self.share, 1.0) / 4)


def check_gpus(per_worker: float) -> None:
    """Refuse more GPUs per worker than this machine has; Ray itself would wait forever."""
    available = torch.cuda.device_count() if per_worker else 0
    if per_worker > available:
        raise StudyError(
            f"--gpus-per-worker must not exceed the GPUs of this machine, {available}, got "
            f"{per_worker:g}; lower it, or join a cluster that has them with --address"
        )


def cohort_lanes(config: StudyConfig, size: ModelSize | None, device: Device) -> LaneLimit:
    """Return how many trials race together: as the study says, or as many as fit on the device.

    `size` is None for a workload with its own dynamics.
    """
    given = _given(config.race.cohort)
    if given is not None:
        return given
    most = sys.maxsize if shared_search(config.search.sampler) is None else ROUND_LANES
    if size is None:
        return LaneLimit(lanes=min(most, DYNAMICS_LANES))
    tensors = _TENSORS + size.buffers + (0 if config.federated is None else _FEDERATED_TENSORS)
    held = device.state_bytes() // (tensors * _BYTES * size.parameters)
    return LaneLimit(lanes=max(1, min(most, COHORT_LANES[device.kind], held)))


def pack_lanes(config: StudyConfig, size: ModelSize | None, device: Device) -> LaneLimit:
    """Return how many lanes are computed together: as the study says, or as many as pay off.

    `size` is None for a workload with its own dynamics.
    """
    given = _given(config.compute.pack)
    if given is not None:
        return given
    if size is None:
        return LaneLimit(lanes=DYNAMICS_LANES)
    kind = device.kind
    if kind == "cuda" and size.convolutional:
        examples = min(PACK_EXAMPLES[kind], max(1, CONVOLUTION_FLOPS // size.flops))
        return LaneLimit(lanes=PACK_LANES[kind], examples=examples, least=CONVOLUTION_LANES)
    examples = min(PACK_EXAMPLES[kind], max(1, PACK_FLOPS[kind] // size.flops))
    lanes = PACK_LANES[kind]
    if kind == "cpu" and size.flops < _MEMORY_BOUND * size.parameters:
        held = PACK_STATE_BYTES // (_TENSORS * _BYTES * size.parameters)
        lanes = min(lanes, 1 << max(0, held.bit_length() - 1))
    return LaneLimit(lanes=lanes, examples=examples, gradual=kind == "cpu" or None)


def _given(lanes: object) -> LaneLimit | None:
    if isinstance(lanes, int):
        return LaneLimit(lanes=lanes)
    return lanes if isinstance(lanes, LaneLimit) else None
