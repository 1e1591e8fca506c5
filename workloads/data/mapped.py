"""Files of bytes as tensors that are read where they are indexed, and nowhere else."""

import warnings
from pathlib import Path

import numpy as np
import torch
from torch import Tensor


def mapped(file: Path) -> Tensor:
    """Maps a file into memory, read-only: nothing may be written to the tensor.

    Args:
        file: of any size but 0, larger than memory too. `torch.from_file` would not do: it maps
            memory to write to as well, of which the system grants no more than there is.

    Returns:
        Its bytes, shape (bytes,).
    """
    with warnings.catch_warnings():
        # torch cannot say that a tensor is read-only; nobody writes to data
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(np.memmap(file, dtype=np.uint8, mode="r"))
