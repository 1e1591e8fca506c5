"""The one error that a user can cause: printed without a traceback, exit code 2."""

import difflib
from collections.abc import Iterable


class StudyError(ValueError):
    """A study that cannot be run as asked; the message holds rule, value and remedy."""


def not_among(key: str, name: str, known: Iterable[str]) -> str:
    """Gives the message for a name that is none of the known ones, with the closest of them."""
    names = list(known)
    close = difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return f"{key} must be one of {', '.join(names)}, got {name!r}; {hint}choose one"
