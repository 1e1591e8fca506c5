"""Image workloads of the large-batch literature: MNIST, Fashion-MNIST, CIFAR-10.

All take `images` and `classes`, how many training images and classes to keep (a fraction up to 1, a
number above), and `download`, whether missing files may be fetched from the Hugging Face hub.
Targets and boxes on CIFAR-10 are taken from the literature.
"""

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import torch
from torch import nn

from workloads.builtin.classification import cross_entropy, misclassified
from workloads.builtin.defaults import momentum_space
from workloads.data import cifar10 as cifar
from workloads.data.idx_images import FASHION_MNIST, MNIST, TRAIN, IdxImages
from workloads.data.images import resolve_amount, split, subset
from workloads.models.alexnet import alexnet
from workloads.models.mlp import mlp
from workloads.models.normalization import GHOST
from workloads.models.pixels import Pixels
from workloads.models.resnet import resnet8, resnet50
from workloads.models.simple_cnn import simple_cnn, sizes_of
from workloads.models.vgg import vgg11
from workloads.workload import Data, Target


def _defaults(max_steps: int, highest_lr: float) -> Mapping[str, Any]:
    """Return a search box and a step budget (Shallue et al. 2018; Lee et al. 2021)."""
    space = momentum_space(lr=(1e-4, highest_lr), highest_momentum=0.999)
    return {"search": {"space": space}, "race": {"max_steps": max_steps}}


class _Images:
    """Data that are read once, loss and error of the workloads below."""

    loss = staticmethod(cross_entropy)
    error = staticmethod(misclassified)

    def __init__(self, images: float, classes: float, download: bool) -> None:
        """Set the part of the data; see the module for the options."""
        self._images, self._download = images, download
        self._classes = resolve_amount("classes", classes, 10)
        with torch.device("meta"):
            self.model()  # refuses wrong options at once

    @cached_property
    def _data(self) -> Data:
        return subset(self._read(), self._images, self._classes)

    def _read(self) -> Data:
        raise NotImplementedError

    def model(self) -> nn.Module:
        """Return a new network."""
        raise NotImplementedError

    def data(self) -> Data:
        """Return the images, read once."""
        return self._data


class _Idx(_Images):
    """Workloads on MNIST and Fashion-MNIST; images are (1, 28, 28)."""

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
        """Set the widths of the hidden layers, in the paper one to three of 1,024 units."""
        self._hidden = tuple(hidden)
        super().__init__(images, classes, download)

    def model(self) -> nn.Module:
        """Return a new network."""
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
        """Set the width (narrow, base or wide) and the dropout of the hidden layer, in [0, 1).

        The paper's dropout is 0.4.
        """
        self._sizes, self._dropout = sizes_of(width), dropout
        super().__init__(images, classes, download)

    def model(self) -> nn.Module:
        """Return a new network."""
        return simple_cnn((1, 28, 28), self._classes, self._sizes, self._dropout)


class FashionMnistSimpleCNN(MnistSimpleCNN):
    """Fashion-MNIST, the Simple CNN of Shallue et al. 2018, 10 % validation error."""

    target = Target(0.1)
    source = FASHION_MNIST


class _Cifar10(_Images):
    """Workloads on CIFAR-10; images are (3, 32, 32)."""

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
        """Set the normalization: none, batch, or ghost with at most `ghost` examples."""
        self._norm, self._ghost = norm, ghost
        super().__init__(images, classes, download)

    def model(self) -> nn.Module:
        """Return a new network."""
        return resnet8(3, self._classes, norm=self._norm, ghost=self._ghost)


class Cifar10AlexNet(_Cifar10):
    """CIFAR-10, AlexNet with local response normalization, 25 % validation error."""

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
        """Set the filters of the first convolution and the dropout of the dense layers, in [0, 1).

        All layers scale with `width`, a multiple of 3; the dense ones have 1,024 units at 96.
        """
        self._width, self._dropout = width, dropout
        super().__init__(images, classes, download)

    def model(self) -> nn.Module:
        """Return a new network."""
        dense = 32 * self._width // 3
        return alexnet(cifar.SHAPE, self._classes, self.norm, self._width, dense, self._dropout)


class Cifar10AlexNetBN(Cifar10AlexNet):
    """CIFAR-10, AlexNet with batch normalization (You et al. 2017), 20 % validation error."""

    target = Target(0.2)
    norm = "batch"


class Cifar10VGG11(_Cifar10):
    """CIFAR-10, VGG-11 without batch normalization, 20 % validation error."""

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
        """Set the filters of the first stage and the dropout of the dense layers, in [0, 1).

        The dense layers have eight times as many units.
        """
        self._width, self._dropout = width, dropout
        super().__init__(images, classes, download)

    def model(self) -> nn.Module:
        """Return a new network."""
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
        """Set the filters of the first stage, and how blocks are normalized and start.

        `ghost` is the most examples of a ghost batch; None normalizes over the whole batch. With
        `zero_gamma`, blocks start as their shortcuts (Goyal et al. 2017).
        """
        self._width, self._ghost, self._zero_gamma = width, ghost, zero_gamma
        super().__init__(images, classes, download)

    def model(self) -> nn.Module:
        """Return a new network."""
        return resnet50(cifar.SHAPE, self._classes, self._width, self._ghost, self._zero_gamma)
