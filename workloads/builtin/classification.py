"""Built-in classification workloads; your own workloads may look just like them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn

from workloads.builtin import momentum_space
from workloads.data.digits import digits
from workloads.data.idx_images import check_pool, fashion_mnist
from workloads.data.images import resolve_amount, subset
from workloads.models.layers import GHOST
from workloads.models.mlp import hidden_layers, mlp
from workloads.models.resnet import resnet8
from workloads.models.simple_cnn import simple_cnn
from workloads.workload import Data, Examples, Model, Target

LABEL_SMOOTHING: Mapping[str, Mapping[str, float]] = {
    "label_smoothing": {"default": 0.0, "low": 0.0, "high": 1.0}
}


def cross_entropy(model: Model, batch: Examples, label_smoothing: Tensor | float = 0.0) -> Tensor:
    """Return the mean cross-entropy of logits (examples, classes) and labels, a scalar.

    `label_smoothing` is s in [0, 1), in torch's convention (Szegedy et al. 2016): of K classes, the
    label gets 1 - s + s / K, and each of the others s / K. Shallue et al. 2018 give the label
    1 - s' and the others s' / (K - 1), which is the same for s = s' K / (K - 1).
    """
    logits = model(batch.inputs)
    if not isinstance(label_smoothing, Tensor) and label_smoothing == 0:
        return nn.functional.cross_entropy(logits, batch.targets)
    # torch's function does not take s as a tensor, and lanes differ in s
    nats = -nn.functional.log_softmax(logits, dim=-1)
    of_label = nats.gather(-1, batch.targets.unsqueeze(-1))
    return (1 - label_smoothing) * of_label.mean() + label_smoothing * nats.mean()


def misclassified(model: Model, data: Examples) -> Tensor:
    """Return the fraction of misclassified examples, a scalar."""
    wrong: Tensor = model(data.inputs).argmax(dim=-1) != data.targets
    return wrong.to(torch.float32).mean()


@dataclass(eq=False)
class _Vectors:
    """Base of workloads that classify vectors into 10 classes by a fully connected network.

    Attributes:
        hidden: width of each hidden layer; None for the workload's default.
        dropout: dropout of the hidden layers, in [0, 1).
        parameters: instead of `hidden`, the number of weights and biases, met within 2 % by hidden
            layers of equal width.
        depth: number of these layers; None for 1.
        images: training images to keep: a fraction up to 1, a number above.
        classes: classes to keep: a fraction up to 1, a number above.
    """

    hidden: Sequence[int] | None = None
    dropout: float = 0.0
    parameters: int | None = None
    depth: int | None = None
    images: float = 1.0
    classes: float = 1.0

    hyperparameters = LABEL_SMOOTHING
    loss = staticmethod(cross_entropy)
    error = staticmethod(misclassified)

    def _set_network(self, inputs: int, width: int) -> None:
        """Set the sizes of the layers, which refuses wrong options early."""
        self._inputs, self._classes = inputs, resolve_amount("classes", self.classes, 10)
        ends = (inputs, self._classes)
        self._hidden = hidden_layers(ends, self.hidden, self.parameters, self.depth, (width,))

    def model(self) -> nn.Module:
        return mlp(self._inputs, self._hidden, self._classes, self.dropout)


@dataclass(eq=False)
class DigitsMLP(_Vectors):
    """scikit-learn's handwritten digits, a fully connected network, 5 % validation error."""

    target = Target(0.05)
    study_defaults = {"search": {"space": momentum_space(lr=(1e-3, 3.0))}}

    def __post_init__(self) -> None:
        self._set_network(64, 32)

    def data(self) -> Data:
        return subset(digits(), self.images, self.classes)


@dataclass(eq=False)
class FashionMnistMLP(_Vectors):
    """Fashion-MNIST, a fully connected network, 15 % validation error.

    Attributes:
        pool: side of the squares of pixels that are averaged, 1 or 2.
        data_dir: folder of the idx files; None for the usual places.
        download: whether missing files may be fetched from the Hugging Face hub.
    """

    pool: int = 2
    data_dir: str | None = None
    download: bool = False

    target = Target(0.15)
    study_defaults = {"race": {"max_steps": 200_000}}

    def __post_init__(self) -> None:
        self._set_network((28 // check_pool(self.pool)) ** 2, 64)

    @cached_property
    def _images(self) -> Data:
        every = fashion_mnist(self.data_dir, self.pool, self.download)
        return subset(every, self.images, self.classes)

    def data(self) -> Data:
        """Return the images, read once."""
        return self._images


class _DigitImages:
    """Base of workloads on scikit-learn's handwritten digits as images, (examples, 1, 8, 8)."""

    target = Target(0.05)
    loss = staticmethod(cross_entropy)
    error = staticmethod(misclassified)

    def data(self) -> Data:
        train, validation = (
            Examples(split.inputs.view(-1, 1, 8, 8), split.targets)
            for split in digits().splits.values()
        )
        return Data(train=train, validation=validation)


@dataclass(eq=False)
class DigitsCNN(_DigitImages):
    """scikit-learn's handwritten digits, a convolutional network, 5 % validation error.

    `filters` gives the filters of the two 5x5 convolutions, `hidden` the units of the dense layer.
    """

    filters: tuple[int, int] = (8, 16)
    hidden: int = 32

    study_defaults = {"search": {"space": momentum_space(lr=(1e-3, 3.0))}}

    def model(self) -> nn.Module:
        return simple_cnn((1, 8, 8), 10, (*self.filters, self.hidden))


@dataclass(eq=False)
class DigitsResNet8(_DigitImages):
    """scikit-learn's handwritten digits, a narrow ResNet-8, 5 % validation error.

    It is small enough to show on any machine how normalization changes the scaling curve. `norm` is
    none, batch, or ghost with at most `ghost` examples; `widths` gives the filters of each block.
    """

    norm: str = "none"
    ghost: int = GHOST
    widths: Sequence[int] = (4, 8, 16)

    study_defaults = {
        "search": {"space": momentum_space(lr=(1e-3, 10.0))},
        "race": {"max_steps": 5_000},
    }

    def __post_init__(self) -> None:
        with torch.device("meta"):
            self.model()  # refuses wrong options early

    def model(self) -> nn.Module:
        return resnet8(1, 10, self.widths, self.norm, self.ghost)
