"""The workloads that come with batchscale. `table` lists them without importing them."""

from collections.abc import Mapping
from typing import Any


def momentum_space(lr: tuple[float, float], highest_momentum: float = 0.99) -> Mapping[str, Any]:
    """Return a search space: `lr` on a log scale, momentum from 0 and uniform in log(1 - momentum).

    The scales are those of Shallue et al. 2018.
    """
    low, high = lr
    return {
        "lr": {"low": low, "high": high, "scale": "log"},
        "momentum": {"low": 0.0, "high": highest_momentum, "scale": "reverse-log"},
    }
