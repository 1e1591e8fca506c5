"""The error that a wrong study causes, and how values appear in its messages."""

from datetime import date, time

from batchscale.errors import BatchscaleError, presentable


class StudyError(BatchscaleError):
    """A study that cannot be run as requested."""


_MOST_CHARACTERS = 200
"""Length at which a value in a message is cut."""


def shown(value: object) -> str:
    """Return a value as it appears in a message, cut if it is long."""
    try:
        text = value.isoformat() if isinstance(value, date | time) else repr(value)
    except (ValueError, RecursionError):  # Python writes no integer of more than 4,300 digits
        text = f"{type(value).__name__} too large to show"
    return text if len(text) <= _MOST_CHARACTERS else f"{text[:_MOST_CHARACTERS]}..."


def cause(error: BaseException) -> str:
    """Return an error that a plug-in raised, on one line, cut if it is long."""
    text = " ".join(str(error).split())
    return presentable(f"{type(error).__name__}: {text}" if text else type(error).__name__)
