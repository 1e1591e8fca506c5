"""The error for an invalid study, and the form of values in its message."""

from datetime import date, time

from batchscale.errors import BatchscaleError, presentable


class StudyError(BatchscaleError):
    """A study that cannot be run as requested."""


_MAX_CHARACTERS = 200


def shown(value: object) -> str:
    """Return a value for a message, cut if it is long."""
    try:
        text = value.isoformat() if isinstance(value, date | time) else repr(value)
    except (ValueError, RecursionError):  # Python prints no integer of more than 4,300 digits
        text = f"{type(value).__name__} too large to show"
    return text if len(text) <= _MAX_CHARACTERS else f"{text[:_MAX_CHARACTERS]}..."


def cause(error: BaseException) -> str:
    """Return a plug-in's error on one line, cut if it is long."""
    text = " ".join(str(error).split())
    return presentable(f"{type(error).__name__}: {text}" if text else type(error).__name__)
