"""Building blocks of the image models: pixel scaling, initial weights, normalization."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from workloads.errors import WorkloadError

GHOST = 64
"""Default number of examples in a ghost batch, as in init2winit."""

Norm = Callable[[int], nn.Module]
"""A function from a number of channels to a layer that normalizes them."""

_MEAN, _SPREAD = 0.5, 0.25
"""Assumed mean and standard deviation of pixels in [0, 1]."""


def check_sizes(**sizes: int) -> None:
    """Refuse what is not an integer of at least 1; torch would build layers without weights."""
    for name, size in sizes.items():
        if isinstance(size, bool) or not isinstance(size, int) or size < 1:
            raise WorkloadError(f"`{name}` must be an integer of at least 1, got {size!r}")


def dropout_layers(dropout: float) -> list[nn.Module]:
    """Return a dropout layer, none for 0; refuse all outside [0, 1)."""
    if not 0 <= dropout < 1:
        raise WorkloadError(f"`dropout` must lie in [0, 1), got {dropout:g}")
    return [nn.Dropout(dropout)] if dropout else []


class Pixels(nn.Module):
    """A layer that scales images to a mean of about 0 and a standard deviation of about 1.

    Data sets stay bytes, a quarter of the size of floats; only batches become floats. Images that
    are floats already are assumed to lie in [0, 1].
    """

    def forward(self, images: Tensor) -> Tensor:
        """Return images (examples, channels, height, width) as scaled floats of the same shape."""
        unit = 1 / 255 if images.dtype == torch.uint8 else 1.0
        return images.to(torch.float32) * (unit / _SPREAD) - _MEAN / _SPREAD


def he_initialized(network: nn.Sequential) -> nn.Sequential:
    """Return the network with Gaussian weights of variance 2 / inputs (He et al. 2015).

    With torch's default variance, 1 / (3 inputs), signals vanish in a deep network without
    normalization. Biases are set to zero. The last layer, which gives the logits, is not changed.
    """
    layers = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    for layer in layers[:-1]:
        nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
    return network


class GhostBatchNorm2d(nn.BatchNorm2d):
    """Batch normalization over parts of the batch, ghost batches (Hoffer et al. 2017).

    A batch is split, in order, into as few ghost batches of at most `ghost` examples as possible,
    whose sizes differ by at most one. With `ghost` 64, 128 examples give 64 + 64, and 65 give
    33 + 32. So statistics never come from more than `ghost` examples, and in a batch larger than
    `ghost` never from fewer than half of that.

    The running averages take one step per batch, toward the means and variances of its ghost
    batches, averaged with their sizes as weights. Evaluation uses them as batch norm does.
    """

    def __init__(self, channels: int, ghost: int = GHOST) -> None:
        """Create a layer whose ghost batches have at most `ghost` >= 1 examples."""
        super().__init__(channels)
        check_sizes(ghost=ghost)
        self.ghost = ghost

    def forward(self, input: Tensor) -> Tensor:
        """Normalize images (examples, channels, height, width)."""
        parts = -(-len(input) // self.ghost)
        if not self.training or parts == 1:
            return super().forward(input)
        means, variances, outputs = [], [], []
        for part in torch.tensor_split(input, parts):
            # momentum 1 writes the part's own statistics in place of running averages
            mean, variance = (torch.zeros_like(self.weight).detach() for _ in range(2))
            outputs.append(
                nn.functional.batch_norm(
                    part, mean, variance, self.weight, self.bias, True, 1.0, self.eps
                )
            )
            means.append(mean * (len(part) / len(input)))
            variances.append(variance * (len(part) / len(input)))
        self._update_running(torch.stack(means).sum(0), torch.stack(variances).sum(0))
        return torch.cat(outputs)

    def _update_running(self, mean: Tensor, variance: Tensor) -> None:
        assert self.running_mean is not None  # the constructor makes them
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
    """Return a norm's layers by channels: none, batch, or ghost of at most `ghost` examples."""
    if norm not in _NORMS:
        raise WorkloadError(f"`norm` must be one of {', '.join(_NORMS)}, got {norm!r}")
    return _NORMS[norm](ghost)
