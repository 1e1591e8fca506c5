"""The terminal: names and messages are printed as plain text, whatever they contain.

No command depends on its output. It continues if the reader has gone or the disk behind it is full,
and replaces characters that the terminal cannot show.
"""

import contextlib
import errno
import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import IO, Any, cast

from rich.console import Console, ConsoleOptions
from rich.text import Text

from analysis.escaping import printable

_PLAIN = {
    ord("\N{EN DASH}"): "-",
    ord("\N{HORIZONTAL ELLIPSIS}"): "...",
    ord("\N{RIGHTWARDS ARROW}"): "->",
    ord("\N{MICRO SIGN}"): "u",
}
_MIN_WIDTH = 50
"""Narrower tables would cut digits off numbers, so the terminal wraps their lines instead."""
_MARKS = {True: ("ok  ", "green"), False: ("FAIL", "red"), None: ("-   ", "default")}


class Terminal(Console):
    """A console that prints strings literally: no markup, no control sequences."""

    def __init__(self, *, stderr: bool = False) -> None:
        """Print to standard output, or to standard error."""
        super().__init__(stderr=stderr, highlight=False, soft_wrap=True, markup=False, emoji=False)

    @property
    def file(self) -> IO[str]:
        """The stream that is printed to; writing to it never fails."""
        return cast(IO[str], _Unbroken(super().file))

    @file.setter
    def file(self, stream: IO[str]) -> None:
        self._file = stream

    @property
    def options(self) -> ConsoleOptions:
        """How text is laid out; `COLUMNS=0` would show nothing."""
        options = super().options
        return options.update(max_width=max(options.max_width, _MIN_WIDTH))

    def render_str(self, text: str, **options: object) -> Text:
        """Convert a string to text; every printed string passes here, table cells too."""
        return super().render_str(printable(text), **options)  # type: ignore[arg-type]

    def document(self, record: Mapping[str, Any]) -> None:
        """Print a JSON document, for programs to read."""
        self.print(json.dumps(record, indent=2, allow_nan=False))

    def heading(self, text: str | None) -> None:
        """Print a heading with a line above it, if there is one."""
        if text is not None:
            self.print(f"\n{text}", style="bold")

    def places(self, files: Iterable[object], *suffixes: str) -> None:
        """Print the paths of the files that end in one of the suffixes, below a heading."""
        paths = [path for path in map(str, files) if path.endswith(suffixes)]
        if paths:
            self.print("\nFiles", style="bold")
        for path in paths:
            self.print(path)

    def clause(self, name: str, passed: bool | None, detail: str) -> None:
        """Print the result of a check; `passed` is None where it could not be made."""
        mark, style = _MARKS[passed]
        self.print(mark, style=style, end="")
        self.print(f" {name}: {detail}")


def keep_output_unbroken() -> None:
    """Make sure that writing to either output of this process never fails, whoever writes."""
    for name in ("stdout", "stderr"):
        if (stream := getattr(sys, name)) is not None:  # None where the process started without it
            setattr(sys, name, _Unbroken(stream))


class _Unbroken:
    """A stream to which writing never fails, for work that must outlive its reader."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        with self._errors_dropped():
            self._stream.write(_encodable(text, getattr(self._stream, "encoding", None) or "utf-8"))
        return len(text)

    def flush(self) -> None:
        with self._errors_dropped():
            self._stream.flush()

    @contextlib.contextmanager
    def _errors_dropped(self) -> Iterator[None]:
        try:
            yield
        except (OSError, ValueError) as error:  # a full disk; a stream closed in this process
            self._redirect_to_null()
            if isinstance(error, OSError) and error.errno != errno.EPIPE:
                with contextlib.suppress(OSError, ValueError):
                    sys.stderr.write(f"further output is lost: {error.strerror}\n")

    def _redirect_to_null(self) -> None:
        """Redirect to the null device, or Python would fail at exit to flush what is buffered."""
        with contextlib.suppress(OSError, ValueError):  # a stream without a descriptor
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, self._stream.fileno())
            os.close(null)


def _encodable(text: str, encoding: str) -> str:
    """Return a text in which ASCII and escapes stand for characters that the encoding lacks."""
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return text.translate(_PLAIN).encode(encoding, "backslashreplace").decode(encoding)
    return text


console = Terminal()
"""Standard output, to which all commands print."""
