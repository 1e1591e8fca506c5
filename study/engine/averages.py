"""Averaged weights: moving averages of the weights of several lanes.

After every step a <- a + r (w - a). An exponential moving average of decay d has r = 1 - d; it
counts the initial weights, so early averages lag behind. A tail average has an r that falls with
the step (`tail_rate`) and does not count the initial weights. Batch statistics are averaged too,
since those of the trained weights do not fit averaged ones. Training never sees an average.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch
from torch import Tensor

from study.engine.networks import Networks
from study.engine.networks.training import copy_into
from study.optimizers.hyperparameters import TAIL_AVERAGE
from study.records import Floats
from workloads.workload import tail_rate


class Averages:
    """Averages of the weights of several lanes, which start at the weights."""

    def __init__(self, networks: Networks, averaging: Mapping[str, Floats]) -> None:
        """Start at step 0; `averaging` gives decays or tail fractions, shape (lanes,)."""
        self._networks = networks
        self._means = [tensor.clone() for tensor in self._tensors]
        ((name, values),) = averaging.items()
        column = torch.from_numpy(values).to(networks.parameters.device)
        self._tails = column if name == TAIL_AVERAGE else None
        self._rates = self._shaped(1.0 - column)

    @property
    def _tensors(self) -> list[Tensor]:
        return [self._networks.parameters, *self._networks.statistics]

    def _shaped(self, rates: Tensor) -> list[Tensor]:
        """Return the lanes' rates once per tensor, in a shape that broadcasts to it."""
        return [rates.to(mean).view(-1, *[1] * (mean.dim() - 1)) for mean in self._means]

    def update(self, step: int) -> None:
        """Add the weights after `step` >= 1 steps to the averages."""
        if self._tails is not None:
            self._rates = self._shaped(tail_rate(self._tails, step))
        for mean, tensor, rate in zip(self._means, self._tensors, self._rates, strict=True):
            mean.lerp_(tensor, rate)

    def in_place(self) -> AbstractContextManager[None]:
        """Put the averages in place of the weights while the body runs."""
        return in_place(self._tensors, self._means)

    def keep(self, lanes: Tensor) -> None:
        """Keep the lanes with these indices, in this order."""
        self._means = [mean[lanes] for mean in self._means]
        self._rates = [rate[lanes] for rate in self._rates]
        if self._tails is not None:
            self._tails = self._tails[lanes]

    def state(self) -> dict[str, Any]:
        """Return the averages."""
        return {"means": self._means}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Restore the averages of the same lanes."""
        for mean, values in zip(self._means, state["means"], strict=True):
            copy_into(mean, values)


@contextmanager
def in_place(tensors: Sequence[Tensor], means: Sequence[Tensor]) -> Iterator[None]:
    """Put averages in place of tensors while the body runs."""
    trained = [tensor.clone() for tensor in tensors]
    try:
        for tensor, mean in zip(tensors, means, strict=True):
            tensor.copy_(mean)
        yield
    finally:
        for tensor, values in zip(tensors, trained, strict=True):
            tensor.copy_(values)
