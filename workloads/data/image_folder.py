"""Images in folders, one sub-folder a class; decoded once, in memory or in a mapped file."""

import hashlib
import importlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from workloads.data.images import amount, drawn
from workloads.data.mapped import mapped
from workloads.data.netpbm import SUFFIXES as NETPBM
from workloads.data.netpbm import read_netpbm
from workloads.errors import WorkloadError
from workloads.workload import Data, Examples

SUFFIXES = NETPBM | {".bmp", ".gif", ".jpeg", ".jpg", ".png", ".webp"}
EVERY = 10
"""Every how many images of a class one validates, where there is no folder for validation."""
IN_MEMORY = 2**32
"""Most bytes of decoded images that are held in memory."""

_TRAIN, _VALIDATION = "train", ("val", "validation")

File = tuple[Path, int]
"""An image and its class."""


@dataclass(frozen=True, slots=True)
class Listing:
    """The images of a folder.

    Attributes:
        train: images that train, and their classes.
        validation: images that validate, and their classes.
        classes: number of classes.
    """

    train: list[File]
    validation: list[File]
    classes: int


def listing(folder: Path, images: float = 1.0, classes: float = 1.0) -> Listing:
    """Finds the images of a folder.

    Args:
        folder: has a sub-folder for every class; or has sub-folders `train` and `val` that do. In
            the first case every tenth image of a class, in the order of their names, validates.
        images: training images to keep, drawn at random once for all: a fraction up to 1, above
            it a number.
        classes: classes to keep, the first by name: a fraction up to 1, above it a number.

    Returns:
        The images.

    Raises:
        WorkloadError: there is no such folder, or there are no images in it.
    """
    if not folder.is_dir():
        raise WorkloadError(f"`folder` must be a folder of images, got {folder}; check the path")
    training = folder / _TRAIN
    apart = next((folder / name for name in _VALIDATION if (folder / name).is_dir()), None)
    if training.is_dir() and apart is not None:
        names = _class_names(training)[: amount("classes", classes, len(_class_names(training)))]
        train, validation = _files(training, names), _files(apart, names)
    else:
        names = _class_names(folder)[: amount("classes", classes, len(_class_names(folder)))]
        train, validation = [], []
        for number, name in enumerate(names):
            own = [(path, number) for path in _images(folder / name)]
            validation += own[EVERY - 1 :: EVERY]
            train += [file for index, file in enumerate(own) if index % EVERY != EVERY - 1]
    if not train or not validation:
        raise WorkloadError(
            f"`folder` must hold at least {EVERY} images of a class in a sub-folder for each, or "
            f"train/ and val/ of such, got {len(train)} for training and {len(validation)} for "
            f"validation in {folder}; add images ({', '.join(sorted(SUFFIXES))})"
        )
    rows = drawn(amount("images", images, len(train)), len(train))
    return Listing([train[row] for row in rows], validation, len(names))


def image_folder(files: Listing, size: int, cache: Path | None) -> Data:
    """Gives the images as bytes, (examples, 3, size, size).

    Args:
        files: the images; pillow, of the extra `hub`, decodes all but .pgm and .ppm.
        size: images are resized until their shorter side has so many pixels, and cropped to the
            middle of the longer.
        cache: folder for a file of the decoded images, made on first use and mapped, so that it may
            be larger than memory; None holds them in memory.

    Returns:
        The images.

    Raises:
        WorkloadError: memory is not meant to hold them, or an image cannot be decoded.
    """
    if size < 1:
        raise WorkloadError(f"`size` must be at least 1 pixel, got {size}; raise it")
    shape = (len(files.train) + len(files.validation), 3, size, size)
    everything = [*files.train, *files.validation]
    total = int(np.prod(shape, dtype=np.int64))
    if cache is None:
        if total > IN_MEMORY:
            raise WorkloadError(
                f"decoded images must take at most {IN_MEMORY:,} bytes in memory, got {total:,}; "
                "give a folder for them as `cache`, or a smaller `size`"
            )
        pixels = torch.stack(list(_decoded(everything, size)))
    else:
        pixels = mapped(_made(cache, everything, size)).view(shape)
    labels, cut = torch.tensor([label for _, label in everything]), len(files.train)
    return Data(
        train=Examples(pixels[:cut], labels[:cut]),
        validation=Examples(pixels[cut:].clone(), labels[cut:]),
        mapped=cache is not None,
    )


def _made(cache: Path, files: Sequence[File], size: int) -> Path:
    """Gives the file of the decoded images, named by what it was made from."""
    told = "".join(f"{path}\0{path.stat().st_size}\0" for path, _ in files)
    digest = hashlib.sha256(f"{size}\0{told}".encode()).hexdigest()[:16]
    cache.mkdir(parents=True, exist_ok=True)
    whole, partial = cache / f"images-{digest}.bytes", cache / f"{digest}.{os.getpid()}.partial"
    if not whole.exists():
        with partial.open("wb") as file:
            for image in _decoded(files, size):
                file.write(image.numpy().tobytes())
        partial.rename(whole)  # at once, so that what is there is always whole
    return whole


def _decoded(files: Sequence[File], size: int) -> Iterator[Tensor]:
    for path, _ in files:
        colours = read_netpbm(path) if path.suffix.lower() in NETPBM else _by_pillow(path)
        yield _square(torch.tensor(colours).permute(2, 0, 1), size)


def _square(image: Tensor, size: int) -> Tensor:
    """Gives the middle of a resized image, (3, size, size), contiguous."""
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


def _by_pillow(path: Path) -> NDArray[np.uint8]:
    try:
        pillow: Any = importlib.import_module("PIL.Image")
    except ImportError as error:
        raise WorkloadError(
            f"images other than .pgm and .ppm need pillow, got none for {path}; "
            "pip install 'batchscale[hub]'"
        ) from error
    try:
        with pillow.open(path) as image:
            colours: NDArray[np.uint8] = np.asarray(image.convert("RGB"))
    except OSError as error:
        raise WorkloadError(
            f"an image must be readable, got {path}: {error}; replace or remove it"
        ) from error
    return colours


def _class_names(folder: Path) -> list[str]:
    names = sorted(path.name for path in folder.iterdir() if path.is_dir())
    if not names:
        raise WorkloadError(
            f"`folder` must have a sub-folder for every class, got none in {folder}; sort them so"
        )
    return names


def _files(folder: Path, names: Sequence[str]) -> list[File]:
    return [(path, number) for number, name in enumerate(names) for path in _images(folder / name)]


def _images(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise WorkloadError(
            f"every class must have a sub-folder for validation too, got no {folder}; add it"
        )
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
