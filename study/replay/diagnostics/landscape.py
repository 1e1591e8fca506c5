"""The loss along random directions through a solution, and on the line between two of them.

After Li et al. 2018 (arXiv:1712.09913): a direction is Gaussian, with each filter (a row of a
weight) scaled to the norm of the same filter of the weights, and zero for biases and gains. On a
line between two solutions the batch statistics are interpolated with the weights.
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
"""Positions along each direction, in filter norms."""
BETWEEN = np.linspace(-0.5, 1.5, 61)
"""Positions on the line: 0 is the solution at the smaller batch size, 1 the one at the larger."""
_EXAMPLES = 2_048
"""Examples of the sample that are used, because there are thousands of positions."""


def along(network: Network) -> Iterable[Row]:
    """Return the training loss along random directions, as the mean over them with an interval."""
    center, examples = network.weights.parameters, _examples(network)
    directions = [_direction(network, number) for number in range(DIRECTIONS)]
    for x in EXTENT:
        losses = np.array([network.measured(center + x * d, examples)[0] for d in directions])
        columns = {"x": x, "examples": examples.size, "samples": DIRECTIONS}
        mean, far = float(losses.mean()), float(reach(losses))
        yield row("train_loss", mean, variant="line", far=far, **columns)


def plane(network: Network) -> Iterator[Row]:
    """Yield the training loss over the plane of two random directions."""
    center, examples = network.weights.parameters, _examples(network)
    first, second = (_direction(network, number) for number in (0, 1))
    for x in EXTENT:
        for y in EXTENT:
            loss, _ = network.measured(center + x * first + y * second, examples)
            yield row("train_loss", loss, variant="plane", x=x, y=y, examples=examples.size)


def between(one: Network, other: Network) -> Iterator[Row]:
    """Yield losses and errors on the line from one solution to the other, as rows of `one`."""
    examples, start, end = _examples(one), one.weights, other.weights
    for x in BETWEEN:
        buffers = {name: _mixed(start.buffers[name], end.buffers[name], x) for name in end.buffers}
        one.use(start.parameters, buffers)
        flat = torch.lerp(start.parameters, end.parameters, float(x))
        for split, given in (("train", examples), ("val", one.sample.validation)):
            variant, both = f"to B = {other.trial.batch_size}", one.measured(flat, given)
            for quantity, value in zip(("loss", "error"), both, strict=True):
                yield row(f"{split}_{quantity}", value, variant=variant, x=x, examples=given.size)


def _examples(network: Network) -> Examples:
    return network.sample.train.rows(slice(0, _EXAMPLES))


def _mixed(one: Tensor, other: Tensor, x: float) -> Tensor:
    """Return a buffer between two; an integer buffer, such as a count, of the nearer end."""
    if not one.is_floating_point():
        return one if x < 0.5 else other
    return torch.lerp(one, other, float(x))


def _direction(network: Network, number: int) -> Tensor:
    """Return a random direction with the filter norms of the weights, (parameters,)."""
    source, flat = generator(network.seed("landscape"), f"{number}"), network.weights.parameters
    direction = torch.randn(len(flat), generator=source).to(flat)
    pieces, weights = (network.layout.unflatten(tensor) for tensor in (direction, flat))
    for name, piece in pieces.items():  # views, so that the direction changes with them
        if piece.dim() < 2:  # a bias or a gain
            piece.zero_()
            continue
        norm, own = (tensor.flatten(1).norm(dim=1) for tensor in (weights[name], piece))
        piece.mul_((norm / (own + 1e-10)).view(-1, *[1] * (piece.dim() - 1)))
    return direction
