"""Read an archive as a stream of files, from a folder or from a tar without unpacking it.

Nothing is written to disk here, and nothing in an archive is trusted: paths that lead out of it,
links, devices and absurd sizes are refused.
"""

import bz2
import contextlib
import gzip
import hashlib
import lzma
import os
import stat
import tarfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import IO, Any, cast

from analysis.archive.layout import PUBLISHED_NAME, PUBLISHED_SHA256
from analysis.errors import AnalysisError
from batchscale.files import checked_size

# the published archive has 0.5 million entries and some 10 GB of text
MAX_FILES = 2_000_000
MAX_BYTES_IN_A_FILE = 64 * 2**20
MAX_BYTES = 64 * 2**30
_MAX_HEADER = 2**20
_MAX_PADDING = 16 * 2**20

_OPENERS: Mapping[bytes, Callable[..., Any]] = {
    b"BZh": bz2.open,
    b"\x1f\x8b": gzip.open,
    b"\xfd7zXZ\x00": lzma.open,
}
_BROKEN = (
    tarfile.TarError,
    EOFError,
    OSError,
    zlib.error,
    lzma.LZMAError,
    ValueError,
    RuntimeError,  # a loop of links, or deep nesting
)


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an archive comes from."""

    name: str
    sha256: str | None  # of a tar file; None for a folder
    note: str = ""  # a remark for the user


@dataclass(frozen=True, slots=True)
class ArchiveFile:
    """A file in an archive; it must be read before the next one is taken."""

    parts: tuple[str, ...]
    read: Callable[[], bytes] = field(repr=False)


def origin(archive: Path) -> Origin:
    """Return where an archive comes from.

    Raises:
        AnalysisError: it does not exist, or has the published name but other content.
    """
    with _read_errors(archive):
        name = archive.resolve().name
        if archive.is_dir():
            return Origin(name, None)
        _check_tar(archive)
        with archive.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest == PUBLISHED_SHA256:
        return Origin(name, digest)
    if name == PUBLISHED_NAME:
        raise AnalysisError(
            f"{PUBLISHED_NAME} must have the published sha256 {PUBLISHED_SHA256}, got {digest}; "
            "download it again, or rename it if it is another archive"
        )
    return Origin(name, digest, f"{name} is not the published archive: its sha256 differs")


def _check_tar(archive: Path) -> None:
    """Refuse a file that is not a tar before all of it is read."""
    checked_size(archive, MAX_BYTES)
    with _decompressed(archive) as stream:
        block = stream.read(tarfile.BLOCKSIZE)
    try:
        tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except tarfile.TarError as error:
        raise ValueError(f"it does not start as a tar file does: {error}") from error


def files(archive: Path) -> Iterator[ArchiveFile]:
    """Yield the files of a folder, in the order of their names, or of a tar file.

    Raises:
        AnalysisError: it cannot be read to its end, or contains something unsafe.
    """
    found = _folder_files(archive, ()) if archive.is_dir() else _tar_files(archive)
    with _read_errors(archive):
        for count, file in enumerate(found, start=1):
            if count > MAX_FILES:
                raise AnalysisError(
                    f"an archive must hold at most {MAX_FILES:,} files, got more in {archive}; "
                    "check that it is the right one"
                )
            yield ArchiveFile(file.parts, partial(_read, archive, file))


def _read(archive: Path, file: ArchiveFile) -> bytes:
    with _read_errors(archive):
        return file.read()


@contextlib.contextmanager
def _read_errors(archive: Path) -> Iterator[None]:
    """Turn the errors of a broken archive into one that names it."""
    try:
        yield
    except AnalysisError:
        raise
    except _BROKEN as error:
        why = getattr(error, "strerror", None) or error
        raise AnalysisError(
            f"an archive must be a readable folder or a complete tar file, got {archive}: {why}; "
            "check it, or download it again"
        ) from error


def _folder_files(folder: Path, parts: tuple[str, ...]) -> Iterator[ArchiveFile]:
    with os.scandir(folder) as found:
        entries = sorted(found, key=lambda entry: entry.name)
    for entry in entries:
        here = (*parts, entry.name)
        status = entry.stat(follow_symlinks=False)
        if stat.S_ISDIR(status.st_mode):
            yield from _folder_files(Path(entry.path), here)
        elif stat.S_ISREG(status.st_mode):
            _check_size("/".join(here), status.st_size)
            yield ArchiveFile(here, Path(entry.path).read_bytes)
        else:
            raise _unsafe("/".join(here), "a link or a device")


def _tar_files(archive: Path) -> Iterator[ArchiveFile]:
    total = entries = 0
    with _decompressed(archive) as stream:
        meter = _Meter(stream)
        with tarfile.open(fileobj=cast("IO[bytes]", meter), mode="r|") as tar:
            while (member := tar.next()) is not None:
                # tarfile keeps every header otherwise
                tar.members.clear()  # type: ignore[attr-defined]
                entries += 1
                total += member.size
                _check_size(member.name, member.size, total, entries)
                parts = _safe_parts(member)
                meter.allow(member.size + _MAX_HEADER)
                if member.isfile():
                    yield ArchiveFile(parts, partial(_content, tar, member))
        meter.allow(_MAX_PADDING)
        while meter.read(_MAX_HEADER):
            pass  # to the end, where the checksum of the compressed data is


def _decompressed(archive: Path) -> IO[bytes]:
    with archive.open("rb") as file:
        start = file.read(6)
    for magic, opener in _OPENERS.items():
        if start.startswith(magic):
            opened: IO[bytes] = opener(archive)
            return opened
    return archive.open("rb")


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = tar.extractfile(member)
    return b"" if file is None else file.read()


class _Meter:
    """A stream that refuses to return more bytes than were last allowed.

    `tarfile` trusts the lengths stated in the headers between the files of a tar.
    """

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._left = _MAX_HEADER

    def allow(self, count: int) -> None:
        self._left = count

    def read(self, count: int) -> bytes:
        content = self._stream.read(count)
        self._left -= len(content)
        if self._left < 0:
            raise AnalysisError(
                f"a tar must have headers of at most {_MAX_HEADER:,} bytes and "
                f"{_MAX_PADDING:,} bytes after its end, got more; check that it is the right one"
            )
        return content


def _safe_parts(member: tarfile.TarInfo) -> tuple[str, ...]:
    name = member.name
    if not (member.isfile() or member.isdir()):
        raise _unsafe(name, "a link or a device")
    parts = tuple(part for part in name.split("/") if part not in ("", "."))
    if name.startswith("/") or ".." in parts or "\\" in name or ":" in name or "\0" in name:
        raise _unsafe(name, "a path that may lead out of it")
    if not parts and member.isfile():
        raise _unsafe(name, "a file without a name")
    return parts


def _check_size(name: str, size: int, total: int = 0, entries: int = 0) -> None:
    if size > MAX_BYTES_IN_A_FILE or size < 0:
        raise AnalysisError(
            f"a file of an archive must have at most {MAX_BYTES_IN_A_FILE:,} bytes, got "
            f"{size:,} in {name!r}; check that it is the right archive"
        )
    if total > MAX_BYTES or entries > MAX_FILES:
        raise AnalysisError(
            f"an archive must hold at most {MAX_BYTES:,} bytes in {MAX_FILES:,} files, got more "
            f"at {name!r}; check that it is the right one"
        )


def _unsafe(name: str, what: str) -> AnalysisError:
    return AnalysisError(
        f"an archive must hold plain files and folders inside itself, got {what}: {name!r}; "
        "use one from a source that you trust"
    )
