"""Image workloads of the large-batch literature: MNIST, Fashion-MNIST, CIFAR-10.

The targets and search spaces on CIFAR-10 are taken from the literature.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import torch
from torch import nn

from workloads.builtin import momentum_space
from workloads.builtin.classification import cross_entropy, misclassified
from workloads.data import cifar10 as cifar
from workloads.data.idx_images import FASHION_MNIST, MNIST, TRAIN, IdxImages
from workloads.data.images import resolve_amount, split, subset
from workloads.models.alexnet import alexnet
from workloads.models.layers import GHOST, Pixels
from workloads.models.mlp import mlp
from workloads.models.resnet import resnet8, resnet50
from workloads.models.simple_cnn import simple_cnn, sizes_of
from workloads.models.vgg import vgg11
from workloads.workload import Data, Target


def _defaults(max_steps: int, highest_lr: float) -> Mapping[str, Any]:
    """Return a search space and a step budget (Shallue et al. 2018; Lee et al. 2021)."""
    space = momentum_space(lr=(1e-4, highest_lr), highest_momentum=0.999)
    return {"search": {"space": space}, "race": {"max_steps": max_steps}}


@dataclass(eq=False)
class _Images:
    """Base of the workloads below: loss, error, and data that are read once.

    Attributes:
        images: training images to keep: a fraction up to 1, a number above.
        classes: classes to keep: a fraction up to 1, a number above.
        download: whether missing files may be fetched from the Hugging Face hub.
    """

    images: float = 1.0
    classes: float = 1.0
    download: bool = False

    loss = staticmethod(cross_entropy)
    error = staticmethod(misclassified)

    def __post_init__(self) -> None:
        self._classes = resolve_amount("classes", self.classes, 10)
        with torch.device("meta"):
            self.model()  # refuses wrong options early

    @cached_property
    def _data(self) -> Data:
        return subset(self._read(), self.images, self._classes)

    def _read(self) -> Data:
        raise NotImplementedError

    def model(self) -> nn.Module:
        raise NotImplementedError

    def data(self) -> Data:
        """Return the images, read once."""
        return self._data


class _Idx(_Images):
    """Base of workloads on MNIST and Fashion-MNIST; images are (1, 28, 28)."""

    source: ClassVar[IdxImages] = MNIST

    def _read(self) -> Data:
        images, labels = self.source.read(None, self.download)
        return split(images[:, None].copy(), labels, TRAIN)


@dataclass(eq=False)
class MnistMLP(_Idx):
    """MNIST, a fully connected network of Shallue et al. 2018, 3 % validation error.

    `hidden` gives the widths of the hidden layers: in the paper, one to three of 1,024 units.
    """

    hidden: tuple[int, ...] = (1024,)

    target = Target(0.03)
    study_defaults = _defaults(40_000, 10.0)

    def model(self) -> nn.Module:
        return nn.Sequential(Pixels(), *mlp(28 * 28, self.hidden, self._classes))


@dataclass(eq=False)
class MnistSimpleCNN(_Idx):
    """MNIST, the Simple CNN of Shallue et al. 2018, 3 % validation error.

    `width` is narrow, base or wide. The paper's `dropout` of the hidden layer is 0.4.
    """

    width: str = "base"
    dropout: float = 0.0

    target = Target(0.03)
    study_defaults = _defaults(40_000, 10.0)

    def model(self) -> nn.Module:
        return simple_cnn((1, 28, 28), self._classes, sizes_of(self.width), self.dropout)


class FashionMnistSimpleCNN(MnistSimpleCNN):
    """Fashion-MNIST, the Simple CNN of Shallue et al. 2018, 10 % validation error."""

    target = Target(0.1)
    source = FASHION_MNIST


class _Cifar10(_Images):
    """Base of workloads on CIFAR-10; images are (3, 32, 32)."""

    def _read(self) -> Data:
        return cifar.cifar10(self.download)


@dataclass(eq=False)
class Cifar10ResNet8(_Cifar10):
    """CIFAR-10, the ResNet-8 of Shallue et al. 2018, 30 % validation error.

    `norm` is none, batch, or ghost with at most `ghost` examples.
    """

    norm: str = "none"
    ghost: int = GHOST

    target = Target(0.3)
    study_defaults = _defaults(100_000, 10.0)

    def model(self) -> nn.Module:
        return resnet8(3, self._classes, norm=self.norm, ghost=self.ghost)


@dataclass(eq=False)
class Cifar10AlexNet(_Cifar10):
    """CIFAR-10, AlexNet with local response normalization, 25 % validation error.

    Attributes:
        width: filters of the first convolution, a multiple of 3, with which all layers scale; at 96
            the dense layers have 1,024 units.
        dropout: dropout of the dense layers, in [0, 1).
    """

    width: int = 96
    dropout: float = 0.5

    target = Target(0.25)
    study_defaults = _defaults(100_000, 1.0)
    _norm = "local-response"

    def model(self) -> nn.Module:
        dense = 32 * self.width // 3
        return alexnet(cifar.SHAPE, self._classes, self._norm, self.width, dense, self.dropout)


class Cifar10AlexNetBN(Cifar10AlexNet):
    """CIFAR-10, AlexNet with batch normalization (You et al. 2017), 20 % validation error."""

    target = Target(0.2)
    _norm = "batch"


@dataclass(eq=False)
class Cifar10VGG11(_Cifar10):
    """CIFAR-10, VGG-11 without batch normalization, 20 % validation error.

    Attributes:
        width: filters of the first stage; the dense layers have eight times as many units.
        dropout: dropout of the dense layers, in [0, 1).
    """

    width: int = 64
    dropout: float = 0.5

    target = Target(0.2)
    study_defaults = _defaults(100_000, 1.0)

    def model(self) -> nn.Module:
        return vgg11(cifar.SHAPE, self._classes, self.width, 8 * self.width, self.dropout)


@dataclass(eq=False)
class Cifar10ResNet50(_Cifar10):
    """CIFAR-10, ResNet-50 without the first layer's halvings, 15 % validation error.

    Attributes:
        width: filters of the first stage.
        ghost: most examples of a ghost batch; None normalizes over the whole batch.
        zero_gamma: whether blocks start as their shortcuts (Goyal et al. 2017).
    """

    width: int = 64
    ghost: int | None = None
    zero_gamma: bool = True

    target = Target(0.15)
    study_defaults = _defaults(100_000, 10.0)

    def model(self) -> nn.Module:
        return resnet50(cifar.SHAPE, self._classes, self.width, self.ghost, self.zero_gamma)
