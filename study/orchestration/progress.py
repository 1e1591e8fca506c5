"""What a sweep has done so far, read from its parts: a live table, or plain lines in a log."""

import contextlib
import math
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

from rich import box
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from analysis.errors import AnalysisError
from analysis.tables.folder import ResultsFolder
from study.config.study import ResolvedStudy
from study.errors import StudyError
from study.records import Role, Status, TrialResult
from study.search.queue import Standing, expected_cost
from study.storage.parts import part_names, read_part

_REDRAW_SECONDS = 0.5


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """A batch size in the table.

    Attributes:
        batch_size: the batch size.
        trials: number of trials of the search wanted, or of a recipe's rule.
        done: number of those recorded.
        more: number recorded in extensions of the box and from warm starts.
        replicates: number of re-runs recorded.
        racing: number racing now.
        reached: number of all but replicates that reached the target.
        diverged: number of those that diverged.
        failed: number of those that failed.
        best_steps: fewest steps to target so far; None where none reached it.
    """

    batch_size: int
    trials: int
    done: int
    more: int
    replicates: int
    racing: int
    reached: int
    diverged: int
    failed: int
    best_steps: int | None


class _End(NamedTuple):
    """How a trial ended."""

    role: Role
    status: Status
    steps: int | None

    @classmethod
    def of(cls, result: TrialResult) -> Self:
        return cls(result.point.role, result.outcome.status, result.outcome.steps)


class Progress:
    """The rows of a study; each part is read once."""

    def __init__(
        self,
        folder: ResultsFolder,
        resolved: ResolvedStudy,
        recorded: Iterable[TrialResult] | None = None,
    ) -> None:
        """Starts with no part read, or with all.

        Args:
            folder: the results folder.
            resolved: the study in it.
            recorded: the trials of the parts that are there, where they have been read.
        """
        self._folder, self._resolved = folder, resolved
        self._lock = threading.Lock()
        self._looked = -math.inf
        self._seen: set[str] = set()
        # no more than rows need: a sweep may have very many trials, each with its curve
        self._ends: defaultdict[int, Counter[_End]] = defaultdict(Counter)
        if recorded is not None:
            self._seen |= set(part_names(folder))
            for result in recorded:
                self._ends[result.batch_size][_End.of(result)] += 1

    def read(self) -> list[list[TrialResult]]:
        """Reads the parts that are new; gives those."""
        with self._lock:
            new = [name for name in part_names(self._folder) if name not in self._seen]
            parts = [read_part(self._folder, name, self._resolved) for name in new]
            self._seen |= set(new)
            for part in parts:
                self._ends[part[0].batch_size].update(map(_End.of, part))
            self._looked = time.monotonic()
            return parts

    def follow(self) -> list[list[TrialResult]]:
        """Reads what is new while a sweep runs, no more often than the folder should be asked."""
        if time.monotonic() < self._looked + self._folder.poll_interval:
            return []
        try:
            return self.read()
        except (AnalysisError, StudyError):
            # the sweep reads the same parts, and says what is wrong if it lasts
            self._looked = time.monotonic()
            return []

    def rows(self, standings: Sequence[Standing] = ()) -> list[Row]:
        """Gives one row per batch size of the parts read so far."""
        racing = {standing.batch_size: standing.racing for standing in standings}
        return [self.row(size, racing.get(size, 0)) for size in self._resolved.batch_sizes]

    def row(self, size: int, racing: int = 0) -> Row:
        """Gives the row of one batch size."""
        roles: Counter[Role] = Counter()
        statuses: Counter[Status] = Counter()
        steps: list[int] = []
        for end, count in self._ends[size].items():
            roles[end.role] += count
            if end.role is not Role.REPLICATE:
                statuses[end.status] += count
                steps += [] if end.steps is None else [end.steps]
        return Row(
            batch_size=size,
            trials=self._resolved.trials_at(size),
            done=roles[Role.SEARCH] + roles[Role.RECIPE],
            more=roles[Role.EXTENSION] + roles[Role.WARM],
            replicates=roles[Role.REPLICATE],
            racing=racing,
            reached=statuses[Status.REACHED],
            diverged=statuses[Status.DIVERGED],
            failed=statuses[Status.FAILED],
            best_steps=min(steps, default=None),
        )


def share_done(rows: Sequence[Row]) -> float:
    """Gives the share of the expected work that is recorded, 0 to 1."""
    total = sum(expected_cost(row.batch_size) * row.trials for row in rows)
    return sum(expected_cost(row.batch_size) * row.done for row in rows) / total


def progress_table(rows: Sequence[Row], caption: str) -> Table:
    """Draws rows as a table, one per batch size."""
    table = Table(box=box.SIMPLE_HEAD, caption=caption, caption_justify="left")
    for name in ("batch size", "trials", "racing", "reached", "diverged", "failed", "best steps"):
        table.add_column(name, justify="right")
    table.add_column("replicates", justify="right")
    for row in rows:
        table.add_row(
            f"{row.batch_size:,}",
            f"{row.done}/{row.trials}" + (f" +{row.more}" if row.more else ""),
            str(row.racing or "-"),
            str(row.reached),
            str(row.diverged),
            Text(str(row.failed), style="red" if row.failed else ""),
            "-" if row.best_steps is None else f"{row.best_steps:,}",
            str(row.replicates or "-"),
        )
    return table


@contextlib.contextmanager
def shown(
    progress: Progress, standings: Callable[[], Sequence[Standing]], console: Console
) -> Iterator[None]:
    """Shows a sweep's progress while the body runs.

    Args:
        progress: the study's parts.
        standings: asks the sweep what is racing; called from another thread.
        console: a terminal gets a live table, anything else a line per cohort.

    Yields:
        Nothing.
    """
    progress.read()
    started, before = time.monotonic(), share_done(progress.rows())

    def table() -> Table:
        progress.follow()
        rows = progress.rows(standings())
        return progress_table(rows, _eta(time.monotonic() - started, before, share_done(rows)))

    if console.is_terminal:
        with Live(get_renderable=table, console=console, refresh_per_second=1 / _REDRAW_SECONDS):
            yield
            progress.read()
        return
    stop = threading.Event()
    lines = threading.Thread(target=_print_lines, args=(progress, console, stop), daemon=True)
    lines.start()
    try:
        yield
    finally:
        stop.set()
        lines.join()
    _print_new(progress, progress.read(), console)


def _print_lines(progress: Progress, console: Console, stop: threading.Event) -> None:
    while not stop.wait(_REDRAW_SECONDS):
        _print_new(progress, progress.follow(), console)


def _print_new(progress: Progress, parts: list[list[TrialResult]], console: Console) -> None:
    for results in parts:
        size = results[0].batch_size
        row = progress.row(size)
        best = "target not reached" if row.best_steps is None else f"best {row.best_steps:,}"
        kind = results[0].point.role
        note = "" if kind in {Role.SEARCH, Role.RECIPE} else f", {len(results)} of {kind}"
        console.print(f"batch size {size:,}: {row.done}/{row.trials} trials{note}, {best}")


def _eta(elapsed: float, before: float, now: float) -> str:
    if now >= 1:
        return f"{elapsed:.0f} s, all trials recorded"
    if now <= before:
        return f"{elapsed:.0f} s"
    left = elapsed * (1 - now) / (now - before)
    return f"{elapsed:.0f} s, about {left:.0f} s left"
