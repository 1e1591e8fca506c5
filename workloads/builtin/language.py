"""Language models of bytes: the target is on the mean cross-entropy per byte, in nats."""

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from workloads.builtin.defaults import momentum_space
from workloads.data.text import SYMBOLS, text
from workloads.models.lstm import LSTM
from workloads.models.transformer import Transformer
from workloads.workload import Data, Examples, Model, Target


def cross_entropy_per_byte(model: Model, batch: Examples) -> Tensor:
    """Return the mean cross-entropy of logits (examples, positions, 256), in nats per byte.

    The targets of a batch are, for each byte, the byte that follows it.
    """
    logits = model(batch.inputs).flatten(0, 1)
    return nn.functional.cross_entropy(logits, batch.targets.flatten().long())


class _Text:
    """Workloads on text."""

    target = Target(2.3, "loss")
    loss = staticmethod(cross_entropy_per_byte)
    error = staticmethod(cross_entropy_per_byte)

    def __init__(self, path: str | None, context: int) -> None:
        self._path, self._context = path, context
        with torch.device("meta"):
            self.model()  # refuses wrong options at once

    @cached_property
    def _data(self) -> Data:
        return text(self._path, self._context)

    def data(self) -> Data:
        """Return windows of text, read once."""
        return self._data

    def model(self) -> nn.Module:
        """Return a new network."""
        raise NotImplementedError


class TextTransformer(_Text):
    """Bytes of text, a small decoder-only Transformer, 2.3 nats per byte on validation."""

    study_defaults: Mapping[str, Any] = {
        "search": {"space": momentum_space(lr=(1e-3, 1.0))},
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
        """Set the text and the network's size.

        Args:
            path: a file or folder of text, an absolute path or one in BATCHSCALE_DATA, or
                `hub:owner/name:file`; None reads the modules of Python's standard library.
            context: length of a window, bytes.
            width: size of the embedding, a multiple of `heads`.
            layers: number of blocks.
            heads: attention heads of each block.
        """
        self._sizes = (width, layers, heads)
        super().__init__(path, context)

    def model(self) -> nn.Module:
        """Return a new network."""
        return Transformer(SYMBOLS, self._context, *self._sizes)


class TextLSTM(_Text):
    """Bytes of text, a small LSTM, 2.3 nats per byte on validation."""

    study_defaults: Mapping[str, Any] = {
        "search": {"space": momentum_space(lr=(1e-1, 30.0))},
        "race": {"max_steps": 5_000},
    }

    def __init__(
        self, path: str | None = None, context: int = 32, width: int = 64, layers: int = 1
    ) -> None:
        """Set the text and the network's size.

        Args:
            path: as for `TextTransformer`.
            context: length of a window, bytes; the state starts at zero in each.
            width: size of the embedding and of every layer.
            layers: number of LSTM layers.
        """
        self._sizes = (width, layers)
        super().__init__(path, context)

    def model(self) -> nn.Module:
        """Return a new network."""
        return LSTM(SYMBOLS, *self._sizes)
