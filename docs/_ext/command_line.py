"""Directive `command-line`: the reference of the command line, made from the commands."""

from collections.abc import Iterator
from typing import Any

import typer
from docutils import nodes
from docutils.parsers.rst import Directive
from docutils.statemachine import StringList
from sphinx.application import Sphinx

from study.commands.app import app as application


def lines() -> Iterator[str]:
    """Yield the reference as Markdown, one section per command."""
    group: Any = typer.main.get_command(application)
    for name, command in group.commands.items():
        arguments = [p for p in command.params if p.param_type_name == "argument"]
        options = [p for p in command.params if p.param_type_name == "option"]
        words = " ".join(p.metavar or p.name.upper() for p in arguments)
        yield from (f"## `batchscale {name}`", "", command.help or "", "")
        yield from ("```text", f"batchscale {name} [OPTIONS] {words}".rstrip(), "```", "")
        if arguments or options:
            yield from ("| | meaning | default |", "| --- | --- | --- |")
        for parameter in arguments:
            shown = parameter.metavar or parameter.name.upper()
            yield f"| `{shown}` | {parameter.help or ''} | |"
        for parameter in options:
            names = ", ".join(f"`{text}`" for text in (*parameter.opts, *parameter.secondary_opts))
            yield f"| {names} | {parameter.help or ''} | {_default(parameter)} |"
        yield ""


def _default(parameter: Any) -> str:
    if isinstance(parameter.show_default, str):
        return parameter.show_default
    value = parameter.default() if callable(parameter.default) else parameter.default
    if value is None or value is False or value == ():
        return ""
    return "on" if value is True else f"`{value}`"


class CommandLine(Directive):
    """A section for each command."""

    has_content = False

    def run(self) -> list[nodes.Node]:
        """Return the sections."""
        container = nodes.section()
        container.document = self.state.document
        text = StringList(list(lines()), "command-line")
        self.state.nested_parse(text, 0, container, match_titles=True)
        return container.children


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directive."""
    app.add_directive("command-line", CommandLine)
    return {"parallel_read_safe": True}
