"""How far a sweep is: a live table in a terminal, a line now and then in a log."""

import contextlib
import math
import statistics
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any, NamedTuple, Self

from rich import box
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from study.config.study import ResolvedStudy
from study.records import Lap, Role, Status, TrialResult
from study.search.standing import Standing, expected_cost

_REDRAW_SECONDS = 0.5
_LINE_SECONDS = 60.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One batch size in the table.

    Attributes:
        batch_size: examples per step.
        trials: trials planned for the search, or for a recipe's scaling rule.
        done: of those, recorded.
        more: trials recorded in extensions of the box and from warm starts.
        replicates: re-runs recorded.
        replicates_planned: re-runs of the study; none where a search ended without a winner.
        racing: trials racing now.
        share: share of their races that is over, from 0 to 1.
        loss: lowest validation loss among them; None where it is not known.
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
    replicates_planned: int
    racing: int = 0
    share: float = 0.0
    loss: float | None = None
    reached: int
    diverged: int
    failed: int
    best_steps: int | None


_LIVE = ("racing", "share", "loss")
"""What is known only while a sweep runs."""


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
        for result in recorded:
            self._ends[result.batch_size][_End.of(result)] += 1

    def grow(self, resolved: ResolvedStudy) -> None:
        """Count on towards what the study has now."""
        self._resolved = resolved

    @classmethod
    def of_rows(cls, resolved: ResolvedStudy, trials: Iterable[Mapping[str, Any]]) -> Self:
        """Count trials given as rows with batch_size, role, status and steps."""
        progress = cls(resolved)
        alike = Counter((r["batch_size"], r["role"], r["status"], r["steps"]) for r in trials)
        for (size, role, status, steps), count in alike.items():
            progress._ends[size][_End(Role(role), Status(status), steps)] += count
        return progress

    def add(self, results: Sequence[TrialResult]) -> None:
        """Count the trials of a cohort that has just been recorded."""
        size = results[0].batch_size
        # a new counter, for another thread may be counting the old one
        self._ends[size] = self._ends[size] + Counter(map(_End.of, results))
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

    def rows(self, standings: Sequence[Standing] = (), laps: Sequence[Lap] = ()) -> list[Row]:
        """Return one row per batch size, ascending, by what has been counted and told so far."""
        racing = {standing.batch_size: standing.racing for standing in standings}
        told: dict[int, list[Lap]] = {}
        for lap in laps:
            told.setdefault(lap.batch_size, []).append(lap)
        return [
            self._row(size, racing.get(size, 0), told.get(size, []))
            for size in self._resolved.batch_sizes
        ]

    def _row(self, size: int, racing: int, laps: Sequence[Lap]) -> Row:
        roles: Counter[Role] = Counter()
        statuses: Counter[Status] = Counter()
        steps: list[int] = []
        for end, count in self._ends[size].items():
            roles[end.role] += count
            if end.role is not Role.REPLICATE:
                statuses[end.status] += count
                steps += [] if end.steps is None else [end.steps]
        trials, done = self._resolved.trials_at(size), roles[Role.SEARCH] + roles[Role.RECIPE]
        has_winner = size in self._resolved.searched and (done < trials or bool(steps))
        return Row(
            batch_size=size,
            trials=trials,
            done=done,
            more=roles[Role.EXTENSION] + roles[Role.WARM],
            replicates=roles[Role.REPLICATE],
            replicates_planned=self._resolved.replicates_at(size) if has_winner else 0,
            racing=racing,
            share=statistics.fmean(lap.share for lap in laps) if laps and racing else 0.0,
            loss=min((lap.loss for lap in laps if lap.loss is not None and racing), default=None),
            reached=statuses[Status.REACHED],
            diverged=statuses[Status.DIVERGED],
            failed=statuses[Status.FAILED],
            best_steps=min(steps, default=None),
        )


def share_done(rows: Sequence[Row]) -> float:
    """Return the share of the expected work that is done, from 0 to 1."""
    done = total = 0.0
    for row in rows:
        cost, planned = expected_cost(row.batch_size), row.trials + row.replicates_planned
        over = row.done + row.replicates + row.racing * row.share
        total += cost * planned
        done += cost * min(over, planned)
    return done / total


def recorded_row(row: Row) -> dict[str, Any]:
    """Return a row as plain data, without what is known only while a sweep runs."""
    return {key: value for key, value in asdict(row).items() if key not in _LIVE}


def progress_table(rows: Sequence[Row], live: bool = False) -> Table:
    """Return rows as a table for a terminal of 80 columns.

    Args:
        rows: one for each batch size.
        live: whether trials may be racing, so that their loss and share are columns too.
    """
    cells: dict[str, Callable[[Row], str | Text]] = {
        "batch\nsize": lambda row: f"{row.batch_size:,}",
        "trials": lambda row: f"{row.done}/{row.trials}" + (f" +{row.more}" if row.more else ""),
    }
    if live:
        cells |= {
            "racing": lambda row: f"{row.racing}, {row.share:.0%}" if row.racing else "-",
            "loss": lambda row: "-" if row.loss is None else f"{row.loss:.3g}",
        }
    cells |= {
        "reached": lambda row: str(row.reached),
        "diverged": lambda row: str(row.diverged),
        "failed": lambda row: Text(str(row.failed), style="red" if row.failed else ""),
        "best\nsteps": lambda row: "-" if row.best_steps is None else f"{row.best_steps:,}",
        "repli-\ncates": lambda row: str(row.replicates or "-"),
    }
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False, pad_edge=False)
    for name in cells:
        table.add_column(name, justify="right", vertical="bottom")
    for row in rows:
        table.add_row(*(cell(row) for cell in cells.values()))
    return table


class Display:
    """What a reader of the terminal or of the log is told while a sweep runs."""

    def __init__(
        self,
        progress: Progress,
        standings: Callable[[], Sequence[Standing]],
        laps: Callable[[], Sequence[Lap]],
    ) -> None:
        """Begin now.

        Args:
            progress: counts what is recorded.
            standings: returns what is racing; called from another thread.
            laps: returns how far workers are; called from another thread.
        """
        self._progress, self._standings, self._laps = progress, standings, laps
        self._started, self._before = time.monotonic(), progress.share_done
        self._finished = self._ended()

    def table(self) -> Group:
        """Return the table as it stands, and a line on the whole sweep."""
        rows, laps = self._now()
        return Group(progress_table(rows, live=True), self._caption(rows, laps))

    def line(self) -> str:
        """Return a line on the whole sweep."""
        return f"{self._progress.recorded:,} trials recorded, {self._caption(*self._now())}"

    def finished_lines(self) -> list[str]:
        """Return a line for each batch size that has ended since the last call."""
        ended = self._ended()
        rows = [row for row in self._progress.rows() if row.batch_size in ended - self._finished]
        self._finished = ended
        return [_finished_line(row) for row in rows]

    def _ended(self) -> set[int]:
        ended = {standing.batch_size for standing in self._standings() if standing.ended}
        return {row.batch_size for row in self._progress.rows() if row.done} & ended

    def _now(self) -> tuple[list[Row], Sequence[Lap]]:
        laps = self._laps()
        return self._progress.rows(self._standings(), laps), laps

    def _caption(self, rows: Sequence[Row], laps: Sequence[Lap]) -> str:
        elapsed, share = time.monotonic() - self._started, share_done(rows)
        parts = [f"{share:.0%} of the expected work", f"{_clock(elapsed)} elapsed"]
        if laps:
            parts.append(f"{sum(lap.steps_per_second for lap in laps):,.0f} steps/s")
        left = seconds_left(elapsed, self._before, share)
        if 0 < left < math.inf:
            parts.append(f"about {_clock(left)} left")
        return ", ".join(parts)


def _clock(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))


def _finished_line(row: Row) -> str:
    more = f" +{row.more}" if row.more else ""
    again = f", {row.replicates} replicates" if row.replicates else ""
    best = "target not reached" if row.best_steps is None else f"best {row.best_steps:,}"
    return f"batch size {row.batch_size:,}: {row.done}/{row.trials} trials{more}{again}, {best}"


@contextlib.contextmanager
def shown(display: Display, console: Console) -> Iterator[None]:
    """Show a sweep's progress while the body runs.

    Args:
        display: what is shown.
        console: a terminal gets a live table, anything else a line a minute and one at each batch
            size that has ended.

    Yields:
        Nothing.
    """
    if console.is_terminal:
        per_second = 1 / _REDRAW_SECONDS
        with Live(get_renderable=display.table, console=console, refresh_per_second=per_second):
            yield
        return
    ended = threading.Event()
    printer = threading.Thread(target=_print_lines, args=(display, console, ended), daemon=True)
    printer.start()
    try:
        yield
    finally:
        ended.set()
        printer.join()


def _print_lines(display: Display, console: Console, ended: threading.Event) -> None:
    due = time.monotonic() + _LINE_SECONDS
    last = False
    while not last:
        last = ended.wait(_REDRAW_SECONDS)  # what ended before the end is printed after it
        for line in display.finished_lines():
            console.print(line)
        if time.monotonic() >= due:
            due += _LINE_SECONDS
            console.print(display.line())


def seconds_left(elapsed: float, before: float, now: float) -> float:
    """Return the seconds that a sweep still needs if it goes on as it did; inf without progress.

    Args:
        elapsed: seconds since it began.
        before: share of the work, from 0 to 1, that was done then.
        now: share that is done now.
    """
    return elapsed * (1 - now) / (now - before) if now > before else math.inf
