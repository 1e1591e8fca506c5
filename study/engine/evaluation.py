"""Measurements of several lanes' models on the splits that are not trained on."""

from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from study.engine.networks import Networks
from study.engine.networks.micro_batch import MicroBatch
from study.engine.networks.training import LoadedWorkload
from study.records import Floats
from workloads.errors import WorkloadError
from workloads.soundness import sound_error
from workloads.workload import Split

EXAMPLES_PER_EVALUATION = {"cpu": 16_384, "cuda": 65_536}
"""Examples x lanes in one evaluation pass.

On a CPU the activations should stay in the cache; on a GPU those of a deep network must fit into
its memory, beside other workers."""
LOADED_AT_ONCE = 512
"""The same for examples that are loaded one by one, and so are not in memory yet."""


class Evaluation:
    """Measurement of several lanes' models, on portions of the examples that fit into memory.

    Attributes:
        portion: examples in one pass.
        tests: whether there is a test split.
    """

    def __init__(self, loaded: LoadedWorkload, networks: Networks) -> None:
        """Set the portion for the present number of lanes."""
        self._loaded, self._networks, self._device = loaded, networks, loaded.device
        self._splits, self.tests = loaded.data.splits, loaded.data.test is not None
        size = max(1, EXAMPLES_PER_EVALUATION[self._device.type] // len(networks.parameters))
        validation = self._splits["validation"]
        if not validation.tensors:
            size = min(size, LOADED_AT_ONCE)
        minimum = validation.size if loaded.whole else 1
        self.portion = MicroBatch(max(size, minimum), minimum)

    def validation(self, lanes: Tensor) -> NDArray[np.float64]:
        """Return loss, error and further quantities of lanes, checked, (2 + further, lanes)."""
        split = self._splits["validation"]
        versions = self._loaded.data.versions
        measured = self.portion.run(partial(self._measure_in_groups, split, lanes))
        if versions != self._loaded.data.versions:
            raise WorkloadError(
                "the validation examples must not change, but the workload wrote into them during "
                "a measurement; compute new tensors instead of changing them in place"
            )
        finite = measured[1][np.isfinite(measured[1])]
        for error in (finite.min(initial=0.0), finite.max(initial=0.0)):
            sound_error(self._loaded.workload.target, float(error))
        return measured

    def errors(self, split: str, lanes: Tensor, chosen: NDArray[np.bool_]) -> Floats:
        """Return the error on a split for lanes where `chosen` is True, NaN for the others."""
        errors = np.full(len(lanes), np.nan)
        for place in np.flatnonzero(chosen):
            # one by one: few lanes end at a time, and each number of lanes needs its own trace
            measure = partial(self._measure, self._splits[split], lanes[place : place + 1])
            errors[place] = self.portion.run(measure)[1, 0]
        return errors

    def _measure_in_groups(self, split: Split, lanes: Tensor, size: int) -> NDArray[np.float64]:
        """Measure lanes, fewer at once if a portion of the examples cannot be small."""
        most = max(1, EXAMPLES_PER_EVALUATION[self._device.type] // min(size, split.size))
        if len(lanes) <= most:
            is_all = len(lanes) == len(self._networks.parameters)
            return self._measure(split, None if is_all else lanes, size)
        parts = [self._measure(split, group, size) for group in torch.split(lanes, most)]
        return np.concatenate(parts, axis=1)

    def _measure(self, split: Split, lanes: Tensor | None, size: int) -> NDArray[np.float64]:
        count = len(self._networks.parameters) if lanes is None else len(lanes)
        rows = 2 + len(self._loaded.quantities)
        total = torch.zeros(rows, count, device=self._device, dtype=torch.float64)
        size = split.size if self._loaded.whole else size
        for start in range(0, split.size, size):
            part = split.rows(slice(start, start + size)).to(self._device)
            total += self._networks.evaluate(part, lanes) * part.size
        measured: NDArray[np.float64] = (total / split.size).cpu().numpy()
        return measured
