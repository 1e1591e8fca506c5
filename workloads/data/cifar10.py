"""CIFAR-10: 60,000 color images of 32x32 pixels, 10 classes (Krizhevsky 2009)."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workloads.data.hub import HubImages, hub_images
from workloads.data.images import split
from workloads.data.numpy_pickle import read_pickle
from workloads.data.places import places, searched_text
from workloads.errors import WorkloadError
from workloads.workload import Data

SHAPE = (3, 32, 32)
CLASSES = 10
VALIDATION = 10
"""One in ten images validates: the last 5,000 of 50,000."""
HUB = HubImages(
    repository="uoft-cs/cifar10", file="plain_text/train-00000-of-00001.parquet", image="img"
)

_SUBFOLDERS = ("cifar-10-batches-bin", "cifar-10-batches-py", "cifar10", "cifar-10")
_BATCHES = [f"data_batch_{number}" for number in range(1, 6)]
_PIXELS = 3 * 32 * 32

Arrays = tuple[NDArray[np.uint8], NDArray[np.uint8]]


def cifar10(download: bool) -> Data:
    """Return 45,000 training and 5,000 validation images of bytes, (examples, 3, 32, 32).

    The five training files are searched in BATCHSCALE_DATA and its usual subfolders, in the binary
    or the Python form of the authors' page. The last tenth validates; the test file is not used.

    Args:
        download: whether missing files may be fetched from the Hugging Face hub.

    Raises:
        WorkloadError: no files are found, they are damaged, or the hub cannot be reached.
    """
    folders = places(_SUBFOLDERS)
    files = next((found for place in folders if (found := _files(place))), [])
    if files:
        images, labels = _joined([_READERS[path.suffix](path) for path in files])
    elif download:
        pixels, labels = hub_images(HUB, "give the folder of the batches with --data-dir")
        images = np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))
    else:
        raise WorkloadError(
            f"CIFAR-10 needs the files data_batch_1 to data_batch_5, or the same with .bin, got "
            f"{searched_text(folders)}; give their folder with --data-dir or BATCHSCALE_DATA, or "
            "set workload_options.download = true"
        )
    return split(images, labels, len(images) - len(images) // VALIDATION)


def _files(folder: Path) -> list[Path]:
    """Return the five files of a folder, binary or pickled; none if the first is missing."""
    for suffix in _READERS:
        paths = [folder / f"{name}{suffix}" for name in _BATCHES]
        if paths[0].is_file():
            missing = [path.name for path in paths if not path.is_file()]
            if missing:
                raise WorkloadError(
                    f"CIFAR-10 needs all five batches, got no {', '.join(missing)} in {folder}"
                )
            return paths
    return []


def _joined(batches: list[Arrays]) -> Arrays:
    images, labels = (np.concatenate(arrays) for arrays in zip(*batches, strict=True))
    if labels.max(initial=0) >= CLASSES:
        raise WorkloadError(
            f"CIFAR-10's labels must lie from 0 to 9, got {labels.max()}; fetch the files again"
        )
    return images.reshape(-1, *SHAPE), labels


def _from_binary(path: Path) -> Arrays:
    """Read records of one label and 3,072 pixels, one byte each."""
    content = np.fromfile(path, dtype=np.uint8)
    if len(content) == 0 or len(content) % (1 + _PIXELS):
        raise WorkloadError(
            f"a binary CIFAR-10 file must hold records of {1 + _PIXELS:,} bytes, got "
            f"{len(content):,} bytes in {path}; fetch it again"
        )
    records = content.reshape(-1, 1 + _PIXELS)
    return records[:, 1:], records[:, 0]


def _from_pickle(path: Path) -> Arrays:
    """Read a pickled dict of `data`, (images, 3,072) bytes, and `labels`, a list."""
    batch: Any = read_pickle(path.read_bytes(), path)
    batch = batch if isinstance(batch, dict) else {}
    images, labels = (batch.get(key, batch.get(key.encode())) for key in ("data", "labels"))
    whole = isinstance(images, np.ndarray) and isinstance(labels, list)
    if not whole or images.dtype != np.uint8 or images.shape != (len(labels), _PIXELS):
        raise WorkloadError(
            f"a pickled CIFAR-10 file must hold data of {_PIXELS:,} bytes an image and as many "
            f"labels, got {', '.join(map(str, batch)) or 'neither'} in {path}; fetch it again"
        )
    return images, np.asarray(labels, dtype=np.uint8)


_READERS = {".bin": _from_binary, "": _from_pickle}
