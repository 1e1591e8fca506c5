"""VGG-11 without batch normalization (Simonyan and Zisserman 2015, configuration A)."""

from torch import nn

from workloads.errors import WorkloadError
from workloads.models.layers import Pixels, check_sizes, dropout_layers, he_initialized

STAGES = ((1, 1), (1, 2), (2, 4), (2, 8), (2, 8))
"""Number of convolutions in each stage, and their filters as a multiple of the first stage's."""


def vgg11(
    image: tuple[int, int, int],
    classes: int,
    width: int = 64,
    dense: int = 4096,
    dropout: float = 0.5,
) -> nn.Sequential:
    """Return eight 3x3 convolutions in five stages, each max-pooled, and three dense layers.

    The network maps (examples, channels, height, width) to (examples, classes). `width` is the
    number of filters in the first stage (64 in the paper), `dense` that of units in each hidden
    dense layer (4,096), whose `dropout` lies in [0, 1).

    Raises:
        WorkloadError: a side of the images is below 32, a size below 1, or the dropout outside
            [0, 1).
    """
    check_sizes(width=width, dense=dense)
    before, height, breadth = image
    if min(height, breadth) < 32:
        raise WorkloadError(
            f"VGG-11's images must have sides of at least 32 pixels, got {height}x{breadth}"
        )
    layers: list[nn.Module] = [Pixels()]
    for convolutions, multiple in STAGES:
        for _ in range(convolutions):
            layers += [nn.Conv2d(before, width * multiple, 3, padding=1), nn.ReLU()]
            before = width * multiple
        layers.append(nn.MaxPool2d(2))
    network = nn.Sequential(
        *layers,
        nn.Flatten(),
        nn.Linear(before * (height // 32) * (breadth // 32), dense),
        nn.ReLU(),
        *dropout_layers(dropout),
        nn.Linear(dense, dense),
        nn.ReLU(),
        *dropout_layers(dropout),
        nn.Linear(dense, classes),
    )
    return he_initialized(network)
