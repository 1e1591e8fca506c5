"""A decoder-only Transformer language model."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from workloads.errors import WorkloadError
from workloads.models.layers import check_sizes


class CausalAttention(nn.Module):
    """Multi-head attention of each position to itself and earlier ones.

    Written as plain matrix products, which `torch.func.vmap` can transform together with gradients.
    """

    def __init__(self, width: int, heads: int) -> None:
        """Create a layer of `width` features per position, a multiple of `heads`."""
        super().__init__()
        self._heads = heads
        self.inward = nn.Linear(width, 3 * width, bias=False)
        self.outward = nn.Linear(width, width, bias=False)

    def forward(self, states: Tensor) -> Tensor:
        """Map states (examples, positions, width) to the same shape."""
        examples, positions, width = states.shape
        split = self.inward(states).view(examples, positions, 3, self._heads, width // self._heads)
        query, key, value = split.permute(2, 0, 3, 1, 4).unbind(0)
        scores = query @ key.transpose(-2, -1) / math.sqrt(width // self._heads)
        later = torch.ones(positions, positions, dtype=torch.bool, device=states.device).triu(1)
        weights = scores.masked_fill(later, -math.inf).softmax(dim=-1)
        mixed = (weights @ value).transpose(1, 2).reshape(examples, positions, width)
        return torch.as_tensor(self.outward(mixed))


class TransformerBlock(nn.Module):
    """Attention and a dense layer, each with layer norm before it and a skip connection."""

    def __init__(self, width: int, heads: int) -> None:
        """Create a block whose dense layer is four times as wide."""
        super().__init__()
        self.attention = nn.Sequential(nn.LayerNorm(width), CausalAttention(width, heads))
        self.dense = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )

    def forward(self, states: Tensor) -> Tensor:
        """Map states (examples, positions, width) to the same shape."""
        states = states + self.attention(states)
        return states + torch.as_tensor(self.dense(states))


class Transformer(nn.Module):
    """A decoder-only language model with learned positions and pre-norm blocks."""

    parameter_roles: Mapping[str, str] = {"positions": "embedding"}

    def __init__(self, symbols: int, context: int, width: int, layers: int, heads: int) -> None:
        """Create a model for up to `context` tokens of `symbols` >= 2; `heads` divide `width`."""
        super().__init__()
        check_sizes(context=context, width=width, layers=layers, heads=heads)
        if width % heads:
            raise WorkloadError(f"`width` must be a multiple of `heads`, got {width} and {heads}")
        self.tokens = nn.Embedding(symbols, width)
        self.positions = nn.Parameter(0.02 * torch.randn(context, width))
        self.blocks = nn.Sequential(*(TransformerBlock(width, heads) for _ in range(layers)))
        self.last = nn.LayerNorm(width)
        self.logits = nn.Linear(width, symbols, bias=False)
        # with torch's unit variance, tokens would drown out the positions and the blocks
        nn.init.normal_(self.tokens.weight, std=0.02)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return logits (examples, positions, symbols) of each next token, from up to `context`."""
        states = self.tokens(tokens.long()) + self.positions[: tokens.shape[-1]]
        return torch.as_tensor(self.logits(self.last(self.blocks(states))))
