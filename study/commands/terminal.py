"""The terminal: what is printed is text, whatever names and messages hold."""

from rich.console import Console
from rich.text import Text

from analysis.escaping import printable

_MARKS = {True: ("ok  ", "green"), False: ("FAIL", "red"), None: ("-   ", "default")}


class Terminal(Console):
    """A console that takes nothing in a string for markup or for a control sequence."""

    def __init__(self, *, stderr: bool = False) -> None:
        """Opens the standard output.

        Args:
            stderr: whether the standard error instead.
        """
        super().__init__(stderr=stderr, highlight=False, soft_wrap=True, markup=False, emoji=False)

    def render_str(self, text: str, **options: object) -> Text:
        """Makes text of a string: all strings that are printed, cells of tables too, come here."""
        return super().render_str(printable(text), **options)  # type: ignore[arg-type]

    def clause(self, name: str, passed: bool | None, detail: str) -> None:
        """Prints what came of a check; `passed` is None where it could not be made."""
        mark, style = _MARKS[passed]
        self.print(mark, style=style, end="")
        self.print(f" {name}: {detail}")
