"""Reading of untrusted files up to a limit, and writing of files whole or not at all."""

import contextlib
import gzip
import io
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
}


def checked_size(path: Path, most: int) -> int:
    """Return the size of a regular file of at most `most` bytes, without opening it.

    A device such as /dev/zero never ends, a pipe waits for a writer, and a sparse file may claim
    any size. Links are followed.

    Raises:
        OSError: the file does not exist, is not regular, or is larger than `most`.
    """
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        kind = _KINDS.get(stat.S_IFMT(status.st_mode), "something else")
        raise OSError(f"it is {kind} and no regular file")
    if status.st_size > most:
        raise OSError(f"it has {status.st_size:,} bytes, more than {most:,}")
    return status.st_size


def read_file(path: Path, most: int) -> bytes:
    """Return the content of a regular file of at most `most` bytes."""
    checked_size(path, most)
    return path.read_bytes()


def gunzipped(content: bytes, most: int) -> bytes:
    """Return the at most `most` bytes that a gzip file unpacks to.

    Raises:
        OSError: it unpacks to more, or is not a gzip file.
        EOFError: it is cut off.
        zlib.error: it is damaged.
    """  # noqa: DOC502  (raised inside)
    with gzip.open(io.BytesIO(content)) as stream:
        unpacked = stream.read(most + 1)
    if len(unpacked) > most:
        raise OSError(f"it unpacks to more than {most:,} bytes")
    return unpacked


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Replace a file and make its missing parents; readers see the old content or the new.

    A killed process may leave `.<name>.<process>.tmp` behind.

    Yields:
        The file to write to. It takes its place if the body ends without an exception.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())  # else a crash of the machine may leave an empty file
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
