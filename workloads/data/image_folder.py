"""Images in folders, one subfolder per class, decoded once into memory or a mapped file."""

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from workloads.data.images import resolve_amount, sample_indices
from workloads.data.mapped import mapped
from workloads.errors import WorkloadError
from workloads.workload import Data, Examples

SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".webp"})
EVERY = 10
"""Without a validation folder, every tenth image of a class validates."""
IN_MEMORY = 2**32
"""Upper bound on decoded images held in memory, bytes."""

_TRAIN, _VALIDATION = "train", ("val", "validation")
# pixels of more than 8 bits would be clipped silently
_DEEP_MODES = ("I", "F")

File = tuple[Path, int]
"""An image and its class."""


@dataclass(frozen=True, slots=True)
class ImageFiles:
    """The images of a folder.

    Attributes:
        train: images that train, and their classes.
        validation: images that validate, and their classes.
        classes: number of classes.
    """

    train: list[File]
    validation: list[File]
    classes: int


def find_images(folder: Path, images: float = 1.0, classes: float = 1.0) -> ImageFiles:
    """Return the images of a folder of classes, or of its `train` and `val` folders of classes.

    Without `val`, every tenth image of a class validates, in the order of their names.

    Args:
        folder: where the images are.
        images: training images to keep, sampled once: a fraction up to 1, a number above.
        classes: classes to keep, the first by name: a fraction up to 1, a number above.

    Raises:
        WorkloadError: there is no such folder, or it holds too few images.
    """
    if not folder.is_dir():
        raise WorkloadError(f"`folder` must be a folder of images, got {folder}")
    training = folder / _TRAIN
    separate = next((folder / name for name in _VALIDATION if (folder / name).is_dir()), None)
    if training.is_dir() and separate is not None:
        names = _class_names(training)[
            : resolve_amount("classes", classes, len(_class_names(training)))
        ]
        train, validation = _files(training, names), _files(separate, names)
    else:
        names = _class_names(folder)[
            : resolve_amount("classes", classes, len(_class_names(folder)))
        ]
        train, validation = [], []
        for number, name in enumerate(names):
            own = [(path, number) for path in _images(folder / name)]
            validation += own[EVERY - 1 :: EVERY]
            train += [file for index, file in enumerate(own) if index % EVERY != EVERY - 1]
    if not train or not validation:
        raise WorkloadError(
            f"`folder` must hold a subfolder of at least {EVERY} images for each class, or train/ "
            f"and val/ of such, got {len(train)} for training and {len(validation)} for "
            f"validation in {folder}; images end in {', '.join(sorted(SUFFIXES))}"
        )
    rows = sample_indices(resolve_amount("images", images, len(train)), len(train))
    return ImageFiles([train[row] for row in rows], validation, len(names))


def image_folder(files: ImageFiles, size: int, cache: Path | None) -> Data:
    """Return the images as bytes, (examples, 3, size, size).

    Args:
        files: the images.
        size: the shorter side of an image is resized to so many pixels, the longer one cropped.
        cache: folder for a file of the decoded images, made on first use and mapped, so that it may
            be larger than memory; None holds them in memory.

    Raises:
        WorkloadError: they take too much memory, or an image cannot be decoded.
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
    """Return the file of the decoded images, named by paths and sizes of the originals."""
    sources = "".join(f"{path}\0{path.stat().st_size}\0" for path, _ in files)
    digest = hashlib.sha256(f"{size}\0{sources}".encode()).hexdigest()[:16]
    cache.mkdir(parents=True, exist_ok=True)
    whole, partial = cache / f"images-{digest}.bytes", cache / f"{digest}.{os.getpid()}.partial"
    if not whole.exists():
        with partial.open("wb") as file:
            for image in _decoded(files, size):
                file.write(image.numpy().tobytes())
        partial.rename(whole)  # atomic: the file is complete whenever it exists
    return whole


def _decoded(files: Sequence[File], size: int) -> Iterator[Tensor]:
    for path, _ in files:
        yield _square(torch.tensor(_pixels(path)).permute(2, 0, 1), size)


def _square(image: Tensor, size: int) -> Tensor:
    """Return the middle of a resized image, (3, size, size), contiguous."""
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


def _pixels(path: Path) -> NDArray[np.uint8]:
    """Return an image's colors, (height, width, 3); gray is repeated in each of them."""
    try:
        with Image.open(path) as image:
            if image.mode.startswith(_DEEP_MODES):
                raise WorkloadError(
                    f"an image must have 8 bits per color, got mode {image.mode} in {path}; "
                    "convert it"
                )
            colors: NDArray[np.uint8] = np.asarray(image.convert("RGB"))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        if isinstance(error, WorkloadError):
            raise
        raise WorkloadError(
            f"an image must be readable, got {path}: {error}; replace or remove it"
        ) from error
    return colors


def _class_names(folder: Path) -> list[str]:
    names = sorted(path.name for path in folder.iterdir() if path.is_dir())
    if not names:
        raise WorkloadError(f"`folder` must have a subfolder for every class, got none in {folder}")
    return names


def _files(folder: Path, names: Sequence[str]) -> list[File]:
    return [(path, number) for number, name in enumerate(names) for path in _images(folder / name)]


def _images(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise WorkloadError(
            f"every class must have a subfolder for validation too, got no {folder}"
        )
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
