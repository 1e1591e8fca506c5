"""Fashion-MNIST as vectors: 60,000 gray images of 28x28 pixels, 10 classes (Xiao et al. 2017)."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from workloads.data.idx_images import FASHION_MNIST, TRAIN
from workloads.errors import WorkloadError
from workloads.workload import Data, Examples


def fashion_mnist(data_dir: str | None, pool: int, download: bool) -> Data:
    """Return 55,000 training and 5,000 validation images, (examples, (28 / pool)^2) in [0, 1].

    Args:
        data_dir: folder of the idx files, plain or gzipped; None searches BATCHSCALE_DATA and its
            subfolder fashion-mnist or, if it is not set, the folder of Debian's package.
        pool: side of the squares of pixels that are averaged, 1 or 2.
        download: whether missing files may be fetched from the Hugging Face hub.

    Raises:
        WorkloadError: no files are found, they are damaged, or the hub cannot be reached.
    """  # noqa: DOC502  (raised by FASHION_MNIST.read)
    check_pool(pool)
    images, labels = FASHION_MNIST.read(data_dir, download)
    inputs, targets = _pixels(images, pool), torch.tensor(labels, dtype=torch.int64)
    return Data(
        train=Examples(inputs[:TRAIN], targets[:TRAIN]),
        validation=Examples(inputs[TRAIN:], targets[TRAIN:]),
    )


def check_pool(pool: int) -> int:
    """Return the side of the squares that are averaged.

    Raises:
        WorkloadError: it is neither 1 nor 2.
    """
    if pool not in {1, 2}:
        raise WorkloadError(f"`pool` must be 1 or 2, got {pool}")
    return pool


def _pixels(images: NDArray[np.uint8], pool: int) -> Tensor:
    pixels = torch.tensor(images, dtype=torch.float32).div_(255.0)
    return nn.functional.avg_pool2d(pixels, pool).flatten(start_dim=1)
