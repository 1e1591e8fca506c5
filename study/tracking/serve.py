"""The process of the trackers: it reads finished runs from a file that the sweep writes.

With a file instead of a pipe, the sweep never waits for a tracker and needs no thread, which it
must not have as it forks.
"""

import contextlib
import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

from study.tracking.registry import tracker_class
from study.tracking.tracker import FinishedRun, Tracker

CLOSE = "close "
"""Start of the last line, which has the summary and the figures of the analysis."""
_WAIT_SECONDS = 0.2


def main(arguments: Sequence[str]) -> None:
    """Show the runs in a file until its last line, and print a line for each tracker that fails.

    Arguments are the file, the study's name, the folder for files, and the trackers' names.
    """
    spool, study, folder, *names = arguments
    failures = os.fdopen(os.dup(1), "w", encoding="utf-8")  # the sweep reads it
    os.dup2(2, 1)  # packages may print to stdout
    trackers: dict[str, Tracker] = {}
    for name in names:
        with _reported(name, failures, trackers):
            trackers[name] = tracker_class(name)(study, Path(folder))
    for line in _lines(Path(spool)):
        for name, tracker in list(trackers.items()):
            with _reported(name, failures, trackers):
                _show(tracker, line)


def _show(tracker: Tracker, line: str) -> None:
    if line.startswith(CLOSE):
        end = json.loads(line.removeprefix(CLOSE))
        tracker.close(end["summary"], [Path(figure) for figure in end["figures"]])
    else:
        tracker.log(FinishedRun(**json.loads(line)))


@contextlib.contextmanager
def _reported(name: str, failures: IO[str], trackers: dict[str, Tracker]) -> Iterator[None]:
    """Report that a tracker failed, and drop it."""
    try:
        yield
    except BaseException as error:  # noqa: BLE001 - a package may raise anything, SystemExit too
        trackers.pop(name, None)
        text = " ".join(f"{type(error).__name__}: {error}".split())
        print(f"{name}: {text[:300]}", file=failures, flush=True)


def _lines(spool: Path) -> Iterator[str]:
    """Yield the lines of a file as they are written; stop after the last, or if the sweep died."""
    parent = os.getppid()
    with spool.open(encoding="utf-8") as file:
        line = ""
        while not line.startswith(CLOSE):
            line = file.readline()
            while not line.endswith("\n"):
                if os.getppid() != parent:
                    return
                time.sleep(_WAIT_SECONDS)
                line += file.readline()
            yield line


if __name__ == "__main__":
    main(sys.argv[1:])
