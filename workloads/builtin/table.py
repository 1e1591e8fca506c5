"""The table of the workloads that come with batchscale, which does not import them."""

from collections.abc import Mapping
from typing import NamedTuple


class BuiltIn(NamedTuple):
    """A built-in workload."""

    attribute: str  # its class, as module:attribute, the module in `workloads.builtin`
    data: str  # source of its data
    summary: str


_DIGITS = "scikit-learn"
_FILES = "files, hub"
_FASHION = "files, Debian, hub"
_FOLDER = "a folder per class"
_TEXT = "Python's library, files"
_RESNET8 = "ResNet-8; no, batch or ghost norm"
_QUADRATIC = "noisy quadratic model, exact expected loss (Zhang et al. 2019)"

BUILTIN: Mapping[str, BuiltIn] = {
    name: BuiltIn(*entry)
    for name, *entry in (
        ("digits-mlp", "classification:DigitsMLP", _DIGITS, "digits, 8x8, fully connected"),
        ("digits-cnn", "classification:DigitsCNN", _DIGITS, "digits, 8x8, convolutional"),
        ("digits-resnet8", "classification:DigitsResNet8", _DIGITS, f"digits, 8x8, {_RESNET8}"),
        ("mnist-mlp", "images:MnistMLP", _FILES, "MNIST, fully connected"),
        ("mnist-simple-cnn", "images:MnistSimpleCNN", _FILES, "MNIST, Simple CNN"),
        ("fashion-mnist-mlp", "classification:FashionMnistMLP", _FASHION,
         "Fashion-MNIST, fully connected"),
        ("fashion-mnist-simple-cnn", "images:FashionMnistSimpleCNN", _FASHION,
         "Fashion-MNIST, Simple CNN"),
        ("cifar10-resnet8", "images:Cifar10ResNet8", _FILES, f"CIFAR-10, {_RESNET8}"),
        ("cifar10-alexnet", "images:Cifar10AlexNet", _FILES,
         "CIFAR-10, AlexNet, local response norm"),
        ("cifar10-alexnet-bn", "images:Cifar10AlexNetBN", _FILES, "CIFAR-10, AlexNet, batch norm"),
        ("cifar10-vgg11", "images:Cifar10VGG11", _FILES, "CIFAR-10, VGG-11, no norm"),
        ("cifar10-resnet50", "images:Cifar10ResNet50", _FILES,
         "CIFAR-10, ResNet-50; batch or ghost norm"),
        ("image-folder", "image_folder:ImageFolder", _FOLDER, "your images, a network by name"),
        ("text-transformer", "language:TextTransformer", _TEXT,
         "bytes or tokens, decoder-only Transformer"),
        ("text-lstm", "language:TextLSTM", _TEXT, "bytes or tokens, LSTM"),
        ("noisy-quadratic", "quadratic:NoisyQuadratic", "none", _QUADRATIC),
    )
}  # fmt: skip
"""By name, in the order of the list."""
