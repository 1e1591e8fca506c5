"""The workloads that come with batchscale; named here, imported when asked for."""

from collections.abc import Mapping
from typing import NamedTuple


class BuiltIn(NamedTuple):
    """A workload of batchscale's own.

    Attributes:
        attribute: its class, as module:attribute.
        data: where its data come from.
        summary: what it is.
    """

    attribute: str
    data: str
    summary: str


_SHIPPED = "scikit-learn"
_IMAGES = "files, hub"
_FASHION = "files, Debian, hub"
_TEXT = "Python's library, files"

BUILTIN: Mapping[str, BuiltIn] = {
    "digits-mlp": BuiltIn(
        "workloads.builtin.classification:DigitsMLP", _SHIPPED, "digits, 8x8, fully connected"
    ),
    "digits-cnn": BuiltIn(
        "workloads.builtin.classification:DigitsCNN", _SHIPPED, "digits, 8x8, convolutional"
    ),
    "digits-resnet8": BuiltIn(
        "workloads.builtin.classification:DigitsResNet8",
        _SHIPPED,
        "digits, 8x8, ResNet-8; no, batch or ghost norm",
    ),
    "mnist-mlp": BuiltIn("workloads.builtin.images:MnistMLP", _IMAGES, "MNIST, fully connected"),
    "mnist-simple-cnn": BuiltIn(
        "workloads.builtin.images:MnistSimpleCNN", _IMAGES, "MNIST, Simple CNN"
    ),
    "fashion-mnist-mlp": BuiltIn(
        "workloads.builtin.classification:FashionMnistMLP",
        _FASHION,
        "Fashion-MNIST, fully connected",
    ),
    "fashion-mnist-simple-cnn": BuiltIn(
        "workloads.builtin.images:FashionMnistSimpleCNN",
        _FASHION,
        "Fashion-MNIST, Simple CNN",
    ),
    "cifar10-resnet8": BuiltIn(
        "workloads.builtin.images:Cifar10ResNet8",
        _IMAGES,
        "CIFAR-10, ResNet-8; no, batch or ghost norm",
    ),
    "cifar10-alexnet": BuiltIn(
        "workloads.builtin.images:Cifar10AlexNet", _IMAGES, "CIFAR-10, AlexNet, local response norm"
    ),
    "cifar10-alexnet-bn": BuiltIn(
        "workloads.builtin.images:Cifar10AlexNetBN", _IMAGES, "CIFAR-10, AlexNet, batch norm"
    ),
    "cifar10-vgg11": BuiltIn(
        "workloads.builtin.images:Cifar10VGG11", _IMAGES, "CIFAR-10, VGG-11, no norm"
    ),
    "cifar10-resnet50": BuiltIn(
        "workloads.builtin.images:Cifar10ResNet50",
        _IMAGES,
        "CIFAR-10, ResNet-50; batch or ghost norm",
    ),
    "image-folder": BuiltIn(
        "workloads.builtin.image_folder:ImageFolder",
        "a folder per class",
        "your images, a network by name",
    ),
    "text-transformer": BuiltIn(
        "workloads.builtin.language:TextTransformer",
        _TEXT,
        "bytes or tokens, decoder-only Transformer",
    ),
    "text-lstm": BuiltIn("workloads.builtin.language:TextLSTM", _TEXT, "bytes or tokens, LSTM"),
    "noisy-quadratic": BuiltIn(
        "workloads.builtin.quadratic:NoisyQuadratic",
        "none",
        "noisy quadratic model, exact expected loss (Zhang et al. 2019)",
    ),
}
"""By name, in the order of the list."""
