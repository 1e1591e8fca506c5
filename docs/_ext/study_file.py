"""Directive `study-file`: the reference of the study file, made from its pydantic models."""

from collections.abc import Iterator
from inspect import getdoc
from typing import Any, get_args

from docutils import nodes
from docutils.parsers.rst import Directive
from docutils.statemachine import StringList
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from sphinx.application import Sphinx

from study.config.sections import Section
from study.config.study import StudyConfig
from workloads.command.program import Options

_RULES = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}
_NAMES = {int: "integer", float: "number", str: "text", bool: "true or false"}


def rows(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, str, str, str]]:
    """Yield dotted key, value, default and meaning of every key, tables in their order."""
    tables: list[tuple[str, type[BaseModel]]] = []
    for name, field in model.model_fields.items():
        key = f"{prefix}{field.alias or name}"
        section = _section(field.annotation)
        if section is not None and prefix == "":
            tables.append((key, section))
            continue
        yield key, describe(field), _default(field), field.description or ""
    for key, section in tables:
        yield from rows(section, f"{key}.")


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
    if isinstance(kind, type) and hasattr(kind, "__members__"):
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
    return (
        f"2^{power}"
        if value >= 2**20 and value == 2**power
        else f"{value:,}"
        if isinstance(value, int)
        else f"{value:g}"
    )


def _section(kind: Any) -> type[BaseModel] | None:
    """Return the section that a key holds, where it holds one and nothing else."""
    options = [option for option in get_args(kind) if option is not type(None)] or [kind]
    (first, *others) = options
    alone = not others and isinstance(first, type) and issubclass(first, Section)
    return first if alone else None


def _about(table: str) -> str:
    """Return the docstring of a table's section, as one line of Markdown."""
    program = table == "workload_options"
    section = Options if program else _section(StudyConfig.model_fields[table].annotation)
    return " ".join(str(getdoc(section)).split())


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if value is None or value is PydanticUndefined:
        return "-"
    if isinstance(value, BaseModel):
        given = value.model_dump(mode="json", by_alias=True)
        return ", ".join(f"`{key} = {entry!r}`".replace("'", '"') for key, entry in given.items())
    if value in ({}, ()):
        return "empty"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{value!r}`".replace("'", '"') if not hasattr(value, "value") else f'`"{value.value}"`'


class StudyFile(Directive):
    """Tables of keys, one for the top level and one for each table of the study file."""

    has_content = False

    def run(self) -> list[nodes.Node]:
        """Return the sections."""
        by_table: dict[str, list[str]] = {}
        keys = [*rows(StudyConfig), *rows(Options, "workload_options.")]
        for key, values, default, meaning in keys:
            table = key.rpartition(".")[0]
            cells = (f"`{key}`", values, default, meaning)
            text = " | ".join(" ".join(cell.split()).replace("|", r"\|") for cell in cells)
            by_table.setdefault(table, []).append(f"| {text} |")
        lines: list[str] = []
        for table, entries in by_table.items():
            lines += [f"## `[{table}]`", "", _about(table), ""] if table else ["## Top level", ""]
            lines += ["| key | value | default | meaning |", "| --- | --- | --- | --- |", *entries]
            lines.append("")
        container = nodes.section()
        container.document = self.state.document
        self.state.nested_parse(StringList(lines, "study-file"), 0, container, match_titles=True)
        return container.children


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directive."""
    app.add_directive("study-file", StudyFile)
    return {"parallel_read_safe": True}
