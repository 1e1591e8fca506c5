"""The terminal: names and messages are printed as plain text, whatever they contain."""

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

    def clause(self, name: str, passed: bool | None, detail: str) -> None:
        """Print the result of a check; `passed` is None where it could not be made."""
        mark, style = _MARKS[passed]
        self.print(mark, style=style, end="")
        self.print(f" {name}: {detail}")
