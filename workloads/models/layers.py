"""Layers of the image models: pixels, initial weights, normalization by batch statistics."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from workloads.errors import WorkloadError

GHOST = 64
"""Default number of examples in a ghost batch, as in init2winit."""

Norm = Callable[[int], nn.Module]
"""Channels to a layer that normalises them."""

_MEAN, _SPREAD = 0.5, 0.25
"""What is subtracted from pixels in [0, 1], and by what they are then divided."""


class Pixels(nn.Module):
    """Scale a batch of images to about zero mean and unit spread.

    Data sets are kept as bytes, a quarter of their size as floats; only the batch becomes floats.
    Images of floats are assumed to lie in [0, 1].
    """

    def forward(self, images: Tensor) -> Tensor:
        """Return images (examples, channels, height, width) as scaled floats of the same shape."""
        unit = 1 / 255 if images.dtype == torch.uint8 else 1.0
        return images.to(torch.float32) * (unit / _SPREAD) - _MEAN / _SPREAD


def he_initialised(network: nn.Sequential) -> nn.Sequential:
    """Return a network with weights from Gaussians of variance 2 / inputs (He et al. 2015).

    Torch's default variance, 1 / (3 inputs), lets the signal of a deep network without
    normalization vanish. Biases become zero; the last layer, of the logits, is left as it is.
    """
    layers = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    for layer in layers[:-1]:
        nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
    return network


class GhostBatchNorm2d(nn.BatchNorm2d):
    """Batch normalization over parts of the batch, ghost batches (Hoffer et al. 2017).

    A batch is split, in its order, into as few ghost batches of at most `ghost` examples as
    possible, whose sizes differ by at most one: with 64, 128 examples make 64 + 64, 65 make
    33 + 32, and a batch of up to 64 is one ghost batch. So statistics never come from more than
    `ghost` examples, nor from fewer than half of it in a larger batch.

    The running averages take one step per batch, toward the mean over its ghost batches of their
    means and variances, each weighted by its size. Evaluation uses them as batch norm does.
    """

    def __init__(self, channels: int, ghost: int = GHOST) -> None:
        """Create a layer whose ghost batches have at most `ghost` >= 1 examples."""
        super().__init__(channels)
        if ghost < 1:
            raise WorkloadError(f"`ghost` must be at least 1 example, got {ghost}")
        self.ghost = ghost

    def forward(self, input: Tensor) -> Tensor:
        """Normalize images (examples, channels, height, width)."""
        parts = -(-len(input) // self.ghost)
        if not self.training or parts == 1:
            return super().forward(input)
        means, variances, outputs = [], [], []
        for part in torch.tensor_split(input, parts):
            # momentum 1 leaves the part's own statistics where running averages go
            mean, variance = (torch.zeros_like(self.weight).detach() for _ in range(2))
            outputs.append(
                nn.functional.batch_norm(
                    part, mean, variance, self.weight, self.bias, True, 1.0, self.eps
                )
            )
            means.append(mean * (len(part) / len(input)))
            variances.append(variance * (len(part) / len(input)))
        self._follow(torch.stack(means).sum(0), torch.stack(variances).sum(0))
        return torch.cat(outputs)

    def _follow(self, mean: Tensor, variance: Tensor) -> None:
        assert self.running_mean is not None  # as the constructor makes it
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        with torch.no_grad():
            self.num_batches_tracked.add_(1)
            for running, own in ((self.running_mean, mean), (self.running_var, variance)):
                running.add_(own - running, alpha=self.momentum or 0.0)  # vmap is slow at lerp_


_NORMS: Mapping[str, Callable[[int], Norm]] = {
    "none": lambda _: lambda _: nn.Identity(),
    "batch": lambda _: nn.BatchNorm2d,
    "ghost": lambda ghost: lambda channels: GhostBatchNorm2d(channels, ghost),
}


def normalization(norm: str, ghost: int) -> Norm:
    """Return what makes layers of a norm: none, batch, or ghost with at most `ghost` examples."""
    if norm not in _NORMS:
        raise WorkloadError(f"`norm` must be one of {', '.join(_NORMS)}, got {norm!r}")
    return _NORMS[norm](ghost)
