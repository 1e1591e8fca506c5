"""The page of results, written once or kept up to date while a sweep runs."""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from analysis.comparison.labels import study_folders
from analysis.page.markdown import page_markdown
from analysis.page.record import Page, Source, page_of
from analysis.page.rendering import page_html
from analysis.tables.folder import ResultsFolder
from batchscale.errors import BatchscaleError
from study.storage.consolidate import study_tables
from study.storage.parts import part_names
from study.storage.provenance import recorded_sweeps

RELOAD_SECONDS = 10
"""How often the page of a running sweep reloads itself."""
SEVERAL = "comparison"
"""Default folder of a page of several studies."""
_POLL_SECONDS = 2.0
_NICENESS = 10
"""Added by `os.nice` in the process that writes pages, so that the sweep comes first."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PageOptions:
    """What a page shows and where it is written."""

    locations: tuple[str, ...]  # results folders, at least one
    to: str | None = None  # folder of the page; None for the study's own, or `SEVERAL`
    target: float | None = None  # one for all studies; None for each study's own


def make_page(options: PageOptions) -> Page:
    """Return the page of one or more studies as they are now."""
    first = ResultsFolder.at(options.locations[0])
    several = len(options.locations) > 1
    folders = study_folders(options.locations) if several else {first.name: first}
    sources = {
        name: Source(folder=folder, tables=study_tables(folder), sweeps=recorded_sweeps(folder))
        for name, folder in folders.items()
    }
    return page_of(sources, options.target)


def write_page(page: Page, options: PageOptions) -> list[str]:
    """Write a page as HTML and as Markdown; return the paths of the files."""
    default = SEVERAL if len(options.locations) > 1 else options.locations[0]
    folder = ResultsFolder.at(options.to or default)
    files = {"report.html": page_html(page), "report.md": page_markdown(page)}
    for name, text in files.items():
        folder.write(name, text.encode())
    return [str(folder / name) for name in files]


def keep_current(
    options: PageOptions, say: Callable[[str], None], ended: Callable[[], bool] = lambda: False
) -> None:
    """Rewrite a page whenever more trials are recorded, until the last; `say` where, or why not."""
    seen, said = None, ""
    while not ended():
        recorded = [part_names(ResultsFolder.at(location)) for location in options.locations]
        if recorded != seen:
            seen = recorded
            done, text = _write_current(options)
            if text != said:
                say(text)
            said = text
            if done:
                return
        time.sleep(_POLL_SECONDS)


def _write_current(options: PageOptions) -> tuple[bool, str]:
    """Write a page; return whether it is the last one, and what to say."""
    try:
        page = make_page(options)
        unfinished = any(study.summary["unfinished"] for study in page.studies)
        reload_seconds = RELOAD_SECONDS if unfinished else None
        files = write_page(replace(page, reload_seconds=reload_seconds), options)
        return not unfinished, files[0]
    except BatchscaleError as error:
        return False, f"no page yet: {error}"


@contextlib.contextmanager
def page_kept_current(folder: ResultsFolder) -> Iterator[list[str]]:
    """Keep the page of a study up to date while the body runs, in a separate process.

    Yields:
        A list that is empty until the end, when it gets the path of the page, or why there is none.
    """
    said: list[str] = []
    watcher = subprocess.Popen(
        [sys.executable, "-P", "-m", "study.commands.pages", folder.location],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C is for the sweep alone
    )
    try:
        yield said
    finally:
        watcher.kill()
        watcher.wait()
    options = PageOptions(locations=(folder.location,))
    try:
        said.append(write_page(make_page(options), options)[0])
    except BatchscaleError as error:
        said.append(f"no page: {error}")


if __name__ == "__main__":  # until the process that asked for the page is gone
    os.nice(_NICENESS)
    parent = os.getppid()
    keep_current(
        PageOptions(locations=(sys.argv[1],)), lambda _: None, lambda: os.getppid() != parent
    )
