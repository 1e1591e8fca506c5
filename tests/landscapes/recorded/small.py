"""Workloads that are recorded as landscapes, small and quick to measure."""

from dataclasses import dataclass

from torch import nn

from workloads.builtin.classification import DigitsCNN, FashionMnistMLP
from workloads.builtin.language import TextTransformer
from workloads.models.layers import Pixels
from workloads.models.transformer import Transformer
from workloads.workload import Data, Examples, Target


@dataclass(eq=False)
class Fashion(FashionMnistMLP):
    """Fashion-MNIST at 14 x 14 pixels, 16 hidden units, 4,096 images, 22 % error on 1,000."""

    hidden: tuple[int, ...] = (16,)
    images: float = 4096

    target = Target(0.22)

    def data(self) -> Data:
        """Return the images."""
        return _few(self._images, 4_096, 1_000)


class Convolutional(DigitsCNN):
    """Handwritten digits, convolutions to 4 and 8 channels with stride 2, 10 % error."""

    target = Target(0.1)

    def model(self) -> nn.Module:
        """Return a new network."""
        return nn.Sequential(
            Pixels(),
            nn.Conv2d(1, 4, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(4, 8, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(32, 10),
        )


@dataclass(eq=False)
class Attentive(TextTransformer):
    """Windows of 4 letters of Python's library, a Transformer of width 8, 2.8 nats per letter.

    Letters are bytes modulo 32, which ignores case and merges other characters with letters.
    """

    context: int = 4
    width: int = 8
    layers: int = 1
    heads: int = 2

    target = Target(2.8, "loss")

    def data(self) -> Data:
        """Return the windows."""
        data = _few(super().data(), 2**14, 256)
        letters = {n: Examples(x.inputs % 32, x.targets % 32) for n, x in data.splits.items()}
        return Data(**letters)

    def model(self) -> nn.Module:
        """Return a new network."""
        return Transformer(32, self.context, self.width, self.layers, self.heads)


def _few(data: Data, training: int, validation: int) -> Data:
    ends = {"train": training, "validation": validation}
    return Data(**{name: split.rows(slice(ends[name])) for name, split in data.splits.items()})
