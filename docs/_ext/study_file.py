"""Directive `study-file`: the reference of the study file, made from its pydantic models."""

from collections.abc import Iterator
from inspect import getdoc
from typing import Any

from docutils import nodes
from docutils.parsers.rst import Directive
from docutils.statemachine import StringList
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from sphinx.application import Sphinx

from study.config.reference import default_of, describe, keys, section_of, toml
from study.config.study import StudyConfig
from workloads.command import Options


def rows(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, str, str, str]]:
    """Yield dotted key, value, default and meaning of every key, tables in their order."""
    for key, field in keys(model):
        yield f"{prefix}{key}", describe(field), _default(field), field.description or ""


def _about(table: str) -> str:
    """Return the docstring of a table's section, as one line of Markdown."""
    program = table == "workload_options"
    section = Options if program else section_of(StudyConfig.model_fields[table])
    return " ".join(str(getdoc(section)).split())


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = default_of(field)
    return "-" if value is None else f"`{toml(value)}`"


class StudyFile(Directive):
    """Tables of keys, one for the top level and one for each table of the study file."""

    has_content = False

    def run(self) -> list[nodes.Node]:
        """Return the sections."""
        by_table: dict[str, list[str]] = {}
        every = [*rows(StudyConfig), *rows(Options, "workload_options.")]
        for key, values, default, meaning in every:
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
