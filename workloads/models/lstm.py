"""An LSTM language model (Hochreiter and Schmidhuber 1997, with forget gates)."""

import math

import torch
from torch import Tensor, nn

from workloads.models.layers import check_sizes


class LSTMLayer(nn.Module):
    """One layer, iterated in Python because `torch.func.vmap` refuses `nn.LSTM`.

    It has the parameters of `torch.nn.LSTM`, with gates in the order input, forget, cell, output,
    but one bias in place of two, whose sum is all that matters.
    """

    def __init__(self, inputs: int, width: int) -> None:
        """Create a layer that maps `inputs` to `width` features per position."""
        super().__init__()
        bound = 1 / math.sqrt(width)
        self.inward = nn.Parameter(torch.empty(4 * width, inputs).uniform_(-bound, bound))
        self.recurrent = nn.Parameter(torch.empty(4 * width, width).uniform_(-bound, bound))
        # a forget gate that starts open lets gradients through (Jozefowicz et al. 2015)
        self.bias = nn.Parameter(torch.zeros(4, width).index_fill(0, torch.tensor(1), 1).flatten())

    def forward(self, states: Tensor) -> Tensor:
        """Map states (examples, positions, inputs) to (examples, positions, width)."""
        given = states @ self.inward.T + self.bias
        hidden = cell = torch.zeros_like(given[:, 0, : len(self.bias) // 4])
        outputs = []
        # not by index: the gradient of each index has the size of the whole sequence
        for arriving in given.unbind(dim=1):
            gates = arriving + hidden @ self.recurrent.T
            enter, forget, new, out = gates.chunk(4, dim=-1)
            cell = torch.sigmoid(forget) * cell + torch.sigmoid(enter) * torch.tanh(new)
            hidden = torch.sigmoid(out) * torch.tanh(cell)
            outputs.append(hidden)
        return torch.stack(outputs, dim=1)


class LSTM(nn.Module):
    """A language model: an embedding, LSTM layers whose state starts at zero, and logits."""

    def __init__(self, symbols: int, width: int, layers: int) -> None:
        """Create a model of `symbols` >= 2 tokens, with embedding and layers of the same width."""
        super().__init__()
        check_sizes(width=width, layers=layers)
        self.tokens = nn.Embedding(symbols, width)
        self.layers = nn.Sequential(*(LSTMLayer(width, width) for _ in range(layers)))
        self.logits = nn.Linear(width, symbols)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return logits (examples, positions, symbols) of the next tokens from integer tokens."""
        return torch.as_tensor(self.logits(self.layers(self.tokens(tokens.long()))))
