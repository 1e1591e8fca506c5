"""The loss along random directions through a solution, and on the line between two of them.

After Li et al. 2018 (arXiv:1712.09913): a direction is Gaussian, each filter of it (a row of a
weight) as long as the filter of the weights, and zero for biases and gains. On a line between two
solutions the batch statistics are interpolated with the weights.
"""

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from torch import Tensor

from study.replay.diagnostics.intervals import reach
from study.replay.diagnostics.network import Network, Row, row
from study.seeding import generator
from workloads.workload import Examples

DIRECTIONS = 5
EXTENT = np.linspace(-1, 1, 25)
"""Places along each direction, in lengths of the filters."""
BETWEEN = np.linspace(-0.5, 1.5, 61)
"""Places on the line: 0 is the solution of the smaller batch size, 1 that of the larger."""
_MOST = 2_048
"""Examples of the sample that are used: there are thousands of places."""


def along(network: Network) -> Iterable[Row]:
    """Return the training loss along random directions: the mean over them, and its interval."""
    center, examples = network.weights.parameters, _some(network)
    directions = [_direction(network, number) for number in range(DIRECTIONS)]
    for x in EXTENT:
        losses = [network.measured(center + x * d, examples)[0] for d in directions]
        about = {"x": x, "examples": examples.size, "samples": DIRECTIONS}
        mean, far = float(np.mean(losses)), float(reach(np.array(losses)))
        yield row("train_loss", mean, variant="line", far=far, **about)


def plane(network: Network) -> Iterator[Row]:
    """Return the training loss over the plane of two random directions."""
    center, examples = network.weights.parameters, _some(network)
    first, second = (_direction(network, number) for number in (0, 1))
    for x in EXTENT:
        for y in EXTENT:
            loss, _ = network.measured(center + x * first + y * second, examples)
            yield row("train_loss", loss, variant="plane", x=x, y=y, examples=examples.size)


def between(one: Network, other: Network) -> Iterator[Row]:
    """Return losses and errors on the line from one solution to the other, as rows of the one."""
    examples, start, end = _some(one), one.weights, other.weights
    for x in BETWEEN:
        buffers = {name: _mixed(start.buffers[name], end.buffers[name], x) for name in end.buffers}
        one.use(start.parameters, buffers)
        flat = torch.lerp(start.parameters, end.parameters, float(x))
        for split, given in (("train", examples), ("val", one.sample.validation)):
            about = {"variant": f"to B = {other.trial.batch_size}", "x": x, "examples": given.size}
            for quantity, value in zip(("loss", "error"), one.measured(flat, given), strict=True):
                yield row(f"{split}_{quantity}", value, **about)


def _some(network: Network) -> Examples:
    return network.sample.train.rows(slice(0, _MOST))


def _mixed(one: Tensor, other: Tensor, x: float) -> Tensor:
    """Return a buffer between two; one that counts is of the nearer end."""
    if not one.is_floating_point():
        return one if x < 0.5 else other
    return torch.lerp(one, other, float(x))


def _direction(network: Network, number: int) -> Tensor:
    """Return a random direction, each filter as long as that of the weights, (parameters,)."""
    source, weights = generator(network.seed("landscape"), f"{number}"), network.weights.parameters
    gaussian = torch.randn(len(weights), generator=source).to(weights)
    pieces = network.layout.unflatten(gaussian)
    for piece, weight in zip(
        pieces.values(), network.layout.unflatten(weights).values(), strict=True
    ):
        if piece.dim() < 2:  # a bias or a gain
            piece.zero_()
            continue
        lengths = (w.flatten(1).norm(dim=1) for w in (weight, piece))
        scale = next(lengths) / (next(lengths) + 1e-10)
        piece.mul_(scale.view(-1, *[1] * (piece.dim() - 1)))
    return gaussian
