"""A workload with made-up learning curves, for sweeps of very many trials at almost no cost.

Steps to target are S_min + E_min / B, times a factor for a poor learning rate; much too large a
learning rate diverges. `growth.py` sweeps it to fill a results folder with ten thousand trials.
"""

import numpy as np
from numpy.typing import NDArray

from workloads import LaneSetup, Target

START, TARGET = 0.9, 0.1
S_MIN, E_MIN = 60.0, 12_000.0

Floats = NDArray[np.float64]


class MadeUp:
    """Learning curves that fall exponentially, with some noise."""

    target = Target(TARGET)

    def lanes(self, setup: LaneSetup) -> "MadeUpLanes":
        """Return lanes at step 0."""
        rate = setup.hyperparameters["lr"] / (1 - setup.hyperparameters["momentum"])
        return MadeUpLanes(np.log(rate), S_MIN + E_MIN / setup.batch_size, setup.seeds)


class MadeUpLanes:
    """Lanes that know their curves."""

    def __init__(self, log_rate: Floats, fewest: float, seeds: NDArray[np.int64]) -> None:
        """Start at step 0; the best rate is 1, and from e^4 on lanes diverge after 20 steps."""
        self._needed = fewest * (1 + np.abs(log_rate) / 2)
        self._diverges = log_rate > 4
        self._noise = np.random.default_rng(seeds)
        self._step = 0

    def advance(self, steps: int) -> Floats:
        """Advance; return the training loss."""
        self._step += steps
        return self._loss()

    def measure(self) -> tuple[Floats, Floats]:
        """Return validation loss and error."""
        fallen = (TARGET / START) ** (self._step / self._needed)
        noise = np.exp(self._noise.normal(0, 0.02, self._needed.size))
        return self._loss(), np.minimum(START, START * fallen * noise)

    def keep(self, lanes: NDArray[np.bool_]) -> None:
        """Drop lanes."""
        self._needed, self._diverges = self._needed[lanes], self._diverges[lanes]

    def _loss(self) -> Floats:
        loss = 2.5 * (TARGET / START) ** (self._step / self._needed)
        return np.where(self._diverges & (self._step > 20), np.nan, loss)
