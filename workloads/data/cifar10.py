"""CIFAR-10: 60,000 color images of 32x32 pixels, 10 classes (Krizhevsky 2009)."""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from batchscale.files import read_file
from workloads.data.hub import HubImages, hub_images
from workloads.data.images import check_labels, split
from workloads.data.numpy_pickle import read_pickle
from workloads.data.places import places, searched_text
from workloads.errors import WorkloadError
from workloads.workload import Data

SHAPE = (3, 32, 32)
CLASSES = 10
VALIDATION = 10
"""One image in ten is for validation: the last 5,000 of 50,000."""
HUB = HubImages(
    repository="uoft-cs/cifar10", file="plain_text/train-00000-of-00001.parquet", image="img"
)

_SUBFOLDERS = ("cifar-10-batches-bin", "cifar-10-batches-py", "cifar10", "cifar-10")
_BATCHES = [f"data_batch_{number}" for number in range(1, 6)]
_PIXELS = 3 * 32 * 32

_MAX_BYTES = 2**28
"""Upper bound on the size of a file; the real ones have 31 MB."""

Arrays = tuple[NDArray[np.uint8], NDArray[np.integer]]


def cifar10(download: bool) -> Data:
    """Return 45,000 training and 5,000 validation images of bytes, (examples, 3, 32, 32).

    The five training files are looked for in BATCHSCALE_DATA and its usual subfolders, in the
    authors' binary or Python format, or fetched from the hub if `download`. The last tenth is for
    validation; the test file is not used.

    Raises:
        WorkloadError: no files are found, they are damaged, or the hub cannot be reached.
    """
    folders = places(_SUBFOLDERS)
    files = next((paths for folder in folders if (paths := _files(folder))), [])
    if files:
        images, labels = _joined(files)
    elif download:
        pixels, labels = hub_images(HUB, "give the folder of the batches with --data-dir")
        images = np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))
        check_labels(labels, CLASSES, HUB.file)
    else:
        raise WorkloadError(
            f"CIFAR-10 needs the files data_batch_1 to data_batch_5, or the same with .bin, got "
            f"{searched_text(folders)}; give their folder with --data-dir or BATCHSCALE_DATA, or "
            "set workload_options.download = true"
        )
    return split(images, labels, len(images) - len(images) // VALIDATION)


def _files(folder: Path) -> list[Path]:
    """Return the five files of a folder, binary or pickled; none if the first is missing."""
    forms = [[folder / f"{name}{suffix}" for name in _BATCHES] for suffix in _READERS]
    present = [paths for paths in forms if os.path.isfile(paths[0])]
    if len(present) > 1:
        raise WorkloadError(
            f"a folder must hold CIFAR-10 in one form, got {present[0][0].name} and "
            f"{present[1][0].name} in {folder}; put one of them elsewhere"
        )
    paths = present[0] if present else []
    missing = [path.name for path in paths if not path.is_file()]
    if missing:
        raise WorkloadError(
            f"CIFAR-10 needs all five batches, got no {', '.join(missing)} in {folder}; add them"
        )
    return paths


def _joined(files: Sequence[Path]) -> Arrays:
    batches = {path: _READERS[path.suffix](path) for path in files}
    digests: dict[bytes, Path] = {}
    for path, (images, labels) in batches.items():
        check_labels(labels, CLASSES, path)
        first = batches[files[0]][1]
        if len(labels) != len(first):
            raise WorkloadError(
                f"CIFAR-10's batches must have the same number of images, got {len(first):,} in "
                f"{files[0]} and {len(labels):,} in {path.name}; fetch them again"
            )
        same = digests.setdefault(hashlib.sha256(images.tobytes()).digest(), path)
        if same is not path:
            raise WorkloadError(
                f"CIFAR-10's batches must differ, got the same images in {same} and {path.name}; "
                "fetch them again"
            )
    images, labels = (np.concatenate(arrays) for arrays in zip(*batches.values(), strict=True))
    return images.reshape(-1, *SHAPE), labels


def _from_binary(path: Path) -> Arrays:
    """Read records of one label and 3,072 pixels, one byte each."""
    content = np.frombuffer(_content(path), dtype=np.uint8)
    if len(content) == 0 or len(content) % (1 + _PIXELS):
        raise WorkloadError(
            f"a binary CIFAR-10 file must hold records of {1 + _PIXELS:,} bytes, got "
            f"{len(content):,} bytes in {path}; fetch it again"
        )
    records = content.reshape(-1, 1 + _PIXELS)
    return records[:, 1:], records[:, 0]


def _from_pickle(path: Path) -> Arrays:
    """Read a pickled dict of `data`, (images, 3,072) bytes, and `labels`, a list."""
    batch: Any = read_pickle(_content(path), path)
    batch = batch if isinstance(batch, dict) else {}
    images, labels = (batch.get(key, batch.get(key.encode())) for key in ("data", "labels"))
    if (
        not isinstance(images, np.ndarray)
        or not isinstance(labels, list)
        or images.dtype != np.uint8
        or images.shape != (len(labels), _PIXELS)
        or not all(type(label) is int and abs(label) < 2**31 for label in labels)
    ):
        raise WorkloadError(
            f"a pickled CIFAR-10 file must hold data of {_PIXELS:,} bytes an image and as many "
            f"labels, got {', '.join(map(str, batch)) or 'neither'} in {path}; fetch it again"
        )
    return images, np.asarray(labels, dtype=np.int64)


def _content(path: Path) -> bytes:
    try:
        return read_file(path, _MAX_BYTES)
    except OSError as error:
        raise WorkloadError(
            f"a CIFAR-10 file must be readable, got {path}: {error}; fetch it again"
        ) from error


_READERS = {".bin": _from_binary, "": _from_pickle}
