"""How far a sweep is: a live table in a terminal, plain lines in a log."""

import contextlib
import math
import queue
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

from rich import box
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from study.config.study import ResolvedStudy
from study.records import Role, Status, TrialResult
from study.search.queue import Standing, expected_cost

_REDRAW_SECONDS = 0.5
_KINDS = {Role.EXTENSION: "in a widened box", Role.REPLICATE: "replicates"}
"""How the log names trials that are not the search's own."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One batch size in the table.

    Attributes:
        batch_size: examples per step.
        trials: trials planned for the search, or for a recipe's scaling rule.
        done: of those, recorded.
        more: trials recorded in extensions of the box and from warm starts.
        replicates: re-runs recorded.
        racing: trials racing now.
        reached: of all but replicates, those that reached the target.
        diverged: of these, those that diverged.
        failed: of these, those that failed.
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
    """How a trial ended, as far as rows need it."""

    role: Role
    status: Status
    steps: int | None

    @classmethod
    def of(cls, result: TrialResult) -> Self:
        return cls(result.point.role, result.outcome.status, result.outcome.steps)


class Progress:
    """The rows of a study, counted as its trials are recorded; safe to use from two threads.

    Attributes:
        listeners: are called with the trials of each cohort that has just been recorded.
    """

    def __init__(self, resolved: ResolvedStudy, recorded: Iterable[TrialResult] = ()) -> None:
        """Count the trials that are recorded already.

        Args:
            resolved: the study.
            recorded: its trials so far, in any order.
        """
        self._resolved = resolved
        # counts, not trials: a sweep may record very many, each with its curve
        self._ends: dict[int, Counter[_End]] = {size: Counter() for size in resolved.batch_sizes}
        self.listeners: list[Callable[[Sequence[TrialResult]], None]] = []
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        for result in recorded:
            self._ends[result.batch_size][_End.of(result)] += 1

    def add(self, results: Sequence[TrialResult]) -> None:
        """Count the trials of a cohort that has just been recorded."""
        first = results[0]
        # a new counter, for another thread may be counting the old one
        counted = self._ends[first.batch_size] + Counter(map(_End.of, results))
        self._ends[first.batch_size] = counted
        row, role = self.row(first.batch_size), first.point.role
        best = "target not reached" if row.best_steps is None else f"best {row.best_steps:,}"
        note = f", {len(results)} {_KINDS[role]}" if role in _KINDS else ""
        self._lines.put(
            f"batch size {row.batch_size:,}: {row.done}/{row.trials} trials{note}, {best}"
        )
        for listen in self.listeners:
            listen(results)

    @property
    def recorded(self) -> int:
        """Number of trials counted so far."""
        return sum(sum(counted.values()) for counted in self._ends.values())

    @property
    def share_done(self) -> float:
        """Share of the expected work that is recorded, from 0 to 1."""
        return share_done(self.rows())

    def new_lines(self) -> list[str]:
        """Return a line for each cohort added since the last call."""
        return [self._lines.get() for _ in range(self._lines.qsize())]

    def rows(self, standings: Sequence[Standing] = ()) -> list[Row]:
        """Return one row per batch size, ascending, by what has been counted so far."""
        racing = {standing.batch_size: standing.racing for standing in standings}
        return [self.row(size, racing.get(size, 0)) for size in self._resolved.batch_sizes]

    def row(self, size: int, racing: int = 0) -> Row:
        """Return the row of one batch size."""
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
    """Return the share of the expected work that is recorded, from 0 to 1."""
    total = sum(expected_cost(row.batch_size) * row.trials for row in rows)
    return sum(expected_cost(row.batch_size) * row.done for row in rows) / total


def progress_table(rows: Sequence[Row], caption: str) -> Table:
    """Return rows as a table for a terminal."""
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
    """Show a sweep's progress while the body runs.

    Args:
        progress: counts what is recorded; the body adds to it.
        standings: returns what is racing; called from another thread.
        console: a terminal gets a live table, anything else a line per cohort.

    Yields:
        Nothing.
    """
    started, before = time.monotonic(), progress.share_done

    def table() -> Table:
        rows = progress.rows(standings())
        return progress_table(rows, _eta(time.monotonic() - started, before, share_done(rows)))

    if console.is_terminal:
        with Live(get_renderable=table, console=console, refresh_per_second=1 / _REDRAW_SECONDS):
            yield
        return
    ended = threading.Event()
    printer = threading.Thread(target=_print_lines, args=(progress, console, ended), daemon=True)
    printer.start()
    try:
        yield
    finally:
        ended.set()
        printer.join()


def _print_lines(progress: Progress, console: Console, ended: threading.Event) -> None:
    last = False
    while not last:
        last = ended.wait(_REDRAW_SECONDS)  # what was added before the end is printed after it
        for line in progress.new_lines():
            console.print(line)


def _eta(elapsed: float, before: float, now: float) -> str:
    if now >= 1:
        return f"{elapsed:.0f} s, all trials recorded"
    left = seconds_left(elapsed, before, now)
    return f"{elapsed:.0f} s" + (f", about {left:.0f} s left" if left < math.inf else "")


def seconds_left(elapsed: float, before: float, now: float) -> float:
    """Return the seconds that a sweep still needs if it goes on as it did; inf without progress.

    Args:
        elapsed: seconds since it began.
        before: share of the work, from 0 to 1, that was done then.
        now: share that is done now.
    """
    return elapsed * (1 - now) / (now - before) if now > before else math.inf
