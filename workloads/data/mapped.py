"""Memory-mapped files as tensors of bytes."""

import warnings
from pathlib import Path

import numpy as np
import torch
from torch import Tensor


def mapped(file: Path) -> Tensor:
    """Return the bytes of a file that is not empty, memory-mapped and read-only, shape (bytes,).

    `torch.from_file` maps writable memory, which the system may refuse beyond its own size.
    """
    with warnings.catch_warnings():
        # torch cannot express read-only memory; nothing writes to data
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(np.memmap(file, dtype=np.uint8, mode="r"))
