"""Access to nested tables, such as a study file, by dotted keys."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any


def leaves(
    tables: Mapping[str, Any],
    descend: Callable[[str, Mapping[str, Any]], bool] = lambda key, table: True,
    *,
    lists: bool = False,
) -> Iterator[tuple[str, Any]]:
    """Yield the dotted key and the value of everything that is not a table.

    Args:
        tables: tables by key, nested to any depth.
        descend: whether to enter a table, given its dotted key; else it is yielded as a value.
        lists: whether to enter lists too, with entries numbered from 0.

    >>> dict(leaves({"search": {"trials": 8, "space": {"lr": 0.1}}, "seed": 0}))
    {'search.trials': 8, 'search.space.lr': 0.1, 'seed': 0}
    """
    stack: list[tuple[str | None, Any]] = [(None, tables)]
    while stack:
        key, value = stack.pop()
        if lists and isinstance(value, list):
            value = dict(enumerate(value))
        if isinstance(value, Mapping) and (key is None or descend(key, value)):
            prefix = "" if key is None else f"{key}."
            stack += reversed([(f"{prefix}{name}", entry) for name, entry in value.items()])
        elif key is not None:
            yield key, value


def value_at(tables: Mapping[str, Any], key: str) -> Any:
    """Return the value at a dotted key; None where there is none."""
    value: Any = tables
    for part in key.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def unique_keys(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """Return the pairs of a JSON object, as an `object_pairs_hook` of `json.loads`.

    Raises:
        ValueError: a key occurs twice; by default Python takes the last one.
    """
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key occurs twice")
    return found
