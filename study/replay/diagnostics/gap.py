"""Errors of the splits and the gap between them, at equal target, steps and examples."""

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
    """Yield losses and errors of every split and the gaps, with intervals over examples."""
    splits = network.sample.splits
    found = {name: _measured(network, examples) for name, examples in splits.items()}
    for place, quantity in enumerate(("loss", "error")):
        for name, (value, far) in found.items():
            about = {"examples": splits[name].size, "samples": min(PARTS, splits[name].size)}
            yield row(f"{name}_{quantity}", value[place], far=far[place], **about)
        difference = found["val"][0][place] - found["train"][0][place]
        doubt = math.hypot(found["val"][1][place], found["train"][1][place])
        yield row(f"{quantity}_gap", difference, far=doubt)


def _measured(network: Network, examples: Examples) -> tuple[Floats, Floats]:
    """Return loss and error, (2,), and how far their 95 % intervals reach; NaN for no interval."""
    flat = network.weights.parameters
    value = np.array(network.measured(flat, examples))
    count = min(PARTS, examples.size)
    if network.loaded.whole or count < 2:
        return value, np.full(2, np.nan)
    size = examples.size // count
    parts = np.array(
        [
            network.measured(flat, examples.rows(slice(k * size, (k + 1) * size)))
            for k in range(count)
        ]
    )
    return value, reach(parts)
