"""Text in windows of a fixed length, from Python's standard library or the user's files.

Each window is an example: its inputs are `context` tokens, its targets the token after each one.
The inputs of consecutive windows do not overlap. Tokens are bytes, or learned from the training
text.
"""

import os
import sysconfig
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from batchscale.files import checked_size
from workloads.data.hub import hub_file
from workloads.data.mapped import mapped
from workloads.data.places import VARIABLE, place_of
from workloads.data.tokens import BYTES, Tokenizer
from workloads.errors import WorkloadError
from workloads.workload import Data, Examples

TRAIN_BYTES, VALIDATION_BYTES = 2**20, 2**14
"""Sizes of the default corpus; validation uses no more of any other corpus."""
EVERY = 10
"""Every tenth file, or the last tenth of a single file, is for validation."""
IN_MEMORY = 2**28
"""Largest file that is read into memory, in bytes; larger ones are mapped."""
MAX_IN_MEMORY, MAX_BYTES = 2**32, 2**42
"""Most bytes of a folder of text, and of a single file, which is mapped if it is large."""

_HUB = "hub:"
_PACKED = {
    b"\x1f\x8b": "the gzip file",
    b"BZh": "the bzip2 file",
    b"\xfd7zXZ\x00": "the xz file",
    b"PK\x03\x04": "the zip file",
    b"\x28\xb5\x2f\xfd": "the zstd file",
    b"7z\xbc\xaf\x27\x1c": "the 7z file",
    b"PAR1": "the parquet file",
}
"""First bytes of files that are not plain text."""
_LONGEST = max(map(len, _PACKED))


@dataclass(frozen=True, slots=True)
class Text:
    """Windows of text, inputs and targets (windows, context) of tokens."""

    data: Data
    tokens_per_byte: float  # of the validation text; 1 if tokens are bytes


def text(path: str | None, context: int, vocabulary: int = BYTES) -> Text:
    """Return windows of text.

    At most 16 KiB are for validation. The training text of a file over 256 MiB is memory-mapped.

    Args:
        path: a file, the last tenth for validation; a folder, every tenth file for validation, in
            the order of their paths; `hub:owner/name:file`, a file on the Hugging Face hub; None
            for the text of `library`. A path is absolute, or in BATCHSCALE_DATA.
        context: tokens in a window's inputs, >= 1.
        vocabulary: number of tokens, learned from the training text; 256 for its bytes.

    Raises:
        WorkloadError: there is no such file, it is too short, or too large to learn tokens from.
    """
    if context < 1:
        raise WorkloadError(f"`context` must be at least 1 token, got {context}")
    place = None if path is None else _place(path)
    is_mapped = False
    if place is None:
        train, validation = library()
    elif place.is_dir():
        train, validation = _by_file(_files_in(place), None)
    else:
        _check(place, MAX_BYTES)
        train, validation, is_mapped = _by_position(place)
    if is_mapped and vocabulary != BYTES:
        raise WorkloadError(
            f"`vocabulary` must be {BYTES} for a file over {IN_MEMORY:,} bytes, which is not read "
            f"into memory, got {vocabulary}; split the file"
        )
    size = len(validation)
    if vocabulary != BYTES:
        tokenizer = Tokenizer.learned(train.numpy().tobytes(), vocabulary)
        train, validation = (tokenizer.encoded(t.numpy().tobytes()) for t in (train, validation))
    data = Data(
        train=_windows(train, context, copy=not is_mapped),
        validation=_windows(validation, context),
        mapped=is_mapped,
    )
    for name, examples in (("training", data.train), ("validation", data.validation)):
        if examples.size == 0:
            raise WorkloadError(
                f"text must give at least one window of {context} + 1 tokens for {name}, got none "
                f"in {path or 'the library'}; give more text or a shorter `context`"
            )
    return Text(data, len(validation) / size)


def library() -> tuple[Tensor, Tensor]:
    """Return 1 MiB of training and 16 KiB of validation bytes from Python's standard library.

    It consists of the modules at the top level, in the order of their names, every tenth for
    validation. It is the same on every machine with the same release of Python; results with
    different releases are not comparable.
    """
    return _by_file(sorted(Path(sysconfig.get_path("stdlib")).glob("*.py")), TRAIN_BYTES)


def _place(path: str) -> Path:
    if path.startswith(_HUB):
        repository, _, file = path.removeprefix(_HUB).partition(":")
        return hub_file(repository, file, "give a file")
    place = place_of("path", path)
    if not os.path.exists(place):  # Path.exists raises for names that are too long
        raise WorkloadError(
            f"`path` must be an absolute path, or one in {VARIABLE}, of a file or folder, got "
            f"{path!r}; check the path"
        )
    return place


def _files_in(folder: Path) -> list[Path]:
    """Return the files in a folder and its subfolders, by path, without hidden ones."""
    files = sorted(
        file
        for file in folder.rglob("*")
        if not file.is_dir()
        and not any(part.startswith(".") for part in file.relative_to(folder).parts)
    )
    total = sum(_check(file, MAX_IN_MEMORY) for file in files)
    if total > MAX_IN_MEMORY:
        raise WorkloadError(
            f"the files of a text folder must have at most {MAX_IN_MEMORY:,} bytes, got {total:,} "
            f"in {folder}; join them into one file, which may be larger than memory"
        )
    return files


def _check(file: Path, most: int) -> int:
    """Return the size of a text file; refuse one that is too large, unreadable or packed."""
    try:
        size = checked_size(file, most)
        with file.open("rb") as opened:
            start = opened.read(_LONGEST)
    except OSError as error:
        raise WorkloadError(
            f"text must be readable, got {file}: {error}; replace or remove it"
        ) from error
    packed = next((kind for magic, kind in _PACKED.items() if start.startswith(magic)), None)
    if packed is not None:
        raise WorkloadError(f"text must be plain bytes, got {packed} {file}; unpack it")
    return size


def _by_file(files: list[Path], budget: int | None) -> tuple[Tensor, Tensor]:
    """Return training and validation bytes, the latter from every tenth file."""
    validation = files[EVERY - 1 :: EVERY]
    train = [file for index, file in enumerate(files, 1) if index % EVERY]
    return _joined(train, budget), _joined(validation, VALIDATION_BYTES)


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


def _windows(content: Tensor, context: int, *, copy: bool = True) -> Examples:
    """Return consecutive windows and the tokens after theirs, as copies or as views."""
    if len(content) <= context:
        none = content[:0].view(0, 1).expand(0, context)
        return Examples(none, none)
    windows = content.unfold(0, context + 1, context)
    views = Examples(windows[:, :-1], windows[:, 1:])
    return Examples(*(part.contiguous() for part in views)) if copy else views
