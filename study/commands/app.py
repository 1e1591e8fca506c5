"""The command line: what is studied is in the study file, where and how it runs is here."""

import sys
from typing import Annotated

import typer

from batchscale.errors import BatchscaleError
from study.commands import replay, results, sweep, workloads
from study.commands.options import WRONG_INPUT
from study.commands.terminal import Terminal, show_any_character

app = typer.Typer(
    name="batchscale",
    help="How many optimizer steps does training need as the batch size grows?",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for part in (sweep, workloads, results, replay):
    app.add_typer(part.app)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"batchscale {version('batchscale')}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    """How many optimizer steps does training need as the batch size grows?"""


def main() -> None:
    """Run the command line; wrong input ends in one short message and exit code 2."""
    show_any_character()
    try:
        app()
    except BatchscaleError as error:
        Terminal(stderr=True).print(f"error: {error}")
        sys.exit(WRONG_INPUT)
