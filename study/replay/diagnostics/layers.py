"""Norms of each layer's gradient and weights.

The ratio |g| / |w| of each layer motivated LARS (You, Gitman, Ginsburg 2017, arXiv:1708.03888,
section 4): if it differs much between layers, no single learning rate suits all of them.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from study.engine.data_order import DataOrder
from study.records import Floats
from study.replay.diagnostics.intervals import reach
from study.replay.diagnostics.network import Network, Row, row

BATCHES = 16
"""Mini-batches over which a gradient's norm is averaged, because one says little at B = 1."""


def layers(network: Network) -> Iterator[Row]:
    """Yield norms and ratios of each parameter tensor.

    Mini-batches are the next ones of the trial; the full gradient is over the sample, with batch
    statistics over batches of the trial's size.
    """
    size, examples = network.trial.batch_size, network.loaded.data.train.size
    order = DataOrder([network.trial.point.seed], examples, size, network.loaded.device)
    for _ in range(network.step):
        order.next()
    batches = [order.next()[0] for _ in range(BATCHES)]
    sampled = np.array([_norms(network, g) for g in network.gradients(batches, "layers")])
    indices = network.sample.indices
    whole = [indices]
    if network.loaded.indivisible:
        whole = list(torch.split(indices[: max(1, len(indices) // size) * size], size))
    full = sum(network.gradients(whole, "full gradient"), torch.zeros(())) / len(whole)
    columns = (
        network.layout.names,
        _norms(network, network.weights.parameters),
        sampled.mean(axis=0),
        reach(sampled),
        _norms(network, full),
    )
    for name, weight, gradient, far, exact in zip(*columns, strict=True):
        yield row("weight_norm", weight, variant=name)
        low, high = max(0.0, gradient - far), gradient + far
        ends: dict[str, Any] = {"low": low, "high": high, "samples": BATCHES}
        yield row("gradient_norm", gradient, variant=name, examples=BATCHES * size, **ends)
        about: dict[str, Any] = {"variant": name, "examples": len(indices)}
        yield row("full_gradient_norm", exact, **about)
        if weight > 0:  # some tensors are all zeros before the first update
            ends |= {"low": ends["low"] / weight, "high": ends["high"] / weight}
            yield row("ratio", gradient / weight, variant=name, examples=BATCHES * size, **ends)
            yield row("full_ratio", exact / weight, **about)


def _norms(network: Network, flat: Tensor) -> Floats:
    pieces = network.layout.unflatten(flat).values()
    return np.array([float(torch.linalg.vector_norm(piece.double())) for piece in pieces])
