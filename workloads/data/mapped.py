"""Files as tensors of bytes, read only where they are indexed."""

import warnings
from pathlib import Path

import numpy as np
import torch
from torch import Tensor


def mapped(file: Path) -> Tensor:
    """Return the bytes of a file of any size but 0, memory-mapped and read-only, shape (bytes,).

    `torch.from_file` would not do: it maps writable memory, of which the system grants no more than
    there is.
    """
    with warnings.catch_warnings():
        # torch cannot express read-only memory; nothing writes to data
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(np.memmap(file, dtype=np.uint8, mode="r"))
