"""The command that writes one page of results, to read in a browser and to share."""

from typing import Annotated

import typer

from study.commands.options import holding_studies
from study.commands.terminal import Terminal

app = typer.Typer()
console = Terminal()


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
            show_default="the study's own; comparison for several",
        ),
    ] = None,
    target: Annotated[
        float | None,
        typer.Option(help="Another target; must be looser if trials raced.", show_default="own"),
    ] = None,
    watch: Annotated[
        bool,
        typer.Option(
            "--watch", help="Write the page anew, until the sweep ends; it loads itself anew."
        ),
    ] = False,
) -> None:
    """Write report.html, one page for any browser, and report.md, the same without drawings."""
    from study.commands.pages import PageOptions, keep_current, make_page, write_page

    options = PageOptions(locations=tuple(locations), to=to, target=target)
    if watch:
        keep_current(options, console.print)
        return
    for file in write_page(make_page(options), options):
        console.print(file)
