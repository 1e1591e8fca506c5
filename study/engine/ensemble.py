"""All lanes of a cohort, in packs that are trained one after another."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from study.engine.lanes import GradientLanes
from study.records import Floats


class Ensemble:
    """All lanes of a cohort, in packs that are trained one after another."""

    def __init__(self, packs: Sequence[GradientLanes]) -> None:
        self._packs, self._numbers = list(packs), list(range(len(packs)))

    @property
    def parameters(self) -> Tensor:
        """Trainable parameters of the remaining lanes, shape (lanes, parameters)."""
        return torch.cat([pack.parameters for pack in self._packs])

    @property
    def quantities(self) -> tuple[str, ...]:
        """Names of the further quantities measured."""
        return self._packs[0].quantities

    @property
    def learning_rates(self) -> Tensor:
        """Learning rate of the next update of the remaining lanes, shape (lanes,)."""
        return torch.cat([pack.learning_rates for pack in self._packs])

    def measured_weights(self, place: int) -> tuple[Tensor, dict[str, Tensor]]:
        """Return a remaining lane's parameters, shape (parameters,), and buffers, as measured."""
        lanes = [(pack, lane) for pack in self._packs for lane in range(len(pack))]
        pack, lane = lanes[place]
        return pack.measured_weights(lane)

    @property
    def micro_batch(self) -> int:
        """Examples per forward and backward pass, the minimum over the packs."""
        return min(pack.micro_batch for pack in self._packs)

    def advance(self, steps: int) -> Floats:
        """Take `steps` >= 1 updates in every lane; return their mean training loss, (lanes,)."""
        return np.concatenate([pack.advance(steps) for pack in self._packs])

    def measure(self) -> tuple[Floats, ...]:
        """Return validation loss, error and further quantities of every lane, each (lanes,)."""
        every = zip(*(pack.measure() for pack in self._packs), strict=True)
        return tuple(np.concatenate(parts) for parts in every)

    def occasional_quantities(self, ending: NDArray[np.bool_]) -> dict[str, Floats]:
        """Return the quantities that not every measurement has, as in `GradientLanes`."""
        masks = zip(self._packs, self._split(ending), strict=True)
        parts = [pack.occasional_quantities(mask) for pack, mask in masks]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def keep(self, lanes: NDArray[np.bool_]) -> None:
        """Drop every lane where `lanes`, shape (lanes,), is False; the others keep their order."""
        kept = self._split(lanes)
        for pack, mask in zip(self._packs, kept, strict=True):
            if mask.any() and not mask.all():
                pack.keep(mask)
        self._keep_packs([place for place, mask in enumerate(kept) if mask.any()])

    def state(self) -> dict[str, Any]:
        """Return the state as tensors and plain values, which the next step overwrites."""
        return {"numbers": self._numbers, "packs": [pack.state() for pack in self._packs]}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Restore a state of the same lanes into newly built ones."""
        self._keep_packs(state["numbers"])
        for pack, saved in zip(self._packs, state["packs"], strict=True):
            pack.restore(saved)

    def adopt(self, state: Mapping[str, Any]) -> None:
        """Continue from the state of other lanes, packed alike, but with these lanes' batches."""
        for pack, saved in zip(self._packs, state["packs"], strict=True):
            pack.adopt(saved)

    def _split(self, lanes: NDArray[np.bool_]) -> list[NDArray[np.bool_]]:
        """Return each pack's part of a mask of lanes."""
        return np.split(lanes, np.cumsum([len(pack) for pack in self._packs])[:-1])

    def _keep_packs(self, places: Sequence[int]) -> None:
        self._packs = [self._packs[place] for place in places]
        self._numbers = [self._numbers[place] for place in places]
