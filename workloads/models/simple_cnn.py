"""The small convolutional network of Shallue et al. 2018, narrow, base and wide."""

from collections.abc import Mapping

from torch import nn

from workloads.errors import WorkloadError
from workloads.models.layers import Pixels, dropout_layers

Sizes = tuple[int, int, int]
"""Filters of the two convolutions, and units of the hidden layer."""

WIDTHS: Mapping[str, Sizes] = {
    "narrow": (16, 32, 512),
    "base": (32, 64, 1024),
    "wide": (64, 128, 2048),
}


def simple_cnn(
    image: tuple[int, int, int], classes: int, sizes: Sizes, dropout: float = 0.0
) -> nn.Sequential:
    """Return two 5x5 convolutions, each with ReLU and 2x2 max-pooling, and a hidden dense layer.

    The network maps (examples, channels, height, width) to (examples, classes), for images with
    sides of at least 4. The paper's `dropout` of the hidden layer is 0.4.

    Raises:
        WorkloadError: a size is below 1, a side below 4, or the dropout outside [0, 1).
    """
    if min(sizes) < 1:
        raise WorkloadError(f"a layer's size must be at least 1, got {list(sizes)}")
    channels, height, breadth = image
    if min(height, breadth) < 4:
        raise WorkloadError(
            f"Simple CNN's images must have sides of at least 4 pixels, got {height}x{breadth}"
        )
    first, second, hidden = sizes
    return nn.Sequential(
        Pixels(),
        nn.Conv2d(channels, first, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(first, second, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(second * (height // 4) * (breadth // 4), hidden),
        nn.ReLU(),
        *dropout_layers(dropout),
        nn.Linear(hidden, classes),
    )


def sizes_of(width: str) -> Sizes:
    """Return filters and hidden units by name: narrow, base or wide; others are refused."""
    if width not in WIDTHS:
        raise WorkloadError(f"`width` must be one of {', '.join(WIDTHS)}, got {width!r}")
    return WIDTHS[width]
