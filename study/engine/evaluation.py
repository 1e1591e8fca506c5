"""Measurements of the models of several lanes on the splits that nothing is trained on."""

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

On a CPU activations should stay in the cache; on a GPU those of a deep network must fit into its
memory, beside other workers."""
LOADED_AT_ONCE = 512
"""The same of examples that are loaded one by one, and so are not in memory already."""


class Evaluation:
    """Measures the models of several lanes, in portions of the examples that fit into memory.

    Attributes:
        portion: examples in one pass.
        tests: whether there is a test split.
    """

    def __init__(self, loaded: LoadedWorkload, networks: Networks) -> None:
        """Set the portion for as many lanes as there are now."""
        self._loaded, self._networks, self._device = loaded, networks, loaded.device
        self._splits, self.tests = loaded.data.splits, loaded.data.test is not None
        at_once = max(1, EXAMPLES_PER_EVALUATION[self._device.type] // len(networks.parameters))
        validation = self._splits["validation"]
        if not validation.tensors:
            at_once = min(at_once, LOADED_AT_ONCE)
        self.portion = (
            MicroBatch(max(at_once, validation.size), minimum=validation.size)
            if loaded.whole
            else MicroBatch(at_once)
        )

    def validation(self, lanes: Tensor) -> NDArray[np.float64]:
        """Return loss, error and further quantities of lanes, checked, shape (2 + more, lanes)."""
        split = self._splits["validation"]
        versions = [tensor._version for tensor in split.tensors]
        measured = self.portion.run(partial(self._together, split, lanes))
        if versions != [tensor._version for tensor in split.tensors]:
            raise WorkloadError(
                "the validation examples must not change, but the workload wrote into them during "
                "a measurement; compute new tensors instead of changing them in place"
            )
        finite = measured[1][np.isfinite(measured[1])]
        for error in (finite.min(initial=0.0), finite.max(initial=0.0)):
            sound_error(self._loaded.workload.target, float(error))
        return measured

    def errors(self, split: str, lanes: Tensor, chosen: NDArray[np.bool_]) -> Floats:
        """Return the error on a split of the lanes where `chosen` is True, NaN of others."""
        errors = np.full(len(lanes), np.nan)
        for place in np.flatnonzero(chosen):
            # few lanes end at a time, and each number of lanes needs a trace
            alone = partial(self._measured, self._splits[split], lanes[place : place + 1])
            errors[place] = self.portion.run(alone)[1, 0]
        return errors

    def _together(self, split: Split, lanes: Tensor, size: int) -> NDArray[np.float64]:
        """Return what is measured of lanes, fewer at once where examples cannot be split."""
        most = max(1, EXAMPLES_PER_EVALUATION[self._device.type] // min(size, split.size))
        if len(lanes) <= most:
            every = len(lanes) == len(self._networks.parameters)
            return self._measured(split, None if every else lanes, size)
        parts = [self._measured(split, some, size) for some in torch.split(lanes, most)]
        return np.concatenate(parts, axis=1)

    def _measured(self, split: Split, lanes: Tensor | None, size: int) -> NDArray[np.float64]:
        count = len(self._networks.parameters) if lanes is None else len(lanes)
        rows = 2 + len(self._loaded.quantities)
        total = torch.zeros(rows, count, device=self._device, dtype=torch.float64)
        size = split.size if self._loaded.whole else size
        for start in range(0, split.size, size):
            part = split.rows(slice(start, start + size)).to(self._device)
            total += self._networks.evaluate(part, lanes) * part.size
        measured: NDArray[np.float64] = (total / split.size).cpu().numpy()
        return measured
