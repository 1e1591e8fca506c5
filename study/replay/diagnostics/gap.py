"""Training and validation error, and the gap between them, at equal target, steps and examples."""

import math
from collections.abc import Iterator

import numpy as np

from study.records import Floats
from study.replay.diagnostics.intervals import reach
from study.replay.diagnostics.network import Network, Row, row
from workloads.workload import Examples

PARTS = 32
"""Parts of the examples whose spread gives the interval of their mean."""


def gap(network: Network) -> Iterator[Row]:
    """Yield losses and errors of both splits and the gaps, with intervals over examples."""
    sample = network.sample
    splits = {"train": sample.train, "val": sample.validation}
    found = {name: _measured(network, examples) for name, examples in splits.items()}
    for place, quantity in enumerate(("loss", "error")):
        both = {name: (value[place], far[place]) for name, (value, far) in found.items()}
        for name, (value, far) in both.items():
            about = {"examples": splits[name].size}
            yield row(f"{name}_{quantity}", value, **_ends(value, far), **about)
        difference = both["val"][0] - both["train"][0]
        far = math.hypot(both["val"][1], both["train"][1])
        yield row(f"{quantity}_gap", difference, **_ends(difference, far))


def _measured(network: Network, examples: Examples) -> tuple[Floats, Floats]:
    """Return loss and error, (2,), and how far their 95 % intervals reach; NaN for no interval."""
    flat = network.weights.parameters
    value = np.array(network.measured(flat, examples))
    count = min(PARTS, examples.size)
    if network.loaded.whole or count < 2:  # noqa: PLR2004
        return value, np.full(2, np.nan)
    size = examples.size // count
    parts = np.array(
        [
            network.measured(flat, examples.rows(slice(k * size, (k + 1) * size)))
            for k in range(count)
        ]
    )
    return value, reach(parts)


def _ends(value: float, far: float) -> dict[str, float | int | None]:
    if math.isnan(far):
        return {}
    return {"low": value - far, "high": value + far, "samples": PARTS}
