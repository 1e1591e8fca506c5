"""Language models of bytes or tokens; the target is on the mean cross-entropy per byte, in nats.

A cross-entropy per token would depend on the tokenizer.
"""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn

from workloads.builtin import momentum_space
from workloads.data.text import Text, text
from workloads.data.tokens import BYTES, require_size
from workloads.models.lstm import LSTM
from workloads.models.transformer import Transformer
from workloads.workload import Data, Examples, Model, Target


def cross_entropy_per_token(model: Model, batch: Examples) -> Tensor:
    """Return the mean cross-entropy of logits (examples, positions, tokens), in nats per token.

    The target of each token is the token that follows it.
    """
    logits = model(batch.inputs).flatten(0, 1)
    return nn.functional.cross_entropy(logits, batch.targets.flatten().long())


@dataclass(eq=False)
class _Text:
    """Base of workloads on text.

    Attributes:
        path: a file or folder of text, an absolute path or one in BATCHSCALE_DATA, or
            `hub:owner/name:file`; None for the modules of Python's standard library.
        context: length of a window in tokens.
        width: size of the embedding and of every layer.
        layers: number of layers.
        vocabulary: number of tokens, learned from the training text by byte-pair encoding; 256 for
            its bytes.
    """

    path: str | None = None
    context: int = 32
    width: int = 64
    layers: int = 1
    vocabulary: int = BYTES

    target = Target(2.3, "loss")
    loss = staticmethod(cross_entropy_per_token)

    def __post_init__(self) -> None:
        require_size(self.vocabulary)
        with torch.device("meta"):
            self.model()  # refuses wrong options early

    @property
    def tokens_per_example(self) -> int:
        """Tokens in a window."""
        return self.context

    @cached_property
    def _text(self) -> Text:
        return text(self.path, self.context, self.vocabulary)

    def data(self) -> Data:
        """Return windows of text, read once."""
        return self._text.data

    def error(self, model: Model, batch: Examples) -> Tensor:
        """Return the mean cross-entropy in nats per byte of validation text."""
        return cross_entropy_per_token(model, batch) * self._text.tokens_per_byte

    def model(self) -> nn.Module:
        raise NotImplementedError


@dataclass(eq=False)
class TextTransformer(_Text):
    """Text by bytes or tokens, a small decoder-only Transformer, 2.3 nats per validation byte.

    It has `layers` blocks with `heads` attention heads each, which must divide `width`.
    """

    layers: int = 2
    heads: int = 4

    study_defaults = {
        "search": {"space": momentum_space(lr=(1e-3, 1.0))},
        "race": {"max_steps": 5_000},
    }

    def model(self) -> nn.Module:
        return Transformer(self.vocabulary, self.context, self.width, self.layers, self.heads)


class TextLSTM(_Text):
    """Text by bytes or tokens, a small LSTM, 2.3 nats per validation byte.

    Its state starts at zero in each window.
    """

    study_defaults = {
        "search": {"space": momentum_space(lr=(1e-1, 30.0))},
        "race": {"max_steps": 5_000},
    }

    def model(self) -> nn.Module:
        return LSTM(self.vocabulary, self.width, self.layers)
