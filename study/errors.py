"""The one error that a user can cause: printed without a traceback, exit code 2."""

import difflib
from collections.abc import Iterable
from datetime import date, time


class StudyError(ValueError):
    """A study that cannot be run as asked; the message holds rule, value and remedy."""


_LONGEST = 200
"""Characters of a value in a message."""


def shown(value: object) -> str:
    """Gives a value as a message has it: as it is written, and cut where it is long."""
    try:
        text = value.isoformat() if isinstance(value, date | time) else repr(value)
    except (ValueError, RecursionError):  # Python writes no integer of more than 4,300 digits
        text = f"{type(value).__name__} too large to show"
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def cause(error: BaseException) -> str:
    """Gives an error that a plug-in raised on one line, cut where it is long."""
    text = " ".join(str(error).split())
    cut = text if len(text) <= 2 * _LONGEST else f"{text[: 2 * _LONGEST]}..."
    return f"{type(error).__name__}: {cut}" if cut else type(error).__name__


def not_among(key: str, name: str, known: Iterable[str]) -> str:
    """Gives the message for a name that is none of the known ones, with the closest of them."""
    names = list(known)
    close = difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return f"{key} must be one of {', '.join(names)}, got {shown(name)}; {hint}choose one"
