"""Fully connected networks, and families of them with equal numbers of parameters."""

from bisect import bisect_right
from collections.abc import Sequence
from itertools import pairwise

from torch import nn

from workloads.errors import WorkloadError
from workloads.models.layers import check_sizes, dropout_layers

TOLERANCE = 0.02
"""Largest relative difference from the requested number of parameters."""


def mlp(inputs: int, hidden: Sequence[int], classes: int, dropout: float = 0.0) -> nn.Sequential:
    """Return a fully connected ReLU network from flattened (examples, ...) to (examples, classes).

    `hidden` has the width of each hidden layer, and is empty for a linear network. Each hidden
    layer has the same `dropout`.

    Raises:
        WorkloadError: a width is below 1, or the dropout outside [0, 1).
    """
    if any(width < 1 for width in hidden):
        raise WorkloadError(f"`hidden` must give widths of at least 1, got {list(hidden)}")
    dropout_layers(dropout)  # refused even without hidden layers
    layers: list[nn.Module] = [nn.Flatten()]
    for before, after in pairwise([inputs, *hidden]):
        layers += [nn.Linear(before, after), nn.ReLU(), *dropout_layers(dropout)]
    return nn.Sequential(*layers, nn.Linear([inputs, *hidden][-1], classes))


def parameter_count(ends: tuple[int, int], width: int, depth: int) -> int:
    """Return the number of parameters of a network with `depth` >= 1 equal hidden layers."""
    inputs, classes = ends
    hidden = (depth - 1) * width * (width + 1)
    return (inputs + 1) * width + hidden + (width + 1) * classes


def width_for(ends: tuple[int, int], parameters: int, depth: int) -> int:
    """Return the width at which `depth` hidden layers give a number of parameters, within 2 %.

    Wide and deep networks are comparable at equal size (Chen et al. 2018). Of two widths that are
    equally close, the smaller is returned.

    Raises:
        WorkloadError: an argument is below 1, or no width is within 2 %.
    """
    check_sizes(parameters=parameters, depth=depth)
    widths = range(1, parameters + 1)
    below = bisect_right(widths, parameters, key=lambda width: parameter_count(ends, width, depth))
    counts = {width: parameter_count(ends, width, depth) for width in (max(1, below), below + 1)}
    width = min(counts, key=lambda width: abs(counts[width] - parameters))
    if abs(counts[width] - parameters) > TOLERANCE * parameters:
        near = " or ".join(f"{count:,} (width {width})" for width, count in counts.items())
        raise WorkloadError(
            f"`parameters` must be within {TOLERANCE:.0%} of what some width gives at depth "
            f"{depth}, got {parameters:,}, to which {near} come closest"
        )
    return width


def hidden_layers(
    ends: tuple[int, int],
    hidden: Sequence[int] | None,
    parameters: int | None,
    depth: int | None,
    default: Sequence[int],
) -> tuple[int, ...]:
    """Return the widths of the hidden layers that a workload's options ask for.

    These are `hidden` itself; or `depth` (None is 1) layers of equal width, such that the network
    has `parameters` weights and biases; or the default. `ends` are the sizes of input and output.

    Raises:
        WorkloadError: the options contradict one another, or have no solution.
    """
    if parameters is None:
        if depth is not None:
            raise WorkloadError(
                f"`depth` needs `parameters`, got {depth} alone; set `parameters`, or the widths "
                "themselves as `hidden`"
            )
        return tuple(default if hidden is None else hidden)
    if hidden is not None:
        raise WorkloadError(
            f"`parameters` and `hidden` exclude each other, got {parameters} and {list(hidden)}; "
            "remove one"
        )
    depth = 1 if depth is None else depth
    return (width_for(ends, parameters, depth),) * depth
