"""MNIST and data sets in its format: 60,000 gray images of 28x28 pixels in two idx files."""

import math
import os
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from batchscale.files import gunzipped, read_file
from workloads.data.hub import HubImages, hub_images
from workloads.data.images import check_labels
from workloads.data.places import places, searched_text
from workloads.errors import WorkloadError
from workloads.workload import Data, Examples

CLASSES = 10
TRAIN = 55_000
"""Training images of the 60,000, as in Shallue et al. 2018; the rest is for validation."""

_IMAGES, _LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"

_MEAN_WITHIN = 0.001
"""Largest difference, of 255, from the mean pixel of a known set that identifies it."""

_UNSIGNED_BYTES = 0x08
_MAX_BYTES = 2**28
"""Upper bound on the size of a file; the largest known one has 47 MB."""

Arrays = tuple[NDArray[np.uint8], NDArray[np.integer]]


@dataclass(frozen=True, kw_only=True, slots=True)
class IdxImages:
    """A data set in MNIST's format."""

    name: str  # in messages
    subfolder: str  # its usual folder in BATCHSCALE_DATA
    hub: HubImages
    first_labels: tuple[int, ...]  # of its first 20 training images, which identify it
    mean_pixel: float  # of its training images, from 0 to 255, which identifies it too
    package: Path | None = None  # folder of a system package that provides it
    remedy: str = ""  # how to install that package

    def read(self, data_dir: str | None, download: bool) -> Arrays:
        """Return all 60,000 images (60,000, 28, 28) and labels (60,000,).

        The idx files, plain or gzipped, are taken from `data_dir`, or from the usual places if it
        is None; with `download`, missing files are fetched from the hub.

        Raises:
            WorkloadError: no files are found, they are damaged, or the hub cannot be reached.
        """
        folders = places([self.subfolder], self.package)
        if data_dir is not None:
            folders = [Path(data_dir).expanduser()]
        folder = next((place for place in folders if _paths(place, _IMAGES)), None)
        if folder is not None:
            images, labels = self._from_folder(folder)
        elif download:
            colors, labels = hub_images(
                self.hub, "give the folder of the idx files with --data-dir"
            )
            images = colors[..., 0]  # gray
        else:
            raise WorkloadError(
                f"{self.name} needs the files {_IMAGES}[.gz] and {_LABELS}[.gz], got "
                f"{searched_text(folders)}; give their folder with --data-dir or BATCHSCALE_DATA, "
                f"{self.remedy}or set workload_options.download = true"
            )
        if images.shape != (60_000, 28, 28) or labels.shape != (60_000,):
            raise WorkloadError(
                f"{self.name} must have 60,000 images of 28x28 pixels, got images {images.shape} "
                f"and labels {labels.shape}; fetch the files again"
            )
        check_labels(labels, CLASSES, self.name)
        self._refuse_others(images, labels)
        return images, labels

    def _from_folder(self, folder: Path) -> Arrays:
        if not _paths(folder, _LABELS):
            raise WorkloadError(
                f"{self.name} needs the file {_LABELS}[.gz] beside the images, got none in "
                f"{folder}; add it"
            )
        return _read(folder, _IMAGES), _read(folder, _LABELS)

    def _refuse_others(self, images: NDArray[np.uint8], labels: NDArray[np.integer]) -> None:
        """Refuse the files of another known set, which have the same names and shapes."""
        first, mean = tuple(labels[: len(self.first_labels)].tolist()), float(images.mean())
        for other in (MNIST, FASHION_MNIST):
            of_labels = first == other.first_labels
            of_images = abs(mean - other.mean_pixel) < _MEAN_WITHIN
            if other is not self and (of_labels or of_images):
                raise WorkloadError(
                    f"{self.name} must have files of its own, got the "
                    f"{'labels' if of_labels else 'images'} of {other.name}; put the files of "
                    "each set into a folder of its own"
                )


MNIST = IdxImages(
    name="MNIST",
    subfolder="mnist",
    hub=HubImages(repository="ylecun/mnist", file="mnist/train-00000-of-00001.parquet"),
    first_labels=(5, 0, 4, 1, 9, 2, 1, 3, 1, 4, 3, 5, 3, 6, 1, 7, 2, 8, 6, 9),
    mean_pixel=33.31842,
)
"""Handwritten digits (LeCun et al. 1998)."""
FASHION_MNIST = IdxImages(
    name="Fashion-MNIST",
    subfolder="fashion-mnist",
    hub=HubImages(
        repository="zalando-datasets/fashion_mnist",
        file="fashion_mnist/train-00000-of-00001.parquet",
    ),
    first_labels=(9, 0, 0, 3, 0, 2, 7, 2, 5, 5, 0, 9, 5, 5, 7, 9, 1, 0, 6, 4),
    mean_pixel=72.94035,
    package=Path("/usr/share/datasets/fashion-mnist"),
    remedy="install Debian's package dataset-fashion-mnist, ",
)
"""Clothes (Xiao et al. 2017)."""


def _read(folder: Path, name: str) -> NDArray[np.uint8]:
    """Return the array of a file, plain or gzipped; if there are both, they must be equal."""
    first, *others = [read_idx(path) for path in _paths(folder, name)]
    if not all(np.array_equal(first, other) for other in others):
        raise WorkloadError(
            f"{name} and {name}.gz must hold the same array, got two in {folder}; delete the one "
            "that is out of date"
        )
    return first


def _paths(folder: Path, name: str) -> list[Path]:
    return [path for path in (folder / name, folder / f"{name}.gz") if os.path.isfile(path)]


def fashion_mnist(data_dir: str | None, pool: int, download: bool) -> Data:
    """Return 55,000 training and 5,000 validation images, (examples, (28 / pool)^2) in [0, 1].

    Squares of `pool` x `pool` pixels are averaged, with `pool` 1 or 2; `IdxImages.read` describes
    the other arguments.
    """
    check_pool(pool)
    images, labels = FASHION_MNIST.read(data_dir, download)
    pixels = torch.tensor(images, dtype=torch.float32).div_(255.0)
    inputs = nn.functional.avg_pool2d(pixels, pool).flatten(start_dim=1)
    targets = torch.tensor(labels, dtype=torch.int64)
    return Data(
        train=Examples(inputs[:TRAIN], targets[:TRAIN]),
        validation=Examples(inputs[TRAIN:], targets[TRAIN:]),
    )


def check_pool(pool: int) -> int:
    """Return the side of the squares of pixels that are averaged; refuse all but 1 and 2."""
    if pool not in {1, 2}:
        raise WorkloadError(f"`pool` must be 1 or 2, got {pool}")
    return pool


def read_idx(path: Path) -> NDArray[np.uint8]:
    """Return the array in a whole idx file of unsigned bytes, gzipped if it ends in `.gz`."""
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
        content = read_file(path, _MAX_BYTES)
        if path.suffix == ".gz":
            content = gunzipped(content, _MAX_BYTES)
    except (OSError, EOFError, zlib.error) as error:
        raise WorkloadError(
            f"an idx file must be readable, got {path}: {error}; fetch it again"
        ) from error
    return content
