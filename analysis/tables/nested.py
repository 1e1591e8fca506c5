"""Nested tables, such as a study file, by dotted keys."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any


def leaves(
    tables: Mapping[str, Any],
    descend: Callable[[str, Mapping[str, Any]], bool] = lambda key, table: True,
    *,
    lists: bool = False,
) -> Iterator[tuple[str, Any]]:
    """Yield dotted key and value of everything that is not a table.

    Args:
        tables: tables by key, nested to any depth.
        descend: whether a table, given with its dotted key, is entered; else it is a value.
        lists: whether lists are entered too, their entries numbered from 0.

    >>> dict(leaves({"search": {"trials": 8, "space": {"lr": 0.1}}, "seed": 0}))
    {'search.trials': 8, 'search.space.lr': 0.1, 'seed': 0}
    """
    stack: list[tuple[str | None, Any]] = [(None, tables)]
    while stack:
        key, value = stack.pop()
        if lists and isinstance(value, list):
            value = dict(enumerate(value))
        if isinstance(value, Mapping) and (key is None or descend(key, value)):
            at = "" if key is None else f"{key}."
            stack += reversed([(f"{at}{name}", entry) for name, entry in value.items()])
        elif key is not None:
            yield key, value


def value_at(tables: Mapping[str, Any], key: str) -> Any:
    """Return the value at a dotted key; None where there is none."""
    value: Any = tables
    for part in key.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """Return the pairs of a JSON object, as the `object_pairs_hook` of `json.loads`.

    Raises:
        ValueError: a key occurs twice; Python would take the last.
    """
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key occurs twice")
    return found
