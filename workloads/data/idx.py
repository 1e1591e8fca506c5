"""The idx file format of MNIST and Fashion-MNIST (LeCun's description of it)."""

import gzip
import io
import math
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from batchscale.files import read_file
from workloads.errors import WorkloadError

_UNSIGNED_BYTES = 0x08
_MOST_BYTES = 2**28
"""Size that no such file has; the largest known ones have 47 MB."""


def read_idx(path: Path) -> NDArray[np.uint8]:
    """Return the array in an idx file of unsigned bytes, gzipped if it ends in `.gz`.

    Raises:
        WorkloadError: the file is truncated, too long, or not an idx file of unsigned bytes.
    """
    content = _content(path)
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] != _UNSIGNED_BYTES:
        raise WorkloadError(
            f"an idx file of bytes must start with 00 00 08, got {content[:3].hex(' ')} in {path}; "
            "fetch it again"
        )
    dimensions = content[3]
    header = 4 + 4 * dimensions
    sizes = content[4:header]
    shape = tuple(int.from_bytes(sizes[i : i + 4]) for i in range(0, len(sizes), 4))
    if len(content) < header or len(content) - header != math.prod(shape):
        raise WorkloadError(
            f"an idx file must hold what its header states, {shape}, got "
            f"{max(0, len(content) - header):,} bytes in {path}; fetch it again"
        )
    return np.frombuffer(content, dtype=np.uint8, offset=header).reshape(shape)


def _content(path: Path) -> bytes:
    try:
        content = read_file(path, _MOST_BYTES)
        if path.suffix == ".gz":
            with gzip.open(io.BytesIO(content)) as stream:
                content = stream.read(_MOST_BYTES + 1)
            if len(content) > _MOST_BYTES:
                raise OSError(f"it unpacks to more than {_MOST_BYTES:,} bytes")
    except (OSError, EOFError, zlib.error) as error:
        raise WorkloadError(
            f"an idx file must be readable, got {path}: {error}; fetch it again"
        ) from error
    return content
