"""What users may give to a function: another type is told in one message, before anything runs."""

from collections.abc import Sequence
from numbers import Real
from pathlib import Path

from batchscale.errors import BatchscaleError


def refuse_unless(sound: bool, name: str, rule: str, value: object) -> None:
    """Refuse the value of an argument that does not keep to a rule.

    Raises:
        BatchscaleError: it is not sound.
    """
    if not sound:
        raise BatchscaleError(f"{name} must be {rule}, got {value!r:.100}")


def is_number(value: object) -> bool:
    """Return whether a value is a real number, of Python or numpy."""
    return isinstance(value, Real) and not isinstance(value, bool)


def are_texts(values: object) -> bool:
    """Return whether a value is a list of strings, not a string itself."""
    if not isinstance(values, Sequence) or isinstance(values, str):
        return False
    return all(isinstance(value, str) for value in values)


def is_place(value: object) -> bool:
    """Return whether a value is a path or a URI."""
    return isinstance(value, str | Path)


def refuse_target(target: object) -> None:
    """Refuse a target that is no number; None is one of the study's own.

    Raises:
        BatchscaleError: it is something else.
    """  # noqa: DOC502  (raised by refuse_unless)
    refuse_unless(target is None or is_number(target), "target", "a number or None", target)
