"""Fully connected networks, and families of them with one number of parameters."""

from bisect import bisect_right
from collections.abc import Sequence
from itertools import pairwise

from torch import nn

from workloads.errors import WorkloadError

TOLERANCE = 0.02
"""How far a network of a family may be from the number of parameters, as a fraction of it."""


def mlp(inputs: int, hidden: Sequence[int], classes: int, dropout: float = 0.0) -> nn.Sequential:
    """Gives a fully connected ReLU network that flattens its inputs.

    Args:
        inputs: numbers per example, >= 1.
        hidden: width of each hidden layer; none makes it linear.
        classes: number of logits.
        dropout: fraction of each hidden layer's outputs that training drops, in [0, 1).

    Returns:
        The network, from (examples, ...) to (examples, classes).

    Raises:
        WorkloadError: a hidden layer has no width, or everything would be dropped.
    """
    if any(width < 1 for width in hidden):
        raise WorkloadError(
            f"`hidden` must give widths of at least 1, got {list(hidden)}; raise or drop the rest"
        )
    if not 0 <= dropout < 1:
        raise WorkloadError(f"`dropout` must lie in [0, 1), got {dropout}; choose another")
    layers: list[nn.Module] = [nn.Flatten()]
    for before, after in pairwise([inputs, *hidden]):
        layers += [nn.Linear(before, after), nn.ReLU()]
        if dropout:  # a layer that drops nothing would still keep vmap from taking the model
            layers.append(nn.Dropout(dropout))
    return nn.Sequential(*layers, nn.Linear([inputs, *hidden][-1], classes))


def parameter_count(ends: tuple[int, int], width: int, depth: int) -> int:
    """Gives the number of weights and biases of a network whose hidden layers are equally wide.

    Args:
        ends: numbers per example, and number of logits.
        width: units of each hidden layer, >= 1.
        depth: number of hidden layers, >= 1.

    Returns:
        The number.
    """
    inputs, classes = ends
    hidden = (depth - 1) * width * (width + 1)
    return (inputs + 1) * width + hidden + (width + 1) * classes


def width_for(ends: tuple[int, int], parameters: int, depth: int) -> int:
    """Gives the width at which a network of some depth has a number of parameters.

    Wide and deep networks are comparable at one size (Chen et al. 2018); here one size means
    within 2 %.

    Args:
        ends: numbers per example, and number of logits.
        parameters: weights and biases wanted, >= 1.
        depth: number of hidden layers, >= 1.

    Returns:
        The width whose count is closest, the smaller of two that are equally close.

    Raises:
        WorkloadError: one of them is below 1, or no width is within 2 %.
    """
    for name, value in (("parameters", parameters), ("depth", depth)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise WorkloadError(
                f"`{name}` must be a whole number of at least 1, got {value!r}; choose another"
            )
    widths = range(1, parameters + 1)
    below = bisect_right(widths, parameters, key=lambda width: parameter_count(ends, width, depth))
    counts = {width: parameter_count(ends, width, depth) for width in (max(1, below), below + 1)}
    width = min(counts, key=lambda width: abs(counts[width] - parameters))
    if abs(counts[width] - parameters) > TOLERANCE * parameters:
        near = " or ".join(f"{count:,} (width {width})" for width, count in counts.items())
        raise WorkloadError(
            f"`parameters` must be within {TOLERANCE:.0%} of what some width gives at depth "
            f"{depth}, got {parameters:,}, where {near} come closest; choose another number or "
            "depth"
        )
    return width


def hidden_layers(
    ends: tuple[int, int],
    hidden: Sequence[int] | None,
    parameters: int | None,
    depth: int | None,
    default: Sequence[int],
) -> tuple[int, ...]:
    """Gives the widths of the hidden layers that a workload's options ask for.

    Args:
        ends: numbers per example, and number of logits.
        hidden: the widths themselves; None where they are not given.
        parameters: number of weights and biases of equally wide layers; None where not given.
        depth: number of those layers; None is 1.
        default: the widths where nothing is given.

    Returns:
        One width for each hidden layer.

    Raises:
        WorkloadError: the options contradict one another, or have no solution.
    """
    if parameters is None:
        if depth is not None:
            raise WorkloadError(
                f"`depth` must stand beside `parameters`, got {depth} alone; give `parameters`, "
                "or the widths themselves as `hidden`"
            )
        return tuple(default if hidden is None else hidden)
    if hidden is not None:
        raise WorkloadError(
            f"`parameters` must stand without `hidden`, got {parameters} and {list(hidden)}; "
            "remove one"
        )
    depth = 1 if depth is None else depth
    return (width_for(ends, parameters, depth),) * depth
