"""Averaged weights: exponential moving averages of the weights of several lanes.

After every step a <- d a + (1 - d) w, from the initial weights on, so that early averages lag
behind. Batch statistics are averaged in the same way, since those of the trained weights do not fit
to averaged ones. Training never sees an average.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch
from torch import Tensor

from study.engine.networks.interface import Networks
from study.engine.networks.training import copy_into
from study.records import Floats


class Averages:
    """The averages of the weights of several lanes, which start at the weights."""

    def __init__(self, networks: Networks, decays: Floats) -> None:
        """Start at step 0; `decays` has shape (lanes,), each in [0, 1)."""
        self._networks = networks
        self._means = [tensor.clone() for tensor in self._tensors]
        rates = torch.from_numpy(1.0 - decays)
        self._rates = [rates.to(mean).view(-1, *[1] * (mean.dim() - 1)) for mean in self._means]

    @property
    def _tensors(self) -> list[Tensor]:
        return [self._networks.parameters, *self._networks.statistics]

    def update(self) -> None:
        """Take in the weights after a step."""
        for mean, now, rate in zip(self._means, self._tensors, self._rates, strict=True):
            mean.lerp_(now, rate)

    def in_place(self) -> AbstractContextManager[None]:
        """Put the averages in the place of the weights while the body runs."""
        return in_place(self._tensors, self._means)

    def keep(self, lanes: Tensor) -> None:
        """Keep the lanes of these indices, in this order."""
        self._means = [mean[lanes] for mean in self._means]
        self._rates = [rate[lanes] for rate in self._rates]

    def state(self) -> dict[str, Any]:
        """Return the averages."""
        return {"means": self._means}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Restore the averages of the same lanes."""
        for mean, values in zip(self._means, state["means"], strict=True):
            copy_into(mean, values)


@contextmanager
def in_place(tensors: Sequence[Tensor], means: Sequence[Tensor]) -> Iterator[None]:
    """Put averages in the place of tensors while the body runs."""
    trained = [tensor.clone() for tensor in tensors]
    try:
        for tensor, mean in zip(tensors, means, strict=True):
            tensor.copy_(mean)
        yield
    finally:
        for tensor, own in zip(tensors, trained, strict=True):
            tensor.copy_(own)
