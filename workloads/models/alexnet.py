"""AlexNet with local response or batch normalization, for images of any size."""

from collections.abc import Callable, Mapping

from torch import nn

from workloads.errors import WorkloadError
from workloads.models.layers import Pixels, check_sizes, dropout_layers, he_initialized

SMALL_IMAGE = 128
"""The first convolution keeps the size of images with a smaller side."""

_NORMS: Mapping[str, Callable[[int], nn.Module]] = {
    "local-response": lambda _: nn.LocalResponseNorm(5, alpha=5e-4, k=2.0),
    "batch": nn.BatchNorm2d,
}
"""Normalizations. Torch's alpha multiplies the mean over 5 channels, Krizhevsky's 1e-4 the sum."""


def alexnet(
    image: tuple[int, int, int],
    classes: int,
    norm: str = "local-response",
    width: int = 96,
    dense: int = 4096,
    dropout: float = 0.5,
) -> nn.Sequential:
    """Return AlexNet in one tower (Krizhevsky et al. 2012), or AlexNet-BN (You et al. 2017).

    It has five convolutions of 96, 256, 384, 384 and 256 filters, with 3x3 max-pooling of stride 2
    after the first, the second and the last, and two hidden dense layers. The first convolution is
    the paper's, 11x11 with stride 4, for sides of at least 128, and 5x5 with stride 1 for smaller
    ones. The network maps (examples, channels, height, width) to (examples, classes).

    Args:
        image: channels, height and width of the images.
        classes: number of logits.
        norm: local-response, after the first two convolutions, or batch, after all five.
        width: filters of the first convolution, with which those of the others scale.
        dense: units of each hidden dense layer.
        dropout: of the inputs of the hidden dense layers, in [0, 1).

    Raises:
        WorkloadError: a side of the images is below 15, the norm unknown, a size below 1, or the
            dropout outside [0, 1).
    """
    check_sizes(width=width, dense=dense)
    if norm not in _NORMS:
        raise WorkloadError(f"`norm` must be one of {', '.join(_NORMS)}, got {norm!r}")
    channels, *sides = image
    kernel, stride, padding = (5, 1, 2) if min(sides) < SMALL_IMAGE else (11, 4, 2)
    left = [_pooled((side + 2 * padding - kernel) // stride + 1) for side in sides]
    if min(left) < 1:
        raise WorkloadError(
            f"AlexNet's images must have sides of at least 15 pixels, got {sides[0]}x{sides[1]}"
        )
    second, third = 8 * width // 3, 4 * width
    plan = [
        (channels, width, kernel, stride, padding),
        (width, second, 5, 1, 2),
        (second, third, 3, 1, 1),
        (third, third, 3, 1, 1),
        (third, second, 3, 1, 1),
    ]
    layers: list[nn.Module] = [Pixels()]
    for number, convolution in enumerate(plan):
        normed = [_NORMS[norm](convolution[1])] if norm == "batch" or number < 2 else []
        order = [*normed, nn.ReLU()] if norm == "batch" else [nn.ReLU(), *normed]
        pool = [nn.MaxPool2d(3, 2)] if number in {0, 1, 4} else []
        layers += [nn.Conv2d(*convolution), *order, *pool]
    network = nn.Sequential(
        *layers,
        nn.Flatten(),
        *dropout_layers(dropout),
        nn.Linear(second * left[0] * left[1], dense),
        nn.ReLU(),
        *dropout_layers(dropout),
        nn.Linear(dense, dense),
        nn.ReLU(),
        nn.Linear(dense, classes),
    )
    return he_initialized(network)


def _pooled(side: int) -> int:
    """Return the length of a side after the three poolings."""
    for _ in range(3):
        side = (side - 3) // 2 + 1
    return side
