"""An LSTM language model (Hochreiter and Schmidhuber 1997, with forget gates)."""

import math

import torch
from torch import Tensor, nn

from workloads.errors import WorkloadError


class LSTMLayer(nn.Module):
    """One layer, iterated in Python because `torch.func.vmap` refuses `nn.LSTM`.

    Its parameters are those of `torch.nn.LSTM`, gates in the order input, forget, cell, output,
    with one bias in place of two that are only ever added.
    """

    def __init__(self, inputs: int, width: int) -> None:
        """Create a layer from `inputs` to `width` features per position."""
        super().__init__()
        bound = 1 / math.sqrt(width)
        self.inward = nn.Parameter(torch.empty(4 * width, inputs).uniform_(-bound, bound))
        self.recurrent = nn.Parameter(torch.empty(4 * width, width).uniform_(-bound, bound))
        # an open forget gate lets gradients through from the start (Jozefowicz et al. 2015)
        self.bias = nn.Parameter(torch.zeros(4, width).index_fill(0, torch.tensor(1), 1).flatten())

    def forward(self, states: Tensor) -> Tensor:
        """Map states (examples, positions, inputs) to (examples, positions, width)."""
        given = states @ self.inward.T + self.bias
        hidden = cell = torch.zeros_like(given[:, 0, : len(self.bias) // 4])
        outputs = []
        # not by index, whose gradient is as large as all positions together, at every position
        for arriving in given.unbind(dim=1):
            gates = arriving + hidden @ self.recurrent.T
            enter, forget, new, out = gates.chunk(4, dim=-1)
            cell = torch.sigmoid(forget) * cell + torch.sigmoid(enter) * torch.tanh(new)
            hidden = torch.sigmoid(out) * torch.tanh(cell)
            outputs.append(hidden)
        return torch.stack(outputs, dim=1)


class LSTM(nn.Module):
    """A language model: embedded tokens, LSTM layers, logits; the state starts at zero."""

    def __init__(self, symbols: int, width: int, layers: int) -> None:
        """Create a model of `symbols` >= 2 tokens, with an embedding and layers of one width."""
        super().__init__()
        for name, size in {"width": width, "layers": layers}.items():
            if size < 1:
                raise WorkloadError(f"`{name}` must be at least 1, got {size}")
        self.tokens = nn.Embedding(symbols, width)
        self.layers = nn.Sequential(*(LSTMLayer(width, width) for _ in range(layers)))
        self.logits = nn.Linear(width, symbols)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return logits (examples, positions, symbols) of each next token; tokens are integers."""
        return torch.as_tensor(self.logits(self.layers(self.tokens(tokens.long()))))
