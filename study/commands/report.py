"""The command that writes one page of results, to read in a browser and to share."""

from collections.abc import Sequence
from typing import Annotated

import typer

from study.commands.options import holding_studies
from study.commands.terminal import Terminal

app = typer.Typer()
console = Terminal()

SEVERAL = "comparison"
"""Folder of the page of several studies if none is given."""


@app.command()
def report(
    locations: Annotated[
        list[str],
        typer.Argument(
            metavar="DIR...", help="Results folders, one or more.", callback=holding_studies
        ),
    ],
    to: Annotated[
        str | None,
        typer.Option(
            help="Folder of the page: a path or a URI.",
            show_default=f"the study's own; {SEVERAL} for several",
        ),
    ] = None,
    target: Annotated[
        float | None,
        typer.Option(help="Another target; must be looser if trials raced.", show_default="own"),
    ] = None,
) -> None:
    """Write report.html, one page for any browser, and report.md, the same without drawings."""
    for file in write_report(locations, to, target):
        console.print(file)


def write_report(
    locations: Sequence[str],
    to: str | None = None,
    target: float | None = None,
    reload_seconds: int | None = None,
) -> list[str]:
    """Write the page of one study or of several, as HTML and as Markdown.

    Args:
        locations: results folders, at least one.
        to: folder of the page; None for the study's own, or `SEVERAL`.
        target: validation error to get below in all; None for each study's own.
        reload_seconds: how often the page loads itself anew; None for never.

    Returns:
        Where the files are.

    Raises:
        BatchscaleError: a folder is damaged or given twice, or a study cannot be analyzed.
    """  # noqa: DOC502  (raised inside)
    from analysis.comparison.labels import study_folders
    from analysis.page.markdown import page_markdown
    from analysis.page.rendering import page_html
    from analysis.page.sources import Source, page_of
    from analysis.tables.folder import ResultsFolder
    from analysis.tables.study import read_study
    from study.storage.provenance import recorded_sweeps
    from study.storage.tables import study_tables

    folders = (
        study_folders(locations)
        if len(locations) > 1
        else {folder.name: folder for folder in map(ResultsFolder.at, locations)}
    )
    sources = {
        name: Source(
            folder=folder,
            # parts are the truth: a sweep may be running, or have been stopped before its tables
            tables=study_tables(folder) or read_study(folder),
            sweeps=recorded_sweeps(folder),
        )
        for name, folder in folders.items()
    }
    page = page_of(sources, target, reload_seconds)
    place = ResultsFolder.at(to or (SEVERAL if len(folders) > 1 else locations[0]))
    files = {"report.html": page_html(page), "report.md": page_markdown(page)}
    for name, text in files.items():
        place.write(name, text.encode())
    return [str(place / name) for name in files]
