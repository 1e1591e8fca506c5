"""Built-in classification workloads; a workload of your own may look just like them."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from workloads.builtin.defaults import momentum_space
from workloads.data.digits import digits
from workloads.data.fashion_mnist import check_pool, fashion_mnist
from workloads.data.images import resolve_amount, subset
from workloads.models.mlp import hidden_layers, mlp
from workloads.models.normalization import GHOST
from workloads.models.resnet import resnet8
from workloads.models.simple_cnn import simple_cnn
from workloads.workload import Data, Examples, Model, Target

LABEL_SMOOTHING: Mapping[str, Mapping[str, float]] = {
    "label_smoothing": {"default": 0.0, "low": 0.0, "high": 1.0}
}


def cross_entropy(model: Model, batch: Examples, label_smoothing: Tensor | float = 0.0) -> Tensor:
    """Return the mean cross-entropy of logits (examples, classes) with labels, a scalar.

    `label_smoothing` is s in [0, 1), in torch's convention (Szegedy et al. 2016): of K classes, the
    label gets 1 - s + s / K and every other one s / K. Shallue et al. 2018 give the others
    s' / (K - 1) and the label 1 - s', which is the same for s = s' K / (K - 1).
    """
    logits = model(batch.inputs)
    if not isinstance(label_smoothing, Tensor) and label_smoothing == 0:
        return nn.functional.cross_entropy(logits, batch.targets)
    # torch's function takes no tensor for s, which differs between lanes
    nats = -nn.functional.log_softmax(logits, dim=-1)
    of_label = nats.gather(-1, batch.targets.unsqueeze(-1))
    return (1 - label_smoothing) * of_label.mean() + label_smoothing * nats.mean()


def misclassified(model: Model, data: Examples) -> Tensor:
    """Return the fraction of misclassified examples, a scalar."""
    wrong: Tensor = model(data.inputs).argmax(dim=-1) != data.targets
    return wrong.to(torch.float32).mean()


class DigitsMLP:
    """scikit-learn's handwritten digits, a fully connected network, 5 % validation error."""

    target = Target(0.05)
    study_defaults: Mapping[str, Any] = {"search": {"space": momentum_space(lr=(1e-3, 3.0))}}

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
        """Set the network and the part of the data.

        Args:
            hidden: width of each hidden layer; None is (32,).
            dropout: dropout of the hidden layers, in [0, 1).
            parameters: instead of `hidden`, the number of weights and biases, met within 2 % by
                hidden layers of equal width.
            depth: number of these layers; None is 1.
            images: training images to keep: a fraction up to 1, a number above.
            classes: classes to keep: a fraction up to 1, a number above.
        """
        self._kept, self._classes = (images, classes), resolve_amount("classes", classes, 10)
        ends = (64, self._classes)
        self._hidden = hidden_layers(ends, hidden, parameters, depth, default=(32,))
        self._dropout = dropout

    def data(self) -> Data:
        """Return the digits."""
        return subset(digits(), *self._kept)

    def model(self) -> nn.Module:
        """Return a new network."""
        return mlp(64, self._hidden, self._classes, self._dropout)


class _DigitImages:
    """Workloads on scikit-learn's handwritten digits as images, (examples, 1, 8, 8)."""

    target = Target(0.05)
    loss = staticmethod(cross_entropy)
    error = staticmethod(misclassified)

    def data(self) -> Data:
        """Return the digits."""
        flat = digits()
        train, validation = (
            Examples(split.inputs.view(-1, 1, 8, 8), split.targets)
            for split in (flat.train, flat.validation)
        )
        return Data(train=train, validation=validation)


class DigitsCNN(_DigitImages):
    """scikit-learn's handwritten digits, a convolutional network, 5 % validation error."""

    study_defaults: Mapping[str, Any] = {"search": {"space": momentum_space(lr=(1e-3, 3.0))}}

    def __init__(self, filters: tuple[int, int] = (8, 16), hidden: int = 32) -> None:
        """Set the filters of the two 5x5 convolutions, and the units of the dense layer."""
        self._sizes = (*filters, hidden)

    def model(self) -> nn.Module:
        """Return a new network."""
        return simple_cnn((1, 8, 8), 10, self._sizes)


class DigitsResNet8(_DigitImages):
    """scikit-learn's handwritten digits, a narrow ResNet-8, 5 % validation error.

    It is small enough to show on any machine how normalization changes the curve.
    """

    study_defaults: Mapping[str, Any] = {
        "search": {"space": momentum_space(lr=(1e-3, 10.0))},
        "race": {"max_steps": 5_000},
    }

    def __init__(
        self, norm: str = "none", ghost: int = GHOST, widths: Sequence[int] = (4, 8, 16)
    ) -> None:
        """Set the normalization and the filters of each block.

        `norm` is none, batch, or ghost with at most `ghost` examples.
        """
        self._norm, self._ghost, self._widths = norm, ghost, tuple(widths)
        with torch.device("meta"):
            self.model()  # refuses wrong options at once

    def model(self) -> nn.Module:
        """Return a new network."""
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
        """Set the network and the data; see `DigitsMLP` for the options that are not named here.

        `hidden` is (64,) by default. `pool` is the side of the squares of pixels that are averaged,
        1 or 2. `data_dir` is the folder of the idx files; None searches the usual places. With
        `download`, missing files may be fetched from the Hugging Face hub.
        """
        self._kept, self._classes = (images, classes), resolve_amount("classes", classes, 10)
        self._inputs = (28 // check_pool(pool)) ** 2
        ends = (self._inputs, self._classes)
        self._hidden = hidden_layers(ends, hidden, parameters, depth, default=(64,))
        self._dropout, self._pool = dropout, pool
        self._data_dir, self._download = data_dir, download

    @cached_property
    def _images(self) -> Data:
        return subset(fashion_mnist(self._data_dir, self._pool, self._download), *self._kept)

    def data(self) -> Data:
        """Return the images, read once."""
        return self._images

    def model(self) -> nn.Module:
        """Return a new network."""
        return mlp(self._inputs, self._hidden, self._classes, self._dropout)
