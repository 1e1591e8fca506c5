"""A model's first layer: scales stored pixels, so that data can stay bytes."""

import torch
from torch import Tensor, nn

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
