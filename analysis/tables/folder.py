"""A results folder on a local disk, a shared file system, or an object store."""

import contextlib
import errno
import os
import re
import socket
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Self
from urllib.parse import quote, urlsplit, urlunsplit

import pyarrow as pa
from filelock import FileLock, Timeout
from pyarrow import fs

from analysis.errors import AnalysisError
from analysis.tables.uri import check_uri, is_uri, with_retry_limit
from batchscale.files import replacing

LOCK_FILE = ".lock"
_FULL = (errno.ENOSPC, errno.EDQUOT)
_LEFTOVERS = re.compile(r"\.lock|\..*\.tmp|study\.toml\.sha256")
_MAX_BYTES = {"parquet": 2**32}
_MAX_BYTES_OF_TEXT = 2**26
"""Sizes that no table and no other file of a study exceeds."""
_MAX_SUGGESTIONS = 20
_STALE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class ResultsFolder:
    """A results folder, which may be pickled and used on another machine.

    File names are relative to the folder, with forward slashes.
    """

    location: str  # path or URI as the user gave it
    filesystem: fs.FileSystem = field(repr=False, compare=False)
    base: str  # absolute path of the folder in that file system

    @classmethod
    def at(cls, location: str | Path) -> Self:
        """Return the folder at a path or URI; it need not exist.

        Args:
            location: a path, or a URI such as `s3://bucket/results`, `gs://...`, `file:///...`.

        Raises:
            AnalysisError: the location is empty, a malformed URI, or in a store out of reach.
        """
        text = str(location)
        if not is_uri(text):
            return cls(text, fs.LocalFileSystem(), _absolute(text))
        check_uri(text)
        try:
            filesystem, base = fs.FileSystem.from_uri(with_retry_limit(text))
        except (pa.ArrowInvalid, OSError, UnicodeEncodeError) as error:
            raise AnalysisError(
                f"a results URI must be one that pyarrow.fs can open, got {text}: {error}; check "
                "its spelling, its bucket and the network"
            ) from error
        return cls(text, filesystem, base.rstrip("/"))

    def __truediv__(self, name: str) -> Self:
        """Return the folder or file of that name inside this folder."""
        if "://" in self.location:
            uri = urlsplit(self.location)
            location = urlunsplit(uri._replace(path=f"{uri.path.rstrip('/')}/{quote(name)}"))
        else:
            location = str(Path(self.location) / name)
        return type(self)(location, self.filesystem, self._path(name))

    def __str__(self) -> str:
        return self.location

    @property
    def name(self) -> str:
        """Last component of the path, which names the study."""
        return PurePosixPath(self.base).name

    def exists(self, name: str) -> bool:
        """Return whether the file exists."""
        with self._errors_reported():
            return bool(self.filesystem.get_file_info(self._path(name)).type == fs.FileType.File)

    @property
    def is_empty(self) -> bool:
        """Whether the folder does not exist, or contains only what a failed start leaves behind."""
        return all(_LEFTOVERS.fullmatch(info.base_name) for info in self._inside(""))

    def names(self, subfolder: str) -> list[str]:
        """Return the sorted names of the files in a subfolder, which need not exist."""
        files = [info for info in self._inside(subfolder) if info.type == fs.FileType.File]
        return sorted(f"{subfolder}/{info.base_name}" for info in files)

    def up_to_date(self, name: str, subfolder: str) -> bool:
        """Return whether a file, which must exist, is newer than every file in a subfolder."""
        with self._errors_reported():
            written = self.filesystem.get_file_info(self._path(name)).mtime_ns
        return all(info.mtime_ns < written for info in self._inside(subfolder) if info.is_file)

    def read(self, name: str) -> bytes:
        """Return the content of a file; refuse one that is missing, not regular, or too large."""
        content = self.find(name)
        if content is None:
            if self.filesystem.get_file_info(self.base).is_file:
                raise AnalysisError(f"results must be a folder, got the file {self}; give a folder")
            inside = sorted(info.base_name for info in self._inside("") if not info.is_file)
            folders = [self / folder for folder in inside[:_MAX_SUGGESTIONS]]
            studies = [str(folder) for folder in folders if folder.exists(name)]
            raise AnalysisError(
                f"a results folder must hold {name}, got none in {self}; give the folder of one "
                f"study, such as {', '.join(studies) or 'results/<study>'}"
            )
        return content

    def find(self, name: str) -> bytes | None:
        """Return the content of a file; None where there is no such file."""
        path = self._path(name)
        try:
            with self._errors_reported():
                info = self.filesystem.get_file_info(path)
                if info.type == fs.FileType.NotFound:
                    return None
                self._check_readable(name, info)
                with self.filesystem.open_input_stream(path) as stream:
                    return bytes(stream.read())
        except FileNotFoundError:  # removed since
            return None

    def write(self, name: str, content: "bytes | memoryview | pa.Buffer") -> None:
        """Write a file and its missing parents; readers on any machine see all of it or nothing."""
        path = self._path(name)
        try:
            if self.on_disk:
                with replacing(Path(path)) as file:
                    file.write(content)
            else:
                with self.filesystem.open_output_stream(path) as stream:
                    stream.write(content)
        except OSError as error:
            raise AnalysisError(self.unwritable(error)) from error

    def unwritable(self, error: OSError) -> str:
        """Return the message for a file that could not be written."""
        full = error.errno in _FULL
        remedy = "free some space" if full else "choose another folder, or get write access"
        return (
            f"the results folder must be writable, got {self}: {error.strerror or error}; {remedy}"
        )

    def check_writable(self) -> None:
        """Refuse a folder on a disk that cannot be written, without writing anything."""
        if not self.on_disk:
            return
        base = Path(self.base)
        parent = next(path for path in (base, *base.parents) if path.exists())
        if not os.access(parent, os.W_OK | os.X_OK) or not parent.is_dir():
            code = errno.EACCES if parent.is_dir() else errno.ENOTDIR
            raise AnalysisError(self.unwritable(OSError(code, os.strerror(code))))

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other sweeps out while the body runs, and delete what a killed sweep left behind."""
        # the system releases the lock when the process ends; object stores have no locks
        if not self.on_disk:
            yield
            return
        path = Path(self.base, LOCK_FILE)
        lock = FileLock(path, timeout=0)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            lock.acquire()
            path.write_text(f"process {os.getpid()} on {socket.gethostname()}\n")
            _delete_stale(path.parent)
        except Timeout as error:
            holder = path.read_text().strip() or "another process"
            raise AnalysisError(
                f"a results folder allows one sweep at a time, got {self}, in use by {holder}; "
                "wait for it, stop it, or choose another --results"
            ) from error
        except OSError as error:
            raise AnalysisError(self.unwritable(error)) from error
        try:
            yield
        finally:
            lock.release()

    def path_on_disk(self, name: str) -> Path | None:
        """Return the path of a file or subfolder; None in an object store."""
        return Path(self._path(name)) if self.on_disk else None

    def remove(self, name: str) -> None:
        """Remove a file, if it exists."""
        with self._errors_reported(), contextlib.suppress(FileNotFoundError):
            self.filesystem.delete_file(self._path(name))

    def remove_all(self, subfolder: str) -> None:
        """Remove a subfolder and its content, if it exists."""
        with self._errors_reported(), contextlib.suppress(FileNotFoundError):
            self.filesystem.delete_dir(self._path(subfolder))

    @contextlib.contextmanager
    def workspace(self, keep: Sequence[str]) -> Iterator[Path]:
        """Provide a folder on this machine's disk, for files that grow line by line.

        Args:
            keep: names of the files that belong to the results.

        Yields:
            The results folder itself if it is on a disk; else a temporary one, from which the files
            to keep are copied into the results at the end.
        """
        if self.on_disk:
            Path(self.base).mkdir(parents=True, exist_ok=True)
            yield Path(self.base)
            return
        with tempfile.TemporaryDirectory(prefix="batchscale-", ignore_cleanup_errors=True) as path:
            yield Path(path)
            for file in map(Path(path).joinpath, keep):
                if file.is_file():
                    self.write(file.name, file.read_bytes())

    def _check_readable(self, name: str, info: fs.FileInfo) -> None:
        """Refuse what never ends, such as a pipe or a device, and what does not fit into memory."""
        if info.type != fs.FileType.File:
            what = "a folder" if info.type == fs.FileType.Directory else "a pipe or a device"
            raise AnalysisError(
                f"{name} must be a regular file, got {what} in {self}; remove it, or give the "
                "folder of one study, such as results/<study>"
            )
        most = _MAX_BYTES.get(name.rpartition(".")[2], _MAX_BYTES_OF_TEXT)
        if info.size > most:
            raise AnalysisError(
                f"{name} must have at most {most:,} bytes, got {info.size:,} in {self}; restore it"
            )

    @property
    def on_disk(self) -> bool:
        """Whether the folder is on a local or mounted disk, not in an object store."""
        return isinstance(self.filesystem, fs.LocalFileSystem)

    def _path(self, name: str) -> str:
        return f"{self.base}/{name}" if name else self.base

    def _inside(self, subfolder: str) -> list[fs.FileInfo]:
        with self._errors_reported():
            selector = fs.FileSelector(self._path(subfolder), allow_not_found=True)
            return list(self.filesystem.get_file_info(selector))

    @contextlib.contextmanager
    def _errors_reported(self) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError:
            raise
        except OSError as error:
            raise AnalysisError(
                f"a results folder must be readable, got {self}: {error.strerror or error}; "
                "check the path, the network and your access to it"
            ) from error


def _absolute(path: str) -> str:
    try:
        absolute = str(Path(path).resolve())
        absolute.encode()  # pyarrow takes names in UTF-8 only
        return absolute
    except (OSError, RuntimeError, ValueError) as error:  # also a loop of links, or a NUL
        raise AnalysisError(f"a results folder needs a valid path, got {path}: {error}") from error


def _delete_stale(folder: Path) -> None:
    """Delete the temporary files of killed writers, but not recent ones, which may be in use."""
    for path in (*folder.glob(".*.tmp"), *folder.glob("*/.*.tmp")):
        if path.stat().st_mtime < time.time() - _STALE_SECONDS:
            path.unlink(missing_ok=True)
