"""The results folder, wherever it is: on a disk, on one that machines share, in an object store."""

import contextlib
import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Self
from urllib.parse import quote, unquote, urlsplit, urlunsplit

import pyarrow as pa
from pyarrow import fs

from analysis.errors import AnalysisError

# stores in which a file appears whole or not at all; of the others that pyarrow knows, some show
# a file while it is being written
_SCHEMES = ("file", "s3", "gs")
_GS_RETRY = "retry_limit_seconds"  # 15 minutes unless given


@dataclass(frozen=True, slots=True)
class ResultsFolder:
    """A results folder; it may be pickled and used on another machine.

    Files have names relative to the folder, with forward slashes.

    Attributes:
        location: path or URI as the user gave it.
        filesystem: what holds it, a `pyarrow.fs.FileSystem`.
        base: its absolute path there.
    """

    location: str
    filesystem: fs.FileSystem = field(repr=False, compare=False)
    base: str

    @classmethod
    def at(cls, location: str | Path) -> Self:
        """Finds a folder, which need not exist.

        Args:
            location: a path, or a URI such as `s3://bucket/results`, `gs://...`, `file:///...`.

        Returns:
            The folder.

        Raises:
            AnalysisError: the URI is of no known form, or its store cannot be reached.
        """
        text = str(location)
        if "://" not in text:
            return cls(text, fs.LocalFileSystem(), _absolute(text))
        _check_uri(text)
        try:
            filesystem, base = fs.FileSystem.from_uri(_with_patience(text))
        except (pa.ArrowInvalid, OSError, UnicodeEncodeError) as error:
            raise AnalysisError(
                f"a results URI must be one that pyarrow.fs can open, got {text}: {error}; check "
                "its spelling, its bucket and the network"
            ) from error
        return cls(text, filesystem, base.rstrip("/"))

    def __truediv__(self, name: str) -> Self:
        """Gives the folder, or the location of the file, of that name inside this one."""
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
        """Last component of its path: the name of the study in it."""
        return PurePosixPath(self.base).name

    @property
    def look_seconds(self) -> float:
        """Least time between two looks for new files; a store counts, and bills, each."""
        return 0.5 if self._on_disk else 5.0

    def exists(self, name: str) -> bool:
        """Tells whether there is a file of that name."""
        with self._reached():
            return bool(self.filesystem.get_file_info(self._path(name)).type == fs.FileType.File)

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing in it, or it is not there at all."""
        return not self._inside("")

    def names(self, subfolder: str) -> list[str]:
        """Gives the names of the files in a subfolder, sorted; none where it is not there."""
        files = [info for info in self._inside(subfolder) if info.type == fs.FileType.File]
        return sorted(f"{subfolder}/{info.base_name}" for info in files)

    def read(self, name: str) -> bytes:
        """Reads a file.

        Args:
            name: its name.

        Returns:
            Its content.

        Raises:
            AnalysisError: it is not there, or the folder cannot be read.
        """
        try:
            with self._reached(), self.filesystem.open_input_stream(self._path(name)) as stream:
                return bytes(stream.read())
        except FileNotFoundError as error:
            raise AnalysisError(
                f"a results folder must hold {name}, got none in {self}; "
                "give the folder of one study, such as results/<study>"
            ) from error

    def write(self, name: str, content: "bytes | pa.Buffer") -> None:
        """Writes a file so that a reader, on any machine, sees the old one or the new one, whole.

        Args:
            name: its name; subfolders are made where missing.
            content: its content.

        Raises:
            AnalysisError: the folder cannot be written.
        """
        path = self._path(name)
        try:
            if self._on_disk:
                _replace(Path(path), content)
            else:
                with self.filesystem.open_output_stream(path) as stream:
                    stream.write(content)
        except OSError as error:
            raise AnalysisError(
                f"the results folder must be writable, got {self}: {error.strerror or error}; "
                "choose another, or get access to it"
            ) from error

    @contextlib.contextmanager
    def workspace(self, keep: Sequence[str]) -> Iterator[Path]:
        """Gives a folder on this machine's disk, for files that grow line by line.

        Args:
            keep: names of files made there that belong to the results.

        Yields:
            The results folder itself where it is on a disk. Else a temporary one, of which the
            files to keep are put into the results at the end.
        """
        if self._on_disk:
            Path(self.base).mkdir(parents=True, exist_ok=True)
            yield Path(self.base)
            return
        with tempfile.TemporaryDirectory(prefix="batchscale-", ignore_cleanup_errors=True) as made:
            yield Path(made)
            for name in keep:
                if (Path(made) / name).is_file():
                    self.write(name, (Path(made) / name).read_bytes())

    @property
    def _on_disk(self) -> bool:
        return isinstance(self.filesystem, fs.LocalFileSystem)

    def _path(self, name: str) -> str:
        return f"{self.base}/{name}" if name else self.base

    def _inside(self, subfolder: str) -> list[fs.FileInfo]:
        with self._reached():
            selector = fs.FileSelector(self._path(subfolder), allow_not_found=True)
            return list(self.filesystem.get_file_info(selector))

    @contextlib.contextmanager
    def _reached(self) -> Iterator[None]:
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
        absolute.encode()  # pyarrow knows no names that are not UTF-8
        return absolute
    except (OSError, RuntimeError, ValueError) as error:  # also a circle of links, a NUL
        raise AnalysisError(
            f"a results folder must have a path that can be, got {path}: {error}; correct it"
        ) from error


def _check_uri(uri: str) -> None:
    parts = urlsplit(uri)
    if parts.scheme not in _SCHEMES:
        known = ", ".join(f"{scheme}://" for scheme in _SCHEMES)
        raise AnalysisError(
            f"results must be a path or a URI of {known}, got {uri}; use one of those"
        )
    if parts.password is not None or "access_token" in parts.query:
        # commands are recorded with the results, and a password must not be
        raise AnalysisError(
            f"a results URI must hold no password, got one for {parts.scheme}://{parts.hostname}; "
            "leave it out and set the store's own variables, such as AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY"
        )
    if "\0" in unquote(uri):
        raise AnalysisError(f"a results URI must hold no NUL, got {uri}; correct it")
    if parts.scheme != "file" and not parts.netloc:
        raise AnalysisError(f"a results URI must name a bucket, got {uri}; add it")


def _with_patience(uri: str) -> str:
    """Gives a URI under which a store that does not answer is given up within a minute."""
    if not uri.startswith("gs:") or _GS_RETRY in uri:
        return uri
    return f"{uri}{'&' if urlsplit(uri).query else '?'}{_GS_RETRY}=30"


def _replace(path: Path, content: "bytes | pa.Buffer") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
