"""Built-in workloads that tell classes apart; a workload of your own may look just like them."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from workloads.data.digits import digits
from workloads.data.fashion_mnist import check_pool, fashion_mnist
from workloads.data.images import amount, part
from workloads.models.mlp import hidden_layers, mlp
from workloads.models.normalization import GHOST
from workloads.models.resnet import resnet8
from workloads.models.simple_cnn import simple_cnn
from workloads.workload import Data, Examples, Model, Target

LABEL_SMOOTHING: Mapping[str, Mapping[str, float]] = {
    "label_smoothing": {"default": 0.0, "low": 0.0, "high": 1.0}
}


def cross_entropy(model: Model, batch: Examples, label_smoothing: Tensor | float = 0.0) -> Tensor:
    """Gives the mean cross-entropy of the model's logits, perhaps to smoothed labels.

    Args:
        model: gives logits, shape (examples, classes).
        batch: with labels, shape (examples,).
        label_smoothing: s in [0, 1), in torch's convention (Szegedy et al. 2016): of K classes, the
            label gets 1 - s + s / K and every other s / K. Shallue et al. 2018 give the others
            s' / (K - 1) and the label 1 - s', which is the same for s = s' K / (K - 1).

    Returns:
        The loss, a scalar.
    """
    logits = model(batch.inputs)
    if not isinstance(label_smoothing, Tensor) and label_smoothing == 0:
        return nn.functional.cross_entropy(logits, batch.targets)
    # torch's own takes no tensor for s, of which every lane has another
    surprise = -nn.functional.log_softmax(logits, dim=-1)
    of_label = surprise.gather(-1, batch.targets.unsqueeze(-1))
    return (1 - label_smoothing) * of_label.mean() + label_smoothing * surprise.mean()


def misclassified(model: Model, data: Examples) -> Tensor:
    """Gives the fraction of examples whose largest logit is another class's, a scalar."""
    wrong = model(data.inputs).argmax(dim=-1) != data.targets
    return wrong.to(torch.float32).mean()


class DigitsMLP:
    """scikit-learn's handwritten digits, a fully connected network, 5 % validation error."""

    target = Target(0.05)
    study_defaults: Mapping[str, Any] = {
        "search": {
            "space": {
                "lr": {"low": 1e-3, "high": 3.0, "scale": "log"},
                "momentum": {"low": 0.0, "high": 0.99, "scale": "reverse-log"},
            }
        }
    }

    hyperparameters = LABEL_SMOOTHING
    loss = staticmethod(cross_entropy)
    error = staticmethod(misclassified)

    def __init__(  # noqa: PLR0913 - one argument for each option of the workload
        self,
        hidden: Sequence[int] | None = None,
        dropout: float = 0.0,
        parameters: int | None = None,
        depth: int | None = None,
        images: float = 1.0,
        classes: float = 1.0,
    ) -> None:
        """Sets the network's size and the part of the data.

        Args:
            hidden: width of each hidden layer; None is (32,).
            dropout: fraction of the hidden layers' outputs that training drops, in [0, 1); above
                0, lanes are looped.
            parameters: instead of `hidden`: number of weights and biases, met within 2 % by
                hidden layers of one width.
            depth: number of those layers; None is 1.
            images: training images to keep: a fraction up to 1, above it a number.
            classes: classes to keep: a fraction up to 1, above it a number.
        """
        self._kept, self._classes = (images, classes), amount("classes", classes, 10)
        ends = (64, self._classes)
        self._hidden = hidden_layers(ends, hidden, parameters, depth, default=(32,))
        self._dropout = dropout

    def data(self) -> Data:
        """Gives the digits."""
        return part(digits(), *self._kept)

    def model(self) -> nn.Module:
        """Gives a fresh network."""
        return mlp(64, self._hidden, self._classes, self._dropout)


def _digit_images() -> Data:
    """Gives the digits as images, (examples, 1, 8, 8)."""
    flat = digits()
    train, validation = (
        Examples(split.inputs.view(-1, 1, 8, 8), split.targets)
        for split in (flat.train, flat.validation)
    )
    return Data(train=train, validation=validation)


class DigitsCNN:
    """scikit-learn's handwritten digits, a convolutional network, 5 % validation error."""

    target = Target(0.05)
    study_defaults: Mapping[str, Any] = {
        "search": {
            "space": {
                "lr": {"low": 1e-3, "high": 3.0, "scale": "log"},
                "momentum": {"low": 0.0, "high": 0.99, "scale": "reverse-log"},
            }
        }
    }

    loss = staticmethod(cross_entropy)
    error = staticmethod(misclassified)

    def __init__(self, filters: tuple[int, int] = (8, 16), hidden: int = 32) -> None:
        """Sets the network's size.

        Args:
            filters: of the first and of the second 5x5 convolution.
            hidden: units of the dense layer.
        """
        self._sizes = (*filters, hidden)

    def data(self) -> Data:
        """Gives the digits."""
        return _digit_images()

    def model(self) -> nn.Module:
        """Gives a fresh network."""
        return simple_cnn((1, 8, 8), 10, self._sizes)


class DigitsResNet8:
    """scikit-learn's handwritten digits, a narrow ResNet-8, 5 % validation error.

    Small enough to show on any machine what normalisation does to the curve.
    """

    target = Target(0.05)
    study_defaults: Mapping[str, Any] = {
        "search": {
            "space": {
                "lr": {"low": 1e-3, "high": 10.0, "scale": "log"},
                "momentum": {"low": 0.0, "high": 0.99, "scale": "reverse-log"},
            }
        },
        "race": {"max_steps": 5_000},
    }

    loss = staticmethod(cross_entropy)
    error = staticmethod(misclassified)

    def __init__(
        self, norm: str = "none", ghost: int = GHOST, widths: Sequence[int] = (4, 8, 16)
    ) -> None:
        """Sets the network's normalisation and size.

        Args:
            norm: none, batch or ghost; batch statistics make the lanes looped.
            ghost: most examples of a ghost batch.
            widths: filters of each of the blocks.
        """
        self._norm, self._ghost, self._widths = norm, ghost, tuple(widths)
        with torch.device("meta"):
            self.model()  # a wrong option is told at once

    def data(self) -> Data:
        """Gives the digits."""
        return _digit_images()

    def model(self) -> nn.Module:
        """Gives a fresh network."""
        return resnet8(1, 10, self._widths, self._norm, self._ghost)


class FashionMnistMLP:
    """Fashion-MNIST, a fully connected network, 15 % validation error."""

    target = Target(0.15)
    study_defaults: Mapping[str, Any] = {"race": {"max_steps": 200_000}}

    hyperparameters = LABEL_SMOOTHING
    loss = staticmethod(cross_entropy)
    error = staticmethod(misclassified)

    def __init__(  # noqa: PLR0913 - one argument for each option of the workload
        self,
        hidden: Sequence[int] | None = None,
        pool: int = 2,
        data_dir: str | None = None,
        download: bool = False,
        dropout: float = 0.0,
        parameters: int | None = None,
        depth: int | None = None,
        images: float = 1.0,
        classes: float = 1.0,
    ) -> None:
        """Sets the network's size, where the images are and the part of them.

        Args:
            hidden: width of each hidden layer; None is (64,).
            pool: side of the squares of pixels that are averaged, 1 or 2.
            data_dir: folder of the idx files; None looks in the usual places.
            download: whether the Hugging Face hub may be asked when they are not found.
            dropout: fraction of the hidden layers' outputs that training drops, in [0, 1); above
                0, lanes are looped.
            parameters: instead of `hidden`: number of weights and biases, met within 2 % by
                hidden layers of one width.
            depth: number of those layers; None is 1.
            images: training images to keep: a fraction up to 1, above it a number.
            classes: classes to keep: a fraction up to 1, above it a number.
        """
        self._kept, self._classes = (images, classes), amount("classes", classes, 10)
        self._inputs = (28 // check_pool(pool)) ** 2
        ends = (self._inputs, self._classes)
        self._hidden = hidden_layers(ends, hidden, parameters, depth, default=(64,))
        self._dropout, self._pool = dropout, pool
        self._data_dir, self._download = data_dir, download

    @cached_property
    def _images(self) -> Data:
        whole = fashion_mnist(self._data_dir, self._pool, self._download)
        return part(whole, *self._kept)

    def data(self) -> Data:
        """Gives the images; read once, since the files take a second."""
        return self._images

    def model(self) -> nn.Module:
        """Gives a fresh network."""
        return mlp(self._inputs, self._hidden, self._classes, self._dropout)
