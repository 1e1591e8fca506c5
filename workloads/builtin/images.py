"""Image workloads of the large-batch literature: MNIST, Fashion-MNIST, CIFAR-10, image folders.

Targets and boxes of the ones on CIFAR-10 are taken from the literature; its files do not come with
batchscale.
"""

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import torch
from torch import nn

from workloads.builtin.classification import cross_entropy, misclassified
from workloads.data import cifar10 as cifar
from workloads.data.fashion_mnist import FASHION_MNIST
from workloads.data.idx_images import TRAIN, IdxImages
from workloads.data.images import amount, part, split
from workloads.data.mnist import MNIST
from workloads.models.alexnet import alexnet
from workloads.models.mlp import mlp
from workloads.models.normalization import GHOST
from workloads.models.pixels import Pixels
from workloads.models.resnet import resnet8, resnet50
from workloads.models.simple_cnn import simple_cnn, sizes_of
from workloads.models.vgg import vgg11
from workloads.workload import Data, Target


def _defaults(max_steps: int, highest_lr: float) -> Mapping[str, Any]:
    """Gives a search box and a step budget (Shallue et al. 2018; Lee et al. 2021)."""
    space = {
        "lr": {"low": 1e-4, "high": highest_lr, "scale": "log"},
        "momentum": {"low": 0.0, "high": 0.999, "scale": "reverse-log"},
    }
    return {"search": {"space": space}, "race": {"max_steps": max_steps}}


class _Images:
    """What the workloads of a known set of images share: data read once, loss and error."""

    loss = staticmethod(cross_entropy)
    error = staticmethod(misclassified)

    def __init__(self, images: float, classes: float, download: bool) -> None:
        """Sets which part of the data is used.

        Args:
            images: training images to keep: a fraction up to 1, above it a number.
            classes: classes to keep: a fraction up to 1, above it a number.
            download: whether the Hugging Face hub may be asked when no files are found.
        """
        self._images, self._download = images, download
        self._classes = amount("classes", classes, 10)
        with torch.device("meta"):
            self.model()  # a wrong option is told at once

    @cached_property
    def _data(self) -> Data:
        return part(self._read(), self._images, self._classes)

    def _read(self) -> Data:
        raise NotImplementedError

    def model(self) -> nn.Module:
        """Gives a fresh network."""
        raise NotImplementedError

    def data(self) -> Data:
        """Gives the images; read once, since the files take a second."""
        return self._data


class _Idx(_Images):
    """What the workloads on MNIST and Fashion-MNIST share; images are (1, 28, 28)."""

    source: IdxImages

    def _read(self) -> Data:
        images, labels = self.source.read(None, self._download)
        return split(images[:, None].copy(), labels, TRAIN)


class MnistMLP(_Idx):
    """MNIST, a fully connected network of Shallue et al. 2018, 3 % validation error."""

    target = Target(0.03)
    study_defaults = _defaults(40_000, 10.0)
    source = MNIST

    def __init__(
        self,
        hidden: tuple[int, ...] = (1024,),
        images: float = 1.0,
        classes: float = 1.0,
        download: bool = False,
    ) -> None:
        """Sets the network's size and the part of the data.

        Args:
            hidden: width of each hidden layer; the paper's are one to three of 1,024, and three
                of 64 to 2,048.
            images: training images to keep: a fraction up to 1, above it a number.
            classes: classes to keep: a fraction up to 1, above it a number.
            download: whether the Hugging Face hub may be asked when no files are found.
        """
        self._hidden = tuple(hidden)
        super().__init__(images, classes, download)

    def model(self) -> nn.Module:
        """Gives a fresh network."""
        return nn.Sequential(Pixels(), *mlp(28 * 28, self._hidden, self._classes))


class MnistSimpleCNN(_Idx):
    """MNIST, the Simple CNN of Shallue et al. 2018, 3 % validation error."""

    target = Target(0.03)
    study_defaults = _defaults(40_000, 10.0)
    source = MNIST

    def __init__(
        self,
        width: str = "base",
        dropout: float = 0.0,
        images: float = 1.0,
        classes: float = 1.0,
        download: bool = False,
    ) -> None:
        """Sets the network's size and the part of the data.

        Args:
            width: narrow, base or wide.
            dropout: of the hidden layer, in [0, 1); the paper's is 0.4, and makes the lanes looped.
            images: training images to keep: a fraction up to 1, above it a number.
            classes: classes to keep: a fraction up to 1, above it a number.
            download: whether the Hugging Face hub may be asked when no files are found.
        """
        self._sizes, self._dropout = sizes_of(width), dropout
        super().__init__(images, classes, download)

    def model(self) -> nn.Module:
        """Gives a fresh network."""
        return simple_cnn((1, 28, 28), self._classes, self._sizes, self._dropout)


class FashionMnistSimpleCNN(MnistSimpleCNN):
    """Fashion-MNIST, the Simple CNN of Shallue et al. 2018, 10 % validation error."""

    target = Target(0.1)
    source = FASHION_MNIST


class _Cifar10(_Images):
    """What the workloads on CIFAR-10 share; images are (3, 32, 32)."""

    def _read(self) -> Data:
        return cifar.cifar10(self._download)


class Cifar10ResNet8(_Cifar10):
    """CIFAR-10, the ResNet-8 of Shallue et al. 2018, 30 % validation error."""

    target = Target(0.3)
    study_defaults = _defaults(100_000, 10.0)

    def __init__(
        self,
        norm: str = "none",
        ghost: int = GHOST,
        images: float = 1.0,
        classes: float = 1.0,
        download: bool = False,
    ) -> None:
        """Sets the network's normalisation and the part of the data.

        Args:
            norm: none, batch or ghost; batch statistics make the lanes looped.
            ghost: most examples of a ghost batch.
            images: training images to keep: a fraction up to 1, above it a number.
            classes: classes to keep: a fraction up to 1, above it a number.
            download: whether the Hugging Face hub may be asked when no files are found.
        """
        self._norm, self._ghost = norm, ghost
        super().__init__(images, classes, download)

    def model(self) -> nn.Module:
        """Gives a fresh network."""
        return resnet8(3, self._classes, norm=self._norm, ghost=self._ghost)


class Cifar10AlexNet(_Cifar10):
    """CIFAR-10, AlexNet with local response normalisation, 25 % validation error."""

    target = Target(0.25)
    study_defaults = _defaults(100_000, 1.0)
    norm = "local-response"

    def __init__(
        self,
        width: int = 96,
        dropout: float = 0.5,
        images: float = 1.0,
        classes: float = 1.0,
        download: bool = False,
    ) -> None:
        """Sets the network's size and the part of the data.

        Args:
            width: filters of the first convolution, a multiple of 3; all layers are scaled with it,
                and the dense ones have 1,024 units at 96.
            dropout: of the dense layers, in [0, 1); above 0 it makes the lanes looped.
            images: training images to keep: a fraction up to 1, above it a number.
            classes: classes to keep: a fraction up to 1, above it a number.
            download: whether the Hugging Face hub may be asked when no files are found.
        """
        self._width, self._dropout = width, dropout
        super().__init__(images, classes, download)

    def model(self) -> nn.Module:
        """Gives a fresh network."""
        dense = 32 * self._width // 3
        return alexnet(cifar.SHAPE, self._classes, self.norm, self._width, dense, self._dropout)


class Cifar10AlexNetBN(Cifar10AlexNet):
    """CIFAR-10, AlexNet with batch normalisation (You et al. 2017), 20 % validation error."""

    target = Target(0.2)
    norm = "batch"


class Cifar10VGG11(_Cifar10):
    """CIFAR-10, VGG-11 without batch normalisation, 20 % validation error."""

    target = Target(0.2)
    study_defaults = _defaults(100_000, 1.0)

    def __init__(
        self,
        width: int = 64,
        dropout: float = 0.5,
        images: float = 1.0,
        classes: float = 1.0,
        download: bool = False,
    ) -> None:
        """Sets the network's size and the part of the data.

        Args:
            width: filters of the first stage; the dense layers have eight times as many units.
            dropout: of the dense layers, in [0, 1); above 0 it makes the lanes looped.
            images: training images to keep: a fraction up to 1, above it a number.
            classes: classes to keep: a fraction up to 1, above it a number.
            download: whether the Hugging Face hub may be asked when no files are found.
        """
        self._width, self._dropout = width, dropout
        super().__init__(images, classes, download)

    def model(self) -> nn.Module:
        """Gives a fresh network."""
        return vgg11(cifar.SHAPE, self._classes, self._width, 8 * self._width, self._dropout)


class Cifar10ResNet50(_Cifar10):
    """CIFAR-10, ResNet-50 without the first layer's halvings, 15 % validation error."""

    target = Target(0.15)
    study_defaults = _defaults(100_000, 10.0)

    def __init__(
        self,
        width: int = 64,
        ghost: int | None = None,
        zero_gamma: bool = True,
        images: float = 1.0,
        classes: float = 1.0,
        download: bool = False,
    ) -> None:
        """Sets the network and the part of the data.

        Args:
            width: filters of the first stage.
            ghost: most examples of a ghost batch; left out, the whole batch is normalised over.
            zero_gamma: whether blocks start as their shortcuts (Goyal et al. 2017).
            images: training images to keep: a fraction up to 1, above it a number.
            classes: classes to keep: a fraction up to 1, above it a number.
            download: whether the Hugging Face hub may be asked when no files are found.
        """
        self._width, self._ghost, self._zero_gamma = width, ghost, zero_gamma
        super().__init__(images, classes, download)

    def model(self) -> nn.Module:
        """Gives a fresh network."""
        return resnet50(cifar.SHAPE, self._classes, self._width, self._ghost, self._zero_gamma)
