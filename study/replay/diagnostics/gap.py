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
    measured = {name: _measured(network, examples) for name, examples in splits.items()}
    for index, quantity in enumerate(("loss", "error")):
        for name, (value, far) in measured.items():
            counts = {"examples": splits[name].size, "samples": min(PARTS, splits[name].size)}
            yield row(f"{name}_{quantity}", value[index], far=far[index], **counts)
        difference = measured["val"][0][index] - measured["train"][0][index]
        reach_of_gap = math.hypot(measured["val"][1][index], measured["train"][1][index])
        yield row(f"{quantity}_gap", difference, far=reach_of_gap)


def _measured(network: Network, examples: Examples) -> tuple[Floats, Floats]:
    """Return loss and error, (2,), and the half-widths of their 95 % intervals; NaN for none."""
    flat = network.weights.parameters
    value = np.array(network.measured(flat, examples))
    count = min(PARTS, examples.size)
    if network.loaded.whole or count < 2:
        return value, np.full(2, np.nan)
    size = examples.size // count
    parts = (examples.rows(slice(k * size, (k + 1) * size)) for k in range(count))
    return value, reach(np.array([network.measured(flat, part) for part in parts]))
