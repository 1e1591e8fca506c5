"""From stored pixels to what a network is fed; a model's first layer, so that data stay bytes."""

import torch
from torch import Tensor, nn


class Pixels(nn.Module):
    """Scales a batch of images to about zero mean and unit spread.

    Data sets are kept as unsigned bytes, in memory or in a mapped file, a quarter of their size as
    floats; only the batch becomes floats. Images of floats are taken to lie in [0, 1] already.
    """

    def __init__(self, mean: float = 0.5, spread: float = 0.25) -> None:
        """Sets the scale.

        Args:
            mean: subtracted from pixels in [0, 1].
            spread: what they are then divided by, > 0.
        """
        super().__init__()
        self._mean, self._spread = mean, spread

    def forward(self, images: Tensor) -> Tensor:
        """Gives images (examples, channels, height, width) as scaled floats of the same shape."""
        unit = 1 / 255 if images.dtype == torch.uint8 else 1.0
        return images.to(torch.float32) * (unit / self._spread) - self._mean / self._spread
