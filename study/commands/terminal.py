"""The terminal: names and messages are printed as plain text, whatever they contain.

No command depends on its output: it goes on where the reader has gone, and writes what the terminal
cannot show in other characters.
"""

import codecs
import io
import os
import sys

from rich.console import Console
from rich.text import Text

from analysis.escaping import printable

_PLAIN = {"\N{EN DASH}": "-", "\N{HORIZONTAL ELLIPSIS}": "...", "\N{RIGHTWARDS ARROW}": "->"}
_MARKS = {True: ("ok  ", "green"), False: ("FAIL", "red"), None: ("-   ", "default")}


class Terminal(Console):
    """A console that prints strings literally: no markup, no control sequences."""

    def __init__(self, *, stderr: bool = False) -> None:
        """Print to standard output, or to standard error."""
        super().__init__(stderr=stderr, highlight=False, soft_wrap=True, markup=False, emoji=False)

    def render_str(self, text: str, **options: object) -> Text:
        """Convert a string to text; every printed string passes here, cells of tables too."""
        return super().render_str(printable(text), **options)  # type: ignore[arg-type]

    def on_broken_pipe(self) -> None:
        """Discard all further output, as of `batchscale analyze DIR | head -1`, and go on."""
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self.file.fileno())
        os.close(nowhere)

    def clause(self, name: str, passed: bool | None, detail: str) -> None:
        """Print the result of a check; `passed` is None where it could not be made."""
        mark, style = _MARKS[passed]
        self.print(mark, style=style, end="")
        self.print(f" {name}: {detail}")


def show_any_character() -> None:
    """Make both outputs of the process take characters that their encoding lacks.

    A dash becomes a hyphen, and what has no likeness in ASCII its Python escape.
    """
    codecs.register_error("batchscale", _in_ascii)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="batchscale")


def _in_ascii(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end]
    plain = "".join(_PLAIN.get(char, char) for char in text)
    return plain.encode("ascii", "backslashreplace").decode(), error.end
