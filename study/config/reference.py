"""The keys of a study file with their values and meanings, for documentation and templates."""

import json
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, get_args

from pydantic import BaseModel, TypeAdapter
from pydantic.fields import FieldInfo

from study.config.sections import Section

_RULES = {
    "minimum": "at least",
    "exclusiveMinimum": "above",
    "maximum": "at most",
    "exclusiveMaximum": "below",
}
_NAMES = {
    "integer": "integer",
    "number": "number",
    "string": "text",
    "boolean": "true or false",
    "object": "table",
}


def keys(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Yield the dotted name and field of every key in order, plain keys before tables."""
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
    """Return the section that is a key's value; None for a key that takes other values."""
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
    kind: Any = Annotated[field.annotation, field]
    schema = TypeAdapter(kind).json_schema(by_alias=True)
    return _values(schema, schema.get("$defs", {}))


def _values(schema: Mapping[str, Any], sections: Mapping[str, Any]) -> str:
    schema = sections.get(schema.get("$ref", "").rpartition("/")[2], schema)
    options = schema.get("anyOf") or schema.get("oneOf") or []
    if options:
        return " or ".join(_values(o, sections) for o in options if o.get("type") != "null")
    if "const" in schema or "enum" in schema:
        choices = schema.get("enum") or [schema["const"]]
        return " or ".join(f"`{json.dumps(choice)}`" for choice in choices)
    if "properties" in schema:
        return f"table of {', '.join(f'`{key}`' for key in schema['properties'])}"
    if schema["type"] == "array":
        return f"list of {_values(schema.get('items') or schema['prefixItems'][0], sections)}"
    bounds = [f"{word} {_number(schema[rule])}" for rule, word in _RULES.items() if rule in schema]
    return ", ".join([_NAMES[schema["type"]], *bounds])


def _number(value: float) -> str:
    power = int(value).bit_length() - 1
    if value >= 2**20 and value == 2**power:
        return f"2^{power}"
    return f"{value:,}" if isinstance(value, int) else f"{value:g}"
