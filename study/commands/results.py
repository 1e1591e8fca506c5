"""The commands `status`, `analyze`, `compare` and `report`."""

import json
from typing import TYPE_CHECKING, Annotated, Any

from typer import Argument, Option

from study.commands.options import (
    FontSize,
    Formats,
    Json,
    StudyFolder,
    Target,
    Title,
    Width,
    require_studies,
)
from study.commands.terminal import console

if TYPE_CHECKING:
    from rich.table import Table


def status(location: StudyFolder, as_json: Json = False) -> None:
    """Show the progress of a sweep, one row per batch size, and what is left to run."""
    from analysis.fitting.estimates import percent
    from analysis.measures.unfinished import missing_trials, unfinished_sentences
    from analysis.report.failures import retry_sentence
    from analysis.tables.files import read_study_file
    from analysis.tables.folder import ResultsFolder
    from study.orchestration.display import progress_table
    from study.orchestration.progress import Progress, recorded_row, share_done
    from study.storage.ends import read_ends
    from study.storage.study_folder import read_study_toml

    folder = ResultsFolder.at(location)
    output: list[str | Table] = []
    missing: list[dict[str, Any]] = []
    if "imported" in read_study_file(folder):
        from analysis.tables.imported import imported_counts, imported_rows
        from analysis.tables.study import read_study

        tables = read_study(folder)
        share, recorded = 1.0, imported_rows(tables)
        output.append(
            f"imported and complete: {imported_counts(tables.trials, len(tables.curves))}"
        )
    else:
        resolved = read_study_toml(folder)
        ends = read_ends(folder, resolved)
        rows = Progress.of_rows(resolved, ends.trials).rows()
        share, recorded = share_done(rows), [recorded_row(row) for row in rows]
        missing = missing_trials(resolved.as_data(), ends.trials, ends.boxes)
        output += [progress_table(rows), f"{percent(share)} of the expected work recorded"]
        output += unfinished_sentences(missing)
        output += [retry_sentence(folder)] if any(row.failed for row in rows) else []
        if resolved.unmeasured:
            output.append(
                f"a sweep may add batch sizes: {', '.join(map(str, resolved.unmeasured))}"
            )
    if as_json:
        record = {"share_done": share, "batch_sizes": recorded, "unfinished": missing}
        console.document({"study": folder.name, **record})
        return
    for item in output:
        console.print(item)


def analyze(  # noqa: PLR0913 - one argument for each flag of the command
    location: StudyFolder,
    target: Target = None,
    equal_trials: Annotated[
        bool,
        Option("--equal-trials", help="Use the same number of search trials at every batch size."),
    ] = False,
    formats: Formats = "png,svg",
    width: Width = None,
    font_size: FontSize = None,
    title: Title = True,
    latex: Annotated[
        bool, Option("--latex", help="Also write the tables as LaTeX with booktabs.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Fit the curves, find the regimes, print the table and draw the figures."""
    from analysis.figures import FIGURES
    from analysis.figures.drawing.kind import look_of, write_all
    from analysis.measures.first_trials import equal_trials as most_equal_trials
    from analysis.measures.targets import check_target
    from analysis.report.summary import analyze as analyze_study
    from analysis.report.tables import TABLES, write_tables
    from analysis.report.write import print_analysis, write_summary
    from analysis.tables.files import read_file
    from analysis.tables.folder import ResultsFolder
    from analysis.tables.schema import SUMMARY_FILE
    from analysis.tables.study import ANALYZED
    from study.storage.consolidate import study_tables
    from study.storage.parts import part_names
    from study.storage.study_folder import read_study_toml

    look = look_of(formats, width, font_size, title)
    folder = ResultsFolder.at(location)
    if part_names(folder) and target is not None:  # before anything is written
        check_target(target, read_study_toml(folder).as_data()["race"])
    # an imported study has tables only
    study = study_tables(folder, ANALYZED, write=True)
    first = most_equal_trials(study) if equal_trials else None
    analysis = analyze_study(study, target, first)
    figures, tables = folder / "figures", folder / TABLES
    written = [folder / name for name in write_summary(analysis, folder)]
    record = json.loads(read_file(folder, SUMMARY_FILE))
    written += [tables / name for name in write_tables(analysis, record, tables, latex)]
    written += [figures / name for name in write_all(FIGURES, analysis, figures, look)]
    if as_json:
        console.document(record)
        return
    print_analysis(analysis, console)
    console.places(written, f".{look.formats[0]}", ".md", ".tex")


def compare(  # noqa: PLR0913 - one argument for each flag of the command
    locations: Annotated[
        list[str],
        Argument(metavar="DIR", help="Results folders, two or more.", callback=require_studies),
    ],
    to: Annotated[str, Option(help="Output folder: a path or a URI.")] = "comparison",
    target: Annotated[
        float | None,
        Option(help="One target for all; not below that of any sweep.", show_default="own"),
    ] = None,
    equal_trials: Annotated[
        bool,
        Option("--equal-trials", help="Use the same number of search trials everywhere."),
    ] = False,
    formats: Formats = "png,svg",
    width: Width = None,
    font_size: FontSize = None,
    title: Title = True,
    as_json: Json = False,
) -> None:
    """Compare studies and test whether their critical batch sizes differ."""
    from analysis.comparison.compare import compare as compare_studies
    from analysis.comparison.labels import study_folders
    from analysis.comparison.report import (
        check_destination,
        comparison_record,
        print_comparison,
        write_comparison,
    )
    from analysis.figures.comparison import COMPARISON_FIGURES
    from analysis.figures.drawing.kind import look_of, write_all
    from analysis.tables.folder import ResultsFolder
    from analysis.tables.study import read_study

    look = look_of(formats, width, font_size, title)
    folders, folder = study_folders(locations), ResultsFolder.at(to)
    where = {name: str(study) for name, study in folders.items()}
    check_destination(folder, where)
    tables = {name: read_study(study) for name, study in folders.items()}
    comparison = compare_studies(tables, target, equal_trials)
    written = write_comparison(comparison, folder, where)
    written += write_all(COMPARISON_FIGURES, comparison, folder, look)
    if as_json:
        console.document({"folders": where, **comparison_record(comparison)})
        return
    print_comparison(comparison, console)
    console.places((folder / name for name in written), f".{look.formats[0]}", ".md")


def report(
    locations: Annotated[
        list[str],
        Argument(metavar="DIR", help="Results folders, one or more.", callback=require_studies),
    ],
    to: Annotated[
        str | None,
        Option(
            help="Output folder: a path or a URI.",
            show_default="the study's own; comparison for several",
        ),
    ] = None,
    target: Target = None,
    watch: Annotated[
        bool,
        Option("--watch", help="Rewrite the page until the sweep ends; browsers reload it."),
    ] = False,
) -> None:
    """Write the results as a web page, report.html, and as Markdown without figures, report.md."""
    from study.commands.pages import PageOptions, keep_current, make_page, write_page

    options = PageOptions(locations=tuple(locations), to=to, target=target)
    if watch:
        keep_current(options, console.print)
        return
    for file in write_page(make_page(options), options):
        console.print(file)
