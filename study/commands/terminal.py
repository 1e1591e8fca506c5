"""The terminal: names and messages are printed as plain text, whatever they contain."""

import contextlib
import os
from collections.abc import Iterator
from typing import IO, Any

from rich.console import Console
from rich.text import Text

from analysis.escaping import printable

_MARKS = {True: ("ok  ", "green"), False: ("FAIL", "red"), None: ("-   ", "default")}


class Terminal(Console):
    """A console that prints strings literally: no markup, no control sequences."""

    def __init__(self, *, stderr: bool = False) -> None:
        """Print to standard output, or to standard error."""
        super().__init__(stderr=stderr, highlight=False, soft_wrap=True, markup=False, emoji=False)

    def render_str(self, text: str, **options: object) -> Text:
        """Convert a string to text; every printed string passes here, cells of tables too."""
        return super().render_str(printable(text), **options)  # type: ignore[arg-type]

    @contextlib.contextmanager
    def unbroken(self) -> Iterator[None]:
        """Print to nobody, instead of raising, once the reader has gone while the body runs.

        Yields:
            Nothing.
        """
        before = self._file
        self.file = _Unbroken(self.file)  # type: ignore[assignment]
        try:
            yield
        finally:
            self._file = before

    def clause(self, name: str, passed: bool | None, detail: str) -> None:
        """Print the result of a check; `passed` is None where it could not be made."""
        mark, style = _MARKS[passed]
        self.print(mark, style=style, end="")
        self.print(f" {name}: {detail}")


class _Unbroken:
    """A stream to which writing never fails: for work that must not end with its reader."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream, self._gone = stream, False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        encoding = getattr(self._stream, "encoding", None) or "utf-8"
        known = text.encode(encoding, "backslashreplace").decode(encoding)
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
        except (OSError, ValueError):  # a closed pipe, a full disk; a stream closed in this process
            if not self._gone:
                self._gone = True
                self._discard()

    def _discard(self) -> None:
        """Lead the stream to nowhere, or Python would fail to write the rest of it at its end."""
        with contextlib.suppress(OSError, ValueError):  # a stream without a descriptor
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)
