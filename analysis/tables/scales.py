"""The scales of searched ranges: the coordinates in which they are sampled evenly.

Shallue et al. 2018 search momentum on the reverse-log scale, on which 1 - value is log-uniform.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True)
class Scale:
    """A scale: a coordinate that increases with the values between `above` and `below`."""

    forward: Callable[[Floats], Floats]
    inverse: Callable[[Floats], Floats]
    above: float = -math.inf
    below: float = math.inf

    def allows(self, low: float, high: float) -> bool:
        """Return whether all values from `low` to `high` are in the domain."""
        return self.above < low and high < self.below


SCALES: Mapping[str, Scale] = {
    "linear": Scale(forward=np.positive, inverse=np.positive),
    "log": Scale(forward=np.log, inverse=np.exp, above=0.0),
    "reverse-log": Scale(
        forward=lambda values: -np.log1p(-values),
        inverse=lambda coordinates: -np.expm1(-coordinates),
        below=1.0,
    ),
}
"""Scales by name in study files."""


def positions(values: ArrayLike, entry: Mapping[str, Any]) -> Floats:
    """Return the positions of values in a range on its scale: 0 at `low`, 1 at `high`.

    Args:
        values: values of a hyperparameter, any shape.
        entry: the range: low, high, scale.

    >>> positions([1e-4, 1e-2, 1.0], {"low": 1e-4, "high": 1.0, "scale": "log"}).tolist()
    [0.0, 0.5, 1.0]
    """
    forward = SCALES[entry["scale"]].forward
    low, high = forward(np.array([entry["low"], entry["high"]], dtype=np.float64))
    return np.asarray((forward(np.asarray(values, dtype=np.float64)) - low) / (high - low))
