"""The commands on results: status, analysis, comparison, archives."""

import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from study.commands.options import (
    FontSize,
    Formats,
    Json,
    StudyFolder,
    Title,
    Width,
    holding_studies,
)
from study.commands.terminal import Terminal
from study.errors import StudyError

app = typer.Typer()
console = Terminal()


@app.command()
def status(location: StudyFolder, as_json: Json = False) -> None:
    """Show the progress of a sweep, one row per batch size, and what is still to come."""
    from analysis.measures.unfinished import missing_trials, unfinished_sentences
    from analysis.tables.files import read_study_file
    from analysis.tables.folder import ResultsFolder
    from study.orchestration.progress import Progress, progress_table, recorded_row, share_done
    from study.storage.ends import read_ends
    from study.storage.study_folder import read_study_toml

    folder = ResultsFolder.at(location)
    if "imported" in read_study_file(folder):
        from analysis.tables.imported import imported_counts
        from analysis.tables.study import read_study

        console.print(f"imported and complete: {imported_counts(read_study(folder))}")
        return
    resolved = read_study_toml(folder)
    ends = read_ends(folder, resolved)
    rows = Progress.of_rows(resolved, ends.trials).rows()
    missing = missing_trials(resolved.as_data(), ends.trials, ends.boxes)
    if as_json:
        console.document(
            {
                "study": folder.name,
                "share_done": share_done(rows),
                "batch_sizes": [recorded_row(row) for row in rows],
                "unfinished": missing,
            }
        )
        return
    console.print(progress_table(rows))
    console.print(f"{share_done(rows):.0%} of the expected work recorded")
    for sentence in unfinished_sentences(missing):
        console.print(sentence)


@app.command()
def analyze(  # noqa: PLR0913 - one argument for each flag of the command
    location: StudyFolder,
    target: Annotated[
        float | None,
        typer.Option(help="Another target; must be looser if trials raced.", show_default=False),
    ] = None,
    equal_trials: Annotated[
        bool,
        typer.Option(
            "--equal-trials",
            help="Use only as many search trials as every batch size has.",
        ),
    ] = False,
    formats: Formats = "png,svg",
    width: Width = None,
    font_size: FontSize = None,
    title: Title = True,
    latex: Annotated[
        bool, typer.Option("--latex", help="Also write the tables as LaTeX with booktabs.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Fit the three regimes, print the table and draw the figures."""
    from analysis.figures import write_figures
    from analysis.figures.drawing.style import look_of
    from analysis.measures.targets import check_target
    from analysis.measures.targets import equal_trials as most_equal_trials
    from analysis.report.summary import analyze as analyze_study
    from analysis.report.tables import TABLES, write_tables
    from analysis.report.write import print_analysis, write_summary
    from analysis.tables.files import read_file
    from analysis.tables.folder import ResultsFolder
    from analysis.tables.schema import SUMMARY_FILE
    from analysis.tables.study import read_study
    from study.storage.consolidate import consolidate
    from study.storage.parts import Parts, part_names
    from study.storage.study_folder import read_study_toml

    look = look_of(formats, width, font_size, title)
    folder = ResultsFolder.at(location)
    if part_names(folder):  # an imported study has tables only
        resolved = read_study_toml(folder)
        if target is not None:
            check_target(target, resolved.as_data()["race"])
        consolidate(Parts(folder, resolved))
    study = read_study(folder)
    first = most_equal_trials(study) if equal_trials else None
    analysis = analyze_study(study, target, first)
    figures, tables = folder / "figures", folder / TABLES
    written = [folder / name for name in write_summary(analysis, folder)]
    record = json.loads(read_file(folder, SUMMARY_FILE))
    written += [tables / name for name in write_tables(analysis, record, tables, latex)]
    written += [figures / name for name in write_figures(analysis, figures, look)]
    if as_json:
        console.document(record)
        return
    print_analysis(analysis, console)
    for file in written:
        if file.name.endswith((f".{look.formats[0]}", ".md", ".tex")):
            console.print(str(file))


@app.command()
def compare(  # noqa: PLR0913 - one argument for each flag of the command
    locations: Annotated[
        list[str],
        typer.Argument(
            metavar="DIR DIR...", help="Results folders, two or more.", callback=holding_studies
        ),
    ],
    to: Annotated[
        str, typer.Option(help="Where the comparison is written: a path or a URI.")
    ] = "comparison",
    target: Annotated[
        float | None,
        typer.Option(help="One target for all, looser than the raced ones.", show_default="own"),
    ] = None,
    equal_trials: Annotated[
        bool,
        typer.Option("--equal-trials", help="Use only as many search trials as all have."),
    ] = False,
    formats: Formats = "png,svg",
    width: Width = None,
    font_size: FontSize = None,
    title: Title = True,
    as_json: Json = False,
) -> None:
    """Compare studies, and test whether their critical batch sizes differ."""
    from analysis.comparison.compare import compare as compare_studies
    from analysis.comparison.labels import study_folders
    from analysis.comparison.report import (
        check_destination,
        comparison_record,
        print_comparison,
        write_comparison,
    )
    from analysis.figures.comparison import write_comparison_figures
    from analysis.figures.drawing.style import look_of
    from analysis.tables.folder import ResultsFolder
    from analysis.tables.study import read_study

    look = look_of(formats, width, font_size, title)
    folders, folder = study_folders(locations), ResultsFolder.at(to)
    where = {name: str(study) for name, study in folders.items()}
    check_destination(folder, where)
    tables = {name: read_study(study) for name, study in folders.items()}
    comparison = compare_studies(tables, target, equal_trials)
    written = write_comparison(comparison, folder, where)
    written += write_comparison_figures(comparison, folder, look)
    if as_json:
        console.document({"folders": where, **comparison_record(comparison)})
        return
    print_comparison(comparison, console)
    for name in written:
        if name.endswith((f".{look.formats[0]}", ".md")):
            console.print(str(folder / name))


@app.command("import")
def import_(  # noqa: PLR0913 - one argument for each flag of the command
    source: Annotated[
        str,
        typer.Argument(
            help="Finished runs: a table (.csv, .tsv, .parquet, .jsonl), MLflow's mlruns or .db, a "
            "folder of TensorBoard event files, wandb:entity/project; or a folder or tar file in "
            "the layout of Shallue et al. 2018."
        ),
    ],
    results: Annotated[
        str, typer.Option(help="Where the studies' folders are made: a path or a URI.")
    ] = "results",
    only: Annotated[str, typer.Option(help="Pattern of names to import, such as 'mnist-*'.")] = "*",
    target: Annotated[
        float | None, typer.Option(help="Validation error to get below.", show_default=False)
    ] = None,
    metric: Annotated[
        str | None,
        typer.Option(help="Measurement to use as the error.", show_default="the first known one"),
    ] = None,
    columns: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=COLUMN,...",
            help="Runs: which column is what, such as step=global_step,lr=learning_rate.",
            show_default=False,
        ),
    ] = None,
    join: Annotated[
        Path | None,
        typer.Option(help="Runs: a table of one row per run to add to them.", show_default=False),
    ] = None,
    space: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=LOW:HIGH:SCALE,...",
            help="Runs: the ranges that their points were drawn from, evenly and one independent "
            "of the other, such as lr=1e-4:1:log.",
            show_default="unknown",
        ),
    ] = None,
    step_unit: Annotated[
        str, typer.Option(help="Runs: what a step counts: updates, examples or tokens.")
    ] = "updates",
    tokens_per_example: Annotated[
        int | None,
        typer.Option(
            help="Runs: the length of a sequence, for steps in tokens.", show_default=False
        ),
    ] = None,
    all_trials: Annotated[
        bool, typer.Option("--all-trials", help="Archive: also count trials not COMPLETE.")
    ] = False,
    first_trials: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Archive: use only so many COMPLETE trials at each batch size.",
            show_default="all",
        ),
    ] = None,
) -> None:
    """Make results folders of finished runs, or of the workloads in a published archive."""
    from analysis.archive.importing import Choices, import_archive
    from analysis.runs.columns import parse_mapping
    from analysis.runs.importing import Choices as RunChoices
    from analysis.runs.importing import import_runs, parse_space
    from analysis.runs.sources import reader_of
    from analysis.runs.units import Units
    from analysis.tables.folder import ResultsFolder

    folder = ResultsFolder.at(results)
    with console.status(Text(f"reading {source}")):
        if reader_of(source) is None:
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
    """Refuse options that say nothing of a source of this kind.

    Raises:
        StudyError: there is one.
    """
    named = [name for name, value in given.items() if value]
    if named:
        raise StudyError(
            f"{named[0]} must not be given for {kind}, got it for {source}; leave it out, or check "
            "the path and its suffix"
        )


@app.command()
def export(
    location: StudyFolder,
    to: Annotated[Path, typer.Option(help="Folder of the archive, or of the table.")] = Path(
        "archive"
    ),
    form: Annotated[
        str,
        typer.Option(
            "--format", help="archive: the layout of Shallue et al. 2018; csv: one table."
        ),
    ] = "archive",
) -> None:
    """Write a study in the layout of the archive of Shallue et al. 2018, or as a table."""
    from analysis.archive.exporting import export_study
    from analysis.runs.exporting import export_table
    from analysis.tables.folder import ResultsFolder

    if form not in ("archive", "csv"):
        raise StudyError(f"--format must be archive or csv, got {form!r}")
    if form == "csv":
        console.print(str(export_table(ResultsFolder.at(location), to)))
        return

    written = export_study(ResultsFolder.at(location), to)
    console.print(
        f"{written.trials:,} trials in {written.folder}, {written.left_out:,} left out",
    )
