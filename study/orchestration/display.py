"""The display of a sweep: a live table in a terminal, a line a minute in a log."""

import contextlib
import math
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta

from rich import box
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from analysis.fitting.estimates import percent
from study.orchestration.progress import Progress, Row, seconds_left, share_done
from study.records import Lap
from study.search.standing import Standing

_REDRAW_SECONDS = 0.5
_LINE_SECONDS = 60.0


def progress_table(rows: Sequence[Row], live: bool = False) -> Table:
    """Return rows as a table for a terminal of 80 columns; `live` adds what is racing."""
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
    """What a terminal or a log shows while a sweep runs."""

    def __init__(
        self,
        progress: Progress,
        standings: Callable[[], Sequence[Standing]],
        laps: Callable[[], Sequence[Lap]],
    ) -> None:
        """Start the clock; `standings` and `laps` are called from another thread."""
        self._progress, self._standings, self._laps = progress, standings, laps
        self._started, self._before = time.monotonic(), progress.share_done
        self._finished = self._ended()

    def table(self) -> Group:
        """Return the current table, and a line on the whole sweep."""
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
        parts = [f"{percent(share)} of the expected work", f"{_clock(elapsed)} elapsed"]
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

    A terminal gets a live table; anything else gets a line a minute, and one for each batch size
    that ends.
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
        last = ended.wait(_REDRAW_SECONDS)  # one more round after the end prints what is left
        for line in display.finished_lines():
            console.print(line)
        if time.monotonic() >= due:
            due += _LINE_SECONDS
            console.print(display.line())
