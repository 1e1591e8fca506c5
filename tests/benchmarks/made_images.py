"""Synthetic images, for machines without data or network.

The workload has images of MNIST's shape. Each class has a number of smooth pictures, and each image
is one of them with noise; `gpu.py` trains on it. The files contain only noise; `packs.py` times
steps on them.
"""

import os
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import nn

from workloads import Data, Examples, Target
from workloads.builtin.classification import cross_entropy, misclassified
from workloads.models.simple_cnn import simple_cnn, sizes_of

SIDE, CLASSES = 28, 10
TRAIN, VALIDATION = 55_000, 5_000
PICTURES, NOISE = 20, 1.0
"""Pictures per class, and noise in units of their standard deviation. A network needs about 100
steps at batch size 64, and some 2,000 at batch size 1."""


class MadeImages:
    """The Simple CNN of `mnist-simple-cnn` on synthetic images, 3 % validation error."""

    target = Target(0.03)
    loss = staticmethod(cross_entropy)
    error = staticmethod(misclassified)

    def __init__(self, train: int = TRAIN, validation: int = VALIDATION) -> None:
        """Set the numbers of images."""
        self._counts = train, validation

    def data(self) -> Data:
        """Return the images, the same on every call."""
        return _made(*self._counts)

    def model(self) -> nn.Module:
        """Return a new network."""
        return simple_cnn((1, SIDE, SIDE), CLASSES, sizes_of("base"))


@cache
def _made(train: int, validation: int) -> Data:
    generator = torch.Generator().manual_seed(0)
    coarse = torch.randn(PICTURES * CLASSES, 1, 7, 7, generator=generator)
    pictures = nn.functional.interpolate(coarse, size=SIDE, mode="bilinear")
    chosen = torch.randint(len(pictures), (train + validation,), generator=generator)
    labels = chosen % CLASSES
    noisy = torch.empty(len(labels), 1, SIDE, SIDE).normal_(0, NOISE, generator=generator)
    inputs = (noisy.add_(pictures[chosen]).sigmoid_() * 255).to(torch.uint8)

    return Data(
        train=Examples(inputs[:train], labels[:train]),
        validation=Examples(inputs[train:], labels[train:]),
    )


def write_files(folder: Path) -> None:
    """Write noise as MNIST and CIFAR-10 (a tenth of its images), where workloads will find it."""
    draw = np.random.default_rng(0).integers
    for name, shape, most in (
        ("images-idx3", (60_000, 28, 28), 256),
        ("labels-idx1", (60_000,), 10),
    ):
        header = bytes([0, 0, 8, len(shape)]) + np.array(shape, ">u4").tobytes()
        content = header + draw(most, size=shape, dtype=np.uint8).tobytes()
        (folder / f"train-{name}-ubyte").write_bytes(content)
    for number in range(1, 6):
        labels, pixels = draw(CLASSES, size=(1_000, 1)), draw(256, size=(1_000, 3 * 32 * 32))
        content = np.hstack([labels, pixels]).astype(np.uint8).tobytes()
        (folder / f"data_batch_{number}.bin").write_bytes(content)
    os.environ["BATCHSCALE_DATA"] = str(folder)
