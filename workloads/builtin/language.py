"""Language models of bytes: the target is on the mean cross-entropy per byte, in nats."""

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from workloads.data.text import SYMBOLS, text
from workloads.models.lstm import LSTM
from workloads.models.transformer import Transformer
from workloads.workload import Data, Examples, Model, Target


def cross_entropy_per_byte(model: Model, batch: Examples) -> Tensor:
    """Gives the mean cross-entropy over examples and positions, in nats per byte, a scalar.

    Args:
        model: gives logits (examples, positions, 256).
        batch: bytes, and for each the byte that follows it.

    Returns:
        The mean, whatever the context's length.
    """
    logits = model(batch.inputs).flatten(0, 1)
    return nn.functional.cross_entropy(logits, batch.targets.flatten().long())


class _Text:
    """What the workloads on text share."""

    target = Target(2.3, "loss")
    loss = staticmethod(cross_entropy_per_byte)
    error = staticmethod(cross_entropy_per_byte)

    def __init__(self, path: str | None, context: int) -> None:
        self._path, self._context = path, context
        with torch.device("meta"):
            self.model()  # a wrong option is told at once

    @cached_property
    def _data(self) -> Data:
        return text(self._path, self._context)

    def data(self) -> Data:
        """Gives windows of text; read once."""
        return self._data

    def model(self) -> nn.Module:
        """Gives a fresh network."""
        raise NotImplementedError


class TextTransformer(_Text):
    """Bytes of text, a small decoder-only Transformer, 2.3 nats per byte on validation."""

    study_defaults: Mapping[str, Any] = {
        "search": {
            "space": {
                "lr": {"low": 1e-3, "high": 1.0, "scale": "log"},
                "momentum": {"low": 0.0, "high": 0.99, "scale": "reverse-log"},
            }
        },
        "race": {"max_steps": 5_000},
    }

    def __init__(
        self,
        path: str | None = None,
        context: int = 32,
        width: int = 64,
        layers: int = 2,
        heads: int = 4,
    ) -> None:
        """Sets the text and the network's size.

        Args:
            path: a file or a folder of text, an absolute path or one in BATCHSCALE_DATA, or
                `hub:owner/name:file`; left out, the modules of Python's own library.
            context: bytes that the model sees.
            width: numbers per position, a multiple of `heads`.
            layers: blocks.
            heads: attention heads of each block.
        """
        self._sizes = (width, layers, heads)
        super().__init__(path, context)

    def model(self) -> nn.Module:
        """Gives a fresh network."""
        return Transformer(SYMBOLS, self._context, *self._sizes)


class TextLSTM(_Text):
    """Bytes of text, a small LSTM, 2.3 nats per byte on validation."""

    study_defaults: Mapping[str, Any] = {
        "search": {
            "space": {
                "lr": {"low": 1e-1, "high": 30.0, "scale": "log"},
                "momentum": {"low": 0.0, "high": 0.99, "scale": "reverse-log"},
            }
        },
        "race": {"max_steps": 5_000},
    }

    def __init__(
        self, path: str | None = None, context: int = 32, width: int = 64, layers: int = 1
    ) -> None:
        """Sets the text and the network's size.

        Args:
            path: a file or a folder of text, an absolute path or one in BATCHSCALE_DATA, or
                `hub:owner/name:file`; left out, the modules of Python's own library.
            context: bytes that the model sees; its state starts at zero in each window.
            width: numbers per position.
            layers: LSTM layers.
        """
        self._sizes = (width, layers)
        super().__init__(path, context)

    def model(self) -> nn.Module:
        """Gives a fresh network."""
        return LSTM(SYMBOLS, *self._sizes)
