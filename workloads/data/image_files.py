"""Image files of a folder: those for training, those for validation, and the class of each."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from workloads.data.images import resolve_amount, sample_indices
from workloads.errors import WorkloadError

SUFFIXES = frozenset(
    ".bmp .gif .jfif .jpe .jpeg .jpg .pbm .pgm .png .pnm .ppm .webp".split()  # noqa: SIM905
)
EVERY = 10
"""Without a validation folder, every tenth image of a class is for validation."""

_UNREADABLE = frozenset(".avif .dng .exr .heic .heif .jp2 .jxl .tif .tiff".split())  # noqa: SIM905
"""Formats that cannot be read; they are refused, since ignoring them would change a class."""
_TRAIN = ("train", "training")
_VALIDATION = (("val", "valid", "validation"), ("test", "testing"))
"""Names of the validation folder; the second group counts only without one of the first."""
_SYSTEM_FOLDERS = frozenset({"__macosx", "@eadir", "$recycle.bin", "system volume information"})
_MAX_LISTED = 8
"""Most classes that a message lists."""

File = tuple[Path, int]
"""An image and its class."""
ByClass = Mapping[str, list[Path]]


@dataclass(frozen=True, slots=True)
class ImageFiles:
    """Training and validation images, each with its class, and the number of classes."""

    train: list[File]
    validation: list[File]
    classes: int


def find_images(folder: Path, images: float = 1.0, classes: float = 1.0) -> ImageFiles:
    """Return the images of a folder of classes, or of its `train` and `val` folders of classes.

    Without `val`, every tenth image of a class, in the order of names, is for validation. Hidden
    files and folders, whose names begin with a dot, and those of operating systems are left out.
    `images` (training images, sampled once) and `classes` (the first by name) keep a fraction up to
    1, a number above.

    Raises:
        WorkloadError: there is no such folder, a class lacks images for training or validation, or
            a folder holds an image that cannot be read.
    """
    if not os.path.isdir(folder):  # Path.is_dir raises for names that are too long
        raise WorkloadError(f"`folder` must be a folder of images, got {folder}; check the path")
    try:
        train, validation = _by_class(folder)
    except OSError as error:
        raise WorkloadError(
            f"`folder` must be readable, got {folder}: {error}; check your access to it"
        ) from error
    every = sorted({*train, *validation})
    if not every:
        raise WorkloadError(
            f"`folder` must have a subfolder for every class, got none in {folder}; sort the "
            "images into them"
        )
    names = every[: resolve_amount("classes", classes, len(every))]
    _refuse_lacking_classes(folder, names, train, validation)
    trained, validated = (
        [(path, number) for number, name in enumerate(names) for path in part[name]]
        for part in (train, validation)
    )
    rows = sample_indices(resolve_amount("images", images, len(trained)), len(trained))
    return ImageFiles([trained[row] for row in rows], validated, len(names))


def _by_class(folder: Path) -> tuple[ByClass, ByClass]:
    """Return the training and the validation images, each by class."""
    training = _split(folder, _TRAIN)
    if training is None:
        every = _classes(folder)
        validation = {name: files[EVERY - 1 :: EVERY] for name, files in every.items()}
        train = {
            name: [file for index, file in enumerate(files) if index % EVERY != EVERY - 1]
            for name, files in every.items()
        }
        return train, validation
    validating = next((place for names in _VALIDATION if (place := _split(folder, names))), None)
    if validating is None:
        raise WorkloadError(
            f"beside {training.name} must be a folder of validation images, named "
            f"{', '.join(sum(_VALIDATION, ()))}, got none in {folder}; add one, or give "
            f"{training} to validate on every tenth image"
        )
    return _classes(training), _classes(validating)


def _split(folder: Path, names: Sequence[str]) -> Path | None:
    """Return the folder of a split; one that contains images itself is a class of that name."""
    places = [
        place
        for place in _subfolders(folder)
        if place.name.casefold() in names and _subfolders(place) and not _images(place)
    ]
    if len(places) > 1:
        raise WorkloadError(
            "`folder` must have one folder for each split, got "
            f"{' and '.join(place.name for place in places)} in {folder}; rename all but one"
        )
    return places[0] if places else None


def _classes(folder: Path) -> ByClass:
    classes = {}
    for place in _subfolders(folder):
        for nested in _subfolders(place):
            if any(path.suffix.lower() in SUFFIXES for path in nested.rglob("*")):
                raise WorkloadError(
                    f"images must lie directly in the folder of their class, got {nested} in the "
                    f"class {place.name!r}; move them up, or name the folders of a split train "
                    "and val"
                )
        classes[place.name] = _images(place)
    return classes


def _images(folder: Path) -> list[Path]:
    images = []
    for path in _visible(folder):
        suffix = path.suffix.lower()
        if suffix in _UNREADABLE:
            raise WorkloadError(
                f"an image must be one of {', '.join(sorted(SUFFIXES))}, got {path}; convert or "
                "remove it"
            )
        if suffix in SUFFIXES:
            if not path.is_file():
                raise WorkloadError(
                    f"an image must be a regular file, got {path}; replace or remove it"
                )
            images.append(path)
    return images


def _subfolders(folder: Path) -> list[Path]:
    return [path for path in _visible(folder) if path.is_dir()]


def _visible(folder: Path) -> list[Path]:
    """Return the content of a folder, by name, without hidden and system files."""
    return sorted(
        path
        for path in folder.iterdir()
        if not path.name.startswith(".") and path.name.casefold() not in _SYSTEM_FOLDERS
    )


def _refuse_lacking_classes(
    folder: Path, names: Sequence[str], train: ByClass, validation: ByClass
) -> None:
    counts = {name: (len(train.get(name, ())), len(validation.get(name, ()))) for name in names}
    lacking = [name for name in names if 0 in counts[name]]
    if not lacking:
        return
    shown = [*lacking, *(name for name in names if name not in lacking)][:_MAX_LISTED]
    listed = ", ".join(f"{name!r} {counts[name][0]} and {counts[name][1]}" for name in shown)
    more = f" and {len(names) - len(shown):,} more classes" if len(names) > len(shown) else ""
    raise WorkloadError(
        f"every class must have images for training and for validation, got {listed}{more} in "
        f"{folder}; without train and val folders every tenth image validates, so a class needs at "
        f"least {EVERY} images ({', '.join(sorted(SUFFIXES))}); add images, or remove the class"
    )
