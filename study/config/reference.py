"""The keys of the study file with what they may hold and mean, for documentation and templates."""

import json
from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from study.config.sections import Section

_RULES = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}
_NAMES = {int: "integer", float: "number", str: "text", bool: "true or false"}


def keys(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Yield dotted key and field of every key, tables after the plain keys, in their order."""
    tables: list[tuple[str, type[BaseModel]]] = []
    for name, field in model.model_fields.items():
        key = f"{prefix}{field.alias or name}"
        section = section_of(field)
        if section is not None and prefix == "":
            tables.append((key, section))
        else:
            yield key, field
    for key, table in tables:
        yield from keys(table, f"{key}.")


def section_of(field: FieldInfo) -> type[BaseModel] | None:
    """Return the section that a key holds, where it holds one and nothing else."""
    kind = field.annotation
    options = [option for option in get_args(kind) if option is not type(None)] or [kind]
    (first, *others) = options
    alone = not others and isinstance(first, type) and issubclass(first, Section)
    return first if alone else None


def default_of(field: FieldInfo) -> Any:
    """Return the default of a key as plain data; None where it has none or is required."""
    if field.is_required():
        return None
    value = field.get_default(call_default_factory=True)
    return value.model_dump(mode="json", by_alias=True) if isinstance(value, BaseModel) else value


def toml(value: Any) -> str:
    """Return a value as TOML, a table on one line.

    >>> toml({"from": 2, "to": "all"})
    '{ from = 2, to = "all" }'
    """
    if isinstance(value, Mapping):
        entries = ", ".join(f"{key} = {toml(entry)}" for key, entry in value.items())
        return f"{{ {entries} }}" if entries else "{}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(toml, value))}]"
    return json.dumps(value)


def describe(field: FieldInfo) -> str:
    """Return the values that a key takes, with their bounds."""
    return _values(field.annotation, field.metadata)


def _values(kind: Any, metadata: Any = ()) -> str:
    arguments = get_args(kind)
    if hasattr(kind, "__metadata__"):
        return _values(arguments[0], [*kind.__metadata__, *metadata])
    bounds = _bounds(metadata)
    if getattr(kind, "__origin__", None) is not None and str(kind).startswith("typing.Literal"):
        return " or ".join(f"`{value!r}`".replace("'", '"') for value in arguments)
    if kind in _NAMES:
        return f"{_NAMES[kind]}{bounds}"
    if isinstance(kind, type) and issubclass(kind, Section):
        keys = ", ".join(f"`{f.alias or n}`" for n, f in kind.model_fields.items())
        return f"table of {keys}"
    if isinstance(kind, type) and issubclass(kind, Enum):
        return " or ".join(f'`"{member.value}"`' for member in kind)
    if str(kind).startswith("tuple"):
        return f"list of {_values(arguments[0])}"
    if str(kind).startswith("dict"):
        return "table"
    options = [_values(option) for option in arguments if option is not type(None)]
    return f"{' or '.join(options)}{bounds}"


def _bounds(metadata: Any) -> str:
    found: dict[str, Any] = {}
    for entry in metadata:
        for part in getattr(entry, "metadata", None) or [entry]:
            found |= {rule: getattr(part, rule) for rule in _RULES if hasattr(part, rule)}
    words = [f"{_RULES[rule]} {_number(found[rule])}" for rule in _RULES if rule in found]
    return f", {', '.join(words)}" if words else ""


def _number(value: float) -> str:
    power = int(value).bit_length() - 1
    if value >= 2**20 and value == 2**power:
        return f"2^{power}"
    return f"{value:,}" if isinstance(value, int) else f"{value:g}"
