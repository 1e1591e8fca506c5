"""Fully connected networks."""

from collections.abc import Sequence
from itertools import pairwise

from torch import nn

from workloads.errors import WorkloadError


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
