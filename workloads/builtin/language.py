"""Language models of bytes or tokens: the target is on the mean cross-entropy per byte, in nats.

Tokens hold several bytes each, so their own cross-entropy would depend on how they were made.
"""

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from workloads.builtin.defaults import momentum_space
from workloads.data.text import Text, text
from workloads.data.tokens import BYTES, require_size
from workloads.models.lstm import LSTM
from workloads.models.transformer import Transformer
from workloads.workload import Data, Examples, Model, Target


def cross_entropy_per_token(model: Model, batch: Examples) -> Tensor:
    """Return the mean cross-entropy of logits (examples, positions, tokens), in nats per token.

    The targets of a batch are, for each token, the token that follows it.
    """
    logits = model(batch.inputs).flatten(0, 1)
    return nn.functional.cross_entropy(logits, batch.targets.flatten().long())


class _Text:
    """Workloads on text."""

    target = Target(2.3, "loss")
    loss = staticmethod(cross_entropy_per_token)

    def __init__(self, path: str | None, context: int, vocabulary: int) -> None:
        require_size(vocabulary)
        self._path, self._context, self._vocabulary = path, context, vocabulary
        with torch.device("meta"):
            self.model()  # refuses wrong options at once

    @property
    def tokens_per_example(self) -> int:
        """Tokens in a window."""
        return self._context

    @cached_property
    def _text(self) -> Text:
        return text(self._path, self._context, self._vocabulary)

    def data(self) -> Data:
        """Return windows of text, read once."""
        return self._text.data

    def error(self, model: Model, batch: Examples) -> Tensor:
        """Return the mean cross-entropy in nats per byte of validation text."""
        return cross_entropy_per_token(model, batch) * self._text.tokens_per_byte

    def model(self) -> nn.Module:
        """Return a new network."""
        raise NotImplementedError


class TextTransformer(_Text):
    """Text by bytes or tokens, a small decoder-only Transformer, 2.3 nats per validation byte."""

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
        vocabulary: int = BYTES,
    ) -> None:
        """Set the text and the network's size.

        Args:
            path: a file or folder of text, an absolute path or one in BATCHSCALE_DATA, or
                `hub:owner/name:file`; None reads the modules of Python's standard library.
            context: length of a window, tokens.
            width: size of the embedding, a multiple of `heads`.
            layers: number of blocks.
            heads: attention heads of each block.
            vocabulary: number of tokens, made from the training text by byte-pair encoding; 256 for
                its bytes.
        """
        self._sizes = (width, layers, heads)
        super().__init__(path, context, vocabulary)

    def model(self) -> nn.Module:
        """Return a new network."""
        return Transformer(self._vocabulary, self._context, *self._sizes)


class TextLSTM(_Text):
    """Text by bytes or tokens, a small LSTM, 2.3 nats per byte on validation."""

    study_defaults: Mapping[str, Any] = {
        "search": {"space": momentum_space(lr=(1e-1, 30.0))},
        "race": {"max_steps": 5_000},
    }

    def __init__(
        self,
        path: str | None = None,
        context: int = 32,
        width: int = 64,
        layers: int = 1,
        vocabulary: int = BYTES,
    ) -> None:
        """Set the text and the network's size.

        Args:
            path: as for `TextTransformer`.
            context: length of a window, tokens; the state starts at zero in each.
            width: size of the embedding and of every layer.
            layers: number of LSTM layers.
            vocabulary: as for `TextTransformer`.
        """
        self._sizes = (width, layers)
        super().__init__(path, context, vocabulary)

    def model(self) -> nn.Module:
        """Return a new network."""
        return LSTM(self._vocabulary, *self._sizes)
