"""Fully connected networks."""

from collections.abc import Sequence
from itertools import pairwise

from torch import nn

from workloads.errors import WorkloadError


def mlp(inputs: int, hidden: Sequence[int], classes: int) -> nn.Sequential:
    """Gives a fully connected ReLU network that flattens its inputs.

    Args:
        inputs: numbers per example, >= 1.
        hidden: width of each hidden layer; none makes it linear.
        classes: number of logits.

    Returns:
        The network, from (examples, ...) to (examples, classes).

    Raises:
        WorkloadError: a hidden layer has no width.
    """
    if any(width < 1 for width in hidden):
        raise WorkloadError(
            f"`hidden` must give widths of at least 1, got {list(hidden)}; raise or drop the rest"
        )
    layers: list[nn.Module] = [nn.Flatten()]
    for before, after in pairwise([inputs, *hidden]):
        layers += [nn.Linear(before, after), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear([inputs, *hidden][-1], classes))
