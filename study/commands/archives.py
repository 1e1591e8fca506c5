"""The commands `import` and `export`: finished runs, tables, published archives."""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from rich.text import Text
from typer import Argument, Option

from study.commands.options import StudyFolder
from study.commands.terminal import console
from study.errors import StudyError


def import_(  # noqa: PLR0913 - one argument for each flag of the command
    source: Annotated[
        str,
        Argument(
            metavar="SOURCE",
            help="Finished runs: a table (.csv, .tsv, .parquet, .jsonl), MLflow's mlruns or .db, a "
            "folder of TensorBoard event files, wandb:entity/project; or a folder or tar file in "
            "the layout of Shallue et al. 2018.",
        ),
    ],
    results: Annotated[
        str, Option(help="Parent of the results folders: a path or a URI.")
    ] = "results",
    only: Annotated[str, Option(help="Pattern of names to import, such as 'mnist-*'.")] = "*",
    target: Annotated[float | None, Option(help="Validation error to get below.")] = None,
    metric: Annotated[
        str | None,
        Option(help="Measurement to use as the error.", show_default="the first known one"),
    ] = None,
    columns: Annotated[
        list[str] | None,
        Option(
            metavar="NAME=COLUMN,...",
            help="Runs: names of the columns, such as step=iteration,lr=eta.",
        ),
    ] = None,
    join: Annotated[Path | None, Option(help="Runs: a table with one row per run to join.")] = None,
    space: Annotated[
        list[str] | None,
        Option(
            metavar="NAME=LOW:HIGH:SCALE,...",
            help="Runs: the ranges that their points were drawn from, evenly and independently, "
            "such as lr=1e-4:1:log.",
            show_default="unknown",
        ),
    ] = None,
    step_unit: Annotated[
        str, Option(help="Runs: unit of the steps: updates, examples or tokens.")
    ] = "updates",
    tokens_per_example: Annotated[
        int | None,
        Option(help="Runs: sequence length, for steps in tokens.", show_default=False),
    ] = None,
    all_trials: Annotated[
        bool, Option("--all-trials", help="Archive: also count trials that are not COMPLETE.")
    ] = False,
    first_trials: Annotated[
        int | None,
        Option(
            min=1,
            help="Archive: use only this many COMPLETE trials at each batch size.",
            show_default="all",
        ),
    ] = None,
) -> None:
    """Import finished runs, or the workloads of a published archive, as results folders."""
    from analysis.archive.importing import Choices, import_archive
    from analysis.runs.columns import Units, parse_mapping
    from analysis.runs.importing import Choices as RunChoices
    from analysis.runs.importing import import_runs
    from analysis.runs.sources import may_be_archive, reader_of
    from analysis.runs.space import parse_space
    from analysis.tables.folder import ResultsFolder

    folder = ResultsFolder.at(results)
    with console.status(Text(f"reading {source}")):
        if reader_of(source) is None and may_be_archive(source):
            of_runs = {
                "--columns": columns,
                "--join": join,
                "--space": space,
                "--step-unit": step_unit != "updates",
                "--tokens-per-example": tokens_per_example,
            }
            _refuse_options(source, "an archive", of_runs)
            choices = Choices(
                only=only,
                target=target,
                metric=metric,
                all_trials=all_trials,
                first_trials=first_trials,
            )
            imported = import_archive(Path(source), folder, choices)
        else:
            of_archives = {"--all-trials": all_trials, "--first-trials": first_trials}
            _refuse_options(source, "runs", of_archives)
            run_choices = RunChoices(
                mapping=parse_mapping(columns or []),
                units=Units(step=step_unit, tokens_per_example=tokens_per_example),
                only=only,
                target=target,
                metric=metric,
                space=parse_space(space or []),
                join=join,
            )
            imported = import_runs(source, folder, run_choices)
    for made in imported:
        console.print(made.sentence)
    goal = "" if made.has_target else " --target E"
    console.print(f"Next: batchscale analyze {shlex.quote(str(made.folder))}{goal}")


def _refuse_options(source: str, kind: str, given: Mapping[str, object]) -> None:
    """Refuse options that do not apply to this kind of source."""
    wrong = next((name for name, value in given.items() if value), None)
    if wrong is not None:
        raise StudyError(
            f"{wrong} does not apply to {kind}, got it for {source}; leave it out, or check the "
            "path and its suffix"
        )


def export(
    location: StudyFolder,
    to: Annotated[Path, Option(help="Folder for the archive or the table, or a .csv file.")] = Path(
        "archive"
    ),
    form: Annotated[
        str,
        Option("--format", help="archive: the layout of Shallue et al. 2018; csv: one table."),
    ] = "archive",
) -> None:
    """Export a study as an archive in the layout of Shallue et al. 2018, or as a table."""
    from analysis.archive.exporting import export_study
    from analysis.runs.exporting import export_table
    from analysis.tables.folder import ResultsFolder

    if form not in ("archive", "csv"):
        raise StudyError(f"--format must be archive or csv, got {form!r}")
    if form == "csv":
        console.print(str(export_table(ResultsFolder.at(location), to)))
        return

    written = export_study(ResultsFolder.at(location), to)
    console.print(f"{written.trials:,} trials in {written.folder}, {written.left_out:,} left out")
