"""Text as bytes in windows of a fixed length: Python's standard library, or the user's files.

A window is an example: its inputs are `context` bytes, its targets the byte after each. Windows
follow each other without overlap of their inputs.
"""

import os
import sysconfig
from collections.abc import Iterable
from pathlib import Path

import torch
from torch import Tensor

from workloads.data.hub import hub_file
from workloads.data.mapped import mapped
from workloads.data.places import VARIABLE
from workloads.errors import WorkloadError
from workloads.workload import Data, Examples

SYMBOLS = 256
TRAIN_BYTES, VALIDATION_BYTES = 2**20, 2**14
"""Sizes of the default corpus; no corpus validates on more."""
EVERY = 10
"""Every tenth file, or the last tenth of a single file, validates."""
IN_MEMORY = 2**28
"""Largest file that is read into memory, bytes; larger ones are mapped."""

_HUB = "hub:"


def text(path: str | None, context: int) -> Data:
    """Return windows of text, inputs and targets (windows, context) of bytes.

    At most 16 KiB validate. The training set of a file over 256 MiB is mapped and not read.

    Args:
        path: a file, whose last tenth validates; a folder, of which every tenth file validates, in
            the order of their paths; `hub:owner/name:file`, a file on the Hugging Face hub; None
            for the text of `library`. A path is absolute, or in BATCHSCALE_DATA.
        context: bytes in a window's inputs, >= 1.

    Raises:
        WorkloadError: there is no such file, or it is too short.
    """
    if context < 1:
        raise WorkloadError(f"`context` must be at least 1 byte, got {context}")
    place = None if path is None else _found(path)
    is_mapped = False
    if place is None:
        train, validation = library()
    elif place.is_dir():
        files = sorted(file for file in place.rglob("*") if file.is_file())
        train, validation = _by_file(files, None)
    else:
        train, validation, is_mapped = _by_position(place)
    trained, validated = _windows(train, context), _windows(validation, context)
    if not is_mapped:
        trained = Examples(*(part.contiguous() for part in trained))
    for name, count in (("training", len(trained.inputs)), ("validation", len(validated.inputs))):
        if count == 0:
            raise WorkloadError(
                f"text must give at least one window of {context} + 1 bytes for {name}, got none "
                f"in {path or 'the library'}; give more text or a shorter `context`"
            )
    return Data(
        train=trained,
        validation=Examples(*(part.contiguous() for part in validated)),
        mapped=is_mapped,
    )


def library() -> tuple[Tensor, Tensor]:
    """Return 1 MiB of training and 16 KiB of validation bytes from Python's standard library.

    The modules directly in the library's folder, in the order of their names; every tenth
    validates. The text is the same on every machine with the same Python. Other releases have other
    text, so their results must not be compared.
    """
    files = sorted(Path(sysconfig.get_path("stdlib")).glob("*.py"))
    return _by_file(files, TRAIN_BYTES)


def _found(path: str) -> Path:
    if path.startswith(_HUB):
        repository, _, file = path.removeprefix(_HUB).partition(":")
        return hub_file(repository, file, "give a file")
    # workers run in folders of their own, where a relative path would lead elsewhere
    place = Path(os.environ.get(VARIABLE, os.sep)) / Path(path).expanduser()
    if not place.exists() or not (Path(path).expanduser().is_absolute() or VARIABLE in os.environ):
        raise WorkloadError(
            f"`path` must be an absolute path, or one in {VARIABLE}, of a file or folder, got "
            f"{path!r}"
        )
    return place


def _by_file(files: list[Path], budget: int | None) -> tuple[Tensor, Tensor]:
    """Return training and validation bytes; every tenth file validates."""
    validating = set(files[EVERY - 1 :: EVERY])
    training = [file for file in files if file not in validating]
    return _joined(training, budget), _joined(sorted(validating), VALIDATION_BYTES)


def _joined(files: Iterable[Path], budget: int | None) -> Tensor:
    content = bytearray()
    for file in files:
        if budget is not None and len(content) >= budget:
            break
        content += file.read_bytes()
    return _as_tensor(content[:budget])


def _as_tensor(content: bytearray) -> Tensor:
    if not content:
        return torch.empty(0, dtype=torch.uint8)
    return torch.frombuffer(content, dtype=torch.uint8)


def _by_position(file: Path) -> tuple[Tensor, Tensor, bool]:
    """Return training and validation bytes of a file, and whether the former are mapped."""
    size = file.stat().st_size
    cut = size - min(size // EVERY, VALIDATION_BYTES)
    larger = size > IN_MEMORY
    content = mapped(file) if larger else _as_tensor(bytearray(file.read_bytes()))
    return content[:cut], content[cut:].clone(), larger


def _windows(content: Tensor, context: int) -> Examples:
    """Return views of consecutive windows, and of the byte after each byte in them."""
    if len(content) <= context:
        none = content[:0].view(0, 1).expand(0, context)
        return Examples(none, none)
    windows = content.unfold(0, context + 1, context)
    return Examples(windows[:, :-1], windows[:, 1:])
