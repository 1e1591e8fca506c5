"""The terminal: names and messages are printed as plain text, whatever they contain.

No command depends on its output: it continues if the reader has gone or the disk behind it is
full, and writes what the terminal cannot show in other characters.
"""

import codecs
import contextlib
import errno
import io
import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import IO, Any, cast

from rich.console import Console, ConsoleOptions
from rich.text import Text

from analysis.escaping import printable

_PLAIN = {
    "\N{EN DASH}": "-",
    "\N{HORIZONTAL ELLIPSIS}": "...",
    "\N{RIGHTWARDS ARROW}": "->",
    "\N{MICRO SIGN}": "u",
}
_LEAST_WIDTH = 50
"""In narrower tables numbers would lose digits, so lines are wrapped by the terminal instead."""
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
        found = super().options
        return found.update(max_width=max(found.max_width, _LEAST_WIDTH))

    def render_str(self, text: str, **options: object) -> Text:
        """Convert a string to text; every printed string passes here, cells of tables too."""
        return super().render_str(printable(text), **options)  # type: ignore[arg-type]

    def document(self, record: Mapping[str, Any]) -> None:
        """Print a JSON document, for programs to read."""
        self.print(json.dumps(record, indent=2, allow_nan=False))

    def heading(self, text: str | None) -> None:
        """Print a heading with a line above it, if there is one."""
        if text is not None:
            self.print(f"\n{text}", style="bold")

    def places(self, files: Iterable[object], *suffixes: str) -> None:
        """Print where those files are that end in one of the suffixes."""
        for file in map(str, files):
            if file.endswith(suffixes):
                self.print(file)

    def clause(self, name: str, passed: bool | None, detail: str) -> None:
        """Print the result of a check; `passed` is None where it could not be made."""
        mark, style = _MARKS[passed]
        self.print(mark, style=style, end="")
        self.print(f" {name}: {detail}")


def show_any_character() -> None:
    """Make both outputs of the process take characters that their encoding lacks.

    A dash becomes a hyphen, and what has no likeness in ASCII its Python escape.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_ascii_where_needed())


def _ascii_where_needed() -> str:
    """Return the name of a rule for characters that an encoding lacks, known to `codecs`."""
    codecs.register_error("batchscale", _in_ascii)
    return "batchscale"


def _in_ascii(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end]
    plain = "".join(_PLAIN.get(char, char) for char in text)
    return plain.encode("ascii", "backslashreplace").decode(), error.end


class _Unbroken:
    """A stream to which writing never fails: for work that must not end with its reader."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        encoding = getattr(self._stream, "encoding", None) or "utf-8"
        known = text.encode(encoding, _ascii_where_needed()).decode(encoding)
        with self._errors_dropped():
            self._stream.write(known)
        return len(text)

    def flush(self) -> None:
        with self._errors_dropped():
            self._stream.flush()

    @contextlib.contextmanager
    def _errors_dropped(self) -> Iterator[None]:
        try:
            yield
        except (OSError, ValueError) as error:  # a full disk; a stream closed in this process
            self._discard()
            if isinstance(error, OSError) and error.errno != errno.EPIPE:
                with contextlib.suppress(OSError, ValueError):
                    sys.stderr.write(f"further output is lost: {error.strerror}\n")

    def _discard(self) -> None:
        """Lead the stream to nowhere, or Python would fail to write the rest of it at its end."""
        with contextlib.suppress(OSError, ValueError):  # a stream without a descriptor
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)


console = Terminal()
"""Standard output, to which all commands print."""
