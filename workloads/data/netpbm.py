"""The binary netpbm formats, grey (P5, .pgm) and colour (P6, .ppm), of one byte a value."""

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from workloads.errors import WorkloadError

SUFFIXES = frozenset({".pgm", ".ppm"})

_GAP = rb"(?:\s|#[^\n]*\n)+"
_HEADER = re.compile(rb"P([56])" + _GAP + rb"(\d+)" + _GAP + rb"(\d+)" + _GAP + rb"(\d+)\s")


def read_netpbm(path: Path) -> NDArray[np.uint8]:
    """Reads an image.

    Args:
        path: a .pgm or .ppm file.

    Returns:
        Its pixels, (height, width, 3); grey is repeated in every colour.

    Raises:
        WorkloadError: it is not whole, or of another form.
    """
    content = path.read_bytes()
    header = _HEADER.match(content)
    if header is None or header[4] != b"255":
        raise WorkloadError(
            f"a netpbm image must be binary (P5 or P6) with values up to 255, got "
            f"{content[:15]!r} in {path}; convert it"
        )
    channels, width, height = 1 if header[1] == b"5" else 3, int(header[2]), int(header[3])
    pixels = content[header.end() :]
    if len(pixels) != channels * width * height or not pixels:
        raise WorkloadError(
            f"a netpbm image must hold what its header states, {width}x{height} pixels, got "
            f"{len(pixels):,} bytes in {path}; make it again"
        )
    image = np.frombuffer(pixels, dtype=np.uint8).reshape(height, width, channels)
    return np.broadcast_to(image, (height, width, 3))
