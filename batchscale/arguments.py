"""Checks of the arguments that users give to functions, before anything runs."""

from collections.abc import Sequence
from numbers import Real
from pathlib import Path

from batchscale.errors import BatchscaleError


def refuse_unless(sound: bool, name: str, rule: str, value: object) -> None:
    """Refuse the value of the argument `name` unless it is sound, that is, follows the rule.

    Raises:
        BatchscaleError: it is not sound.
    """
    if not sound:
        raise BatchscaleError(f"{name} must be {rule}, got {value!r:.100}")


def is_number(value: object) -> bool:
    """Return whether a value is a real number, of Python's or numpy's types."""
    return isinstance(value, Real) and not isinstance(value, bool)


def are_texts(values: object) -> bool:
    """Return whether a value is a sequence of strings, not a string itself."""
    if not isinstance(values, Sequence) or isinstance(values, str):
        return False
    return all(isinstance(value, str) for value in values)


def is_place(value: object) -> bool:
    """Return whether a value is a path or a URI."""
    return isinstance(value, str | Path)


def refuse_target(target: object) -> None:
    """Refuse a target that is neither a number nor None."""
    refuse_unless(target is None or is_number(target), "target", "a number or None", target)
