"""Writes plain data as TOML: tables of strings, numbers, truth values and lists of these."""

import json
import re
from collections.abc import Mapping
from typing import Any

_BARE = re.compile(r"[A-Za-z0-9_-]+")


def as_toml(data: Mapping[str, Any]) -> str:
    """Gives a document, plain values of each table before its inner tables.

    Args:
        data: by key: a string, a finite number, a truth value, a list of these, or a mapping.

    Returns:
        The text.

    >>> print(as_toml({"a": 1, "b": {"c": "d", "e f": [1e-05, True]}}), end="")
    a = 1
    <BLANKLINE>
    [b]
    c = "d"
    "e f" = [1e-05, true]
    """
    return "\n".join(_lines(data, ())).removeprefix("\n") + "\n"


def _lines(data: Mapping[str, Any], at: tuple[str, ...]) -> list[str]:
    plain = {key: value for key, value in data.items() if not isinstance(value, Mapping)}
    tables = {key: value for key, value in data.items() if isinstance(value, Mapping)}
    lines = []
    if at and (plain or not tables):
        lines = ["", f"[{'.'.join(map(_key, at))}]"]
    lines += [f"{_key(key)} = {_text(value)}" for key, value in plain.items()]
    for key, table in tables.items():
        lines += _lines(table, (*at, key))
    return lines


def _key(key: str) -> str:
    return key if _BARE.fullmatch(key) else _text(key)


def _text(value: object) -> str:
    # JSON writes strings and numbers as TOML does, but for the character that it does not escape
    return json.dumps(value, ensure_ascii=False, allow_nan=False).replace("\x7f", "\\u007f")
