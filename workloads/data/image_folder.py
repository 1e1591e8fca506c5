"""Images in folders, one subfolder per class, decoded once into memory or a mapped file."""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from batchscale.files import replacing
from workloads.data.image_files import File, ImageFiles
from workloads.data.image_pixels import read_pixels
from workloads.data.mapped import mapped
from workloads.errors import WorkloadError
from workloads.workload import Data, Examples

IN_MEMORY = 2**32
"""Upper bound on decoded images held in memory, bytes."""


def image_folder(files: ImageFiles, size: int, cache: Path | None) -> Data:
    """Return the images as bytes, (examples, 3, size, size).

    The shorter side is resized to `size`, the longer one cropped. The images are kept in memory or,
    if `cache` is a folder, in a file there that is made on first use and memory-mapped, and may be
    larger than memory.

    Raises:
        WorkloadError: the images need too much memory, or one cannot be decoded.
    """
    if size < 1:
        raise WorkloadError(f"`size` must be at least 1 pixel, got {size}")
    shape = (len(files.train) + len(files.validation), 3, size, size)
    everything = [*files.train, *files.validation]
    total = int(np.prod(shape, dtype=np.int64))
    if cache is None:
        if total > IN_MEMORY:
            raise WorkloadError(
                f"decoded images must take at most {IN_MEMORY:,} bytes in memory, got {total:,}; "
                "set `cache` to a folder for them, or lower `size`"
            )
        pixels = torch.stack(list(_decoded(everything, size)))
    else:
        pixels = mapped(_cached(cache, everything, size)).view(shape)
    labels, cut = torch.tensor([label for _, label in everything]), len(files.train)
    return Data(
        train=Examples(pixels[:cut], labels[:cut]),
        validation=Examples(pixels[cut:].clone(), labels[cut:]),
        mapped=cache is not None,
    )


def _cached(cache: Path, files: Sequence[File], size: int) -> Path:
    """Return the file of the decoded images, whose name changes with any original."""
    try:
        path = cache / f"images-{_digest(files, size)}.bytes"
        if not path.is_file() or path.stat().st_size != len(files) * 3 * size * size:
            with replacing(path) as file:
                for image in _decoded(files, size):
                    file.write(image.numpy().tobytes())
    except OSError as error:
        raise WorkloadError(
            f"`cache` must be a folder that can be written, got {cache}: {error}; choose another"
        ) from error
    return path


def _digest(files: Sequence[File], size: int) -> str:
    """Return a digest of the path, size and times of every original."""
    digest = hashlib.sha256(f"{size}\0".encode())
    for path, _ in files:
        status = path.stat()
        # ctime too, since tools that copy in place may restore the modification time
        state = (status.st_size, status.st_mtime_ns, status.st_ctime_ns)
        digest.update(f"{path}\0{state}\0".encode(errors="surrogateescape"))
    return digest.hexdigest()[:16]


def _decoded(files: Sequence[File], size: int) -> Iterator[Tensor]:
    for path, _ in files:
        yield _square(torch.tensor(read_pixels(path, path)).permute(2, 0, 1), size)


def _square(image: Tensor, size: int) -> Tensor:
    """Return the center of a resized image, (3, size, size), contiguous."""
    height, width = image.shape[1:]
    scale = size / min(height, width)
    if scale != 1:
        sides = (max(size, round(scale * height)), max(size, round(scale * width)))
        resized = nn.functional.interpolate(
            image[None].float(), sides, mode="bilinear", antialias=True
        )
        image = resized[0].round().clamp(0, 255).to(torch.uint8)
    top, left = (image.shape[1] - size) // 2, (image.shape[2] - size) // 2
    return image[:, top : top + size, left : left + size].contiguous()
