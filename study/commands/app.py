"""The command line. A study file says what is studied; options say where and how it runs."""

import sys
from collections.abc import Sequence
from typing import Annotated

import typer
from typer import Option

from batchscale.errors import BatchscaleError, redacted
from study.commands import archives, costs, replay, results, study_files, sweep, workloads
from study.commands.options import WRONG_INPUT
from study.commands.terminal import Terminal, console, keep_output_unbroken
from study.errors import StudyError

app = typer.Typer(
    name="batchscale",
    help="How many optimizer steps does training need as the batch size grows?",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (
    *(sweep.sweep, sweep.plan, workloads.workloads, workloads.check),
    *(study_files.init, study_files.schema),
    *(results.status, results.analyze, results.compare, results.report, costs.cost),
    *(archives.import_, archives.export, replay.verify, replay.diagnose),
):
    app.command(command.__name__.rstrip("_"))(command)


def _print_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        console.print(f"batchscale {version('batchscale')}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool,
        Option(
            "--version", callback=_print_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    """How many optimizer steps does training need as the batch size grows?"""


def _check_arguments(arguments: Sequence[str]) -> None:
    """Refuse a secret before typer, a log or the record of the sweep repeats it."""
    for number, argument in enumerate(arguments, start=1):
        if redacted(argument) != argument:
            raise StudyError(
                f"an argument must contain no password, key or token, got one in argument {number};"
                " set the store's own variables instead, such as AWS_ACCESS_KEY_ID and "
                "AWS_SECRET_ACCESS_KEY"
            )


def main() -> None:
    """Run the command line; wrong input ends in one short message and exit code 2."""
    keep_output_unbroken()
    try:
        _check_arguments(sys.argv[1:])
        app()
    except BatchscaleError as error:
        Terminal(stderr=True).print(f"error: {error}")
        sys.exit(WRONG_INPUT)
