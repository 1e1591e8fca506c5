"""Residual networks: ResNet-8 with pre-activation for small images, and ResNet-50."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from workloads.errors import WorkloadError
from workloads.models.layers import GHOST, Norm, Pixels, check_sizes, he_initialized, normalization

SMALL_IMAGE = 64
"""ResNet-50's first layer keeps the size of images with a smaller side."""


class PreActivationBlock(nn.Module):
    """Two 3x3 convolutions after normalization and ReLU (He et al. 2016, Identity Mappings).

    The shortcut takes every second pixel where the block halves the image, and adds channels of
    zeros where the block widens.
    """

    def __init__(self, before: int, after: int, stride: int, norm: Norm) -> None:
        """Create a block to `after` >= `before` channels; stride 2 halves the image."""
        super().__init__()
        # normalization would cancel a bias
        bias = isinstance(norm(1), nn.Identity)
        self.branch = nn.Sequential(
            norm(before),
            nn.ReLU(),
            nn.Conv2d(before, after, 3, stride, 1, bias=bias),
            norm(after),
            nn.ReLU(),
            nn.Conv2d(after, after, 3, 1, 1, bias=bias),
        )
        self._added, self._stride = after - before, stride

    def forward(self, images: Tensor) -> Tensor:
        """Return (examples, after, height / stride, width / stride)."""
        shortcut = images[:, :, :: self._stride, :: self._stride]
        padded = nn.functional.pad(shortcut, (0, 0, 0, 0, 0, self._added))
        return padded + torch.as_tensor(self.branch(images))


def resnet8(
    channels: int,
    classes: int,
    widths: Sequence[int] = (16, 32, 64),
    norm: str = "none",
    ghost: int = GHOST,
) -> nn.Sequential:
    """Return the pre-activation ResNet of 6n + 2 layers with n = 1, one block per width.

    Each block but the first halves the image. The network maps (examples, channels, height, width)
    to (examples, classes). `widths` are the filters of the blocks, in increasing order (Shallue et
    al. 2018: 16, 32, 64); `norm` is none, batch, or ghost with at most `ghost` examples.

    Raises:
        WorkloadError: the widths or the norm are none of these.
    """
    if not widths or min(widths) < 1 or list(widths) != sorted(widths):
        raise WorkloadError(
            f"`widths` must be numbers of filters in increasing order, got {list(widths)}"
        )
    make = normalization(norm, ghost)
    blocks = [
        PreActivationBlock(before, after, 1 if number == 0 else 2, make)
        for number, (before, after) in enumerate(pairwise([widths[0], *widths]))
    ]
    network = nn.Sequential(
        Pixels(),
        nn.Conv2d(channels, widths[0], 3, padding=1, bias=norm == "none"),
        *blocks,
        make(widths[-1]),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(widths[-1], classes),
    )
    return he_initialized(network)


class BottleneckBlock(nn.Module):
    """A 1x1, a 3x3 and a 1x1 convolution, each batch-normalized (He et al. 2016).

    The 3x3 convolution has the stride, as in Goyal et al. 2017.
    """

    def __init__(self, before: int, width: int, stride: int, norm: Norm) -> None:
        """Create a block from `before` to 4 `width` channels; stride 2 halves the image."""
        super().__init__()
        after = 4 * width
        self.branch = nn.Sequential(
            nn.Conv2d(before, width, 1, bias=False),
            norm(width),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, stride, 1, bias=False),
            norm(width),
            nn.ReLU(),
            nn.Conv2d(width, after, 1, bias=False),
            norm(after),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or before != after:
            convolution = nn.Conv2d(before, after, 1, stride, bias=False)
            self.shortcut = nn.Sequential(convolution, norm(after))

    def forward(self, images: Tensor) -> Tensor:
        """Return (examples, 4 width, height / stride, width / stride)."""
        return torch.relu(self.shortcut(images) + self.branch(images))


def resnet50(
    image: tuple[int, int, int],
    classes: int,
    width: int = 64,
    ghost: int | None = None,
    zero_gamma: bool = True,
) -> nn.Sequential:
    """Return ResNet-50, batch-normalized: 3, 4, 6 and 3 bottleneck blocks.

    The network maps (examples, channels, height, width) to (examples, classes).

    Args:
        image: channels, height and width of the images. If a side is below 64, the first layer is a
            3x3 convolution without pooling, which keeps the image's size; else it is the paper's.
        classes: number of logits.
        width: filters of the first stage, doubled from stage to stage; the paper's is 64.
        ghost: most examples of a ghost batch; None normalizes over the whole batch.
        zero_gamma: whether the scale of every block's last normalization starts at zero, so that
            the block starts as its shortcut (Goyal et al. 2017).
    """
    check_sizes(width=width)
    make = nn.BatchNorm2d if ghost is None else normalization("ghost", ghost)
    channels, *sides = image
    small = min(sides) < SMALL_IMAGE
    first = nn.Conv2d(channels, width, *((3, 1, 1) if small else (7, 2, 3)), bias=False)
    layers: list[nn.Module] = [Pixels(), first, make(width), nn.ReLU()]
    if not small:
        layers.append(nn.MaxPool2d(3, 2, 1))
    before = width
    for stage, blocks in enumerate((3, 4, 6, 3)):
        for block in range(blocks):
            stride = 2 if stage > 0 and block == 0 else 1
            layers.append(BottleneckBlock(before, width << stage, stride, make))
            before = 4 * (width << stage)
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(before, classes)]
    network = he_initialized(nn.Sequential(*layers))
    if zero_gamma:
        for block_ in network:
            if isinstance(block_, BottleneckBlock):
                last = block_.branch[-1]
                assert isinstance(last, nn.BatchNorm2d)  # as the block's constructor makes it
                nn.init.zeros_(last.weight)
    return network
