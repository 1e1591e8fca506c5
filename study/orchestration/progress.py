"""Progress of a sweep: trials counted by batch size, and the share of the work that is done."""

import math
import statistics
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

from study.config.study import ResolvedStudy
from study.records import UNSEARCHED, Lap, Role, Status, TrialResult
from study.search.standing import Standing, expected_cost


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """Progress at one batch size."""

    batch_size: int
    trials: int  # planned for the search, or for a recipe's scaling rule
    done: int  # of those, recorded
    more: int  # recorded in extensions of the box and from warm starts
    replicates: int  # recorded
    replicates_planned: int  # none where a search ended without a winner
    racing: int = 0  # trials racing now
    share: float = 0.0  # how much of their races is over, from 0 to 1
    loss: float | None = None  # lowest validation loss among them; None if unknown
    reached: int  # among all but replicates, like the next two
    diverged: int
    failed: int
    best_steps: int | None  # fewest steps to target so far; None if none reached it


_LIVE = ("racing", "share", "loss")
"""Known only while a sweep runs."""
_End = tuple[Role, Status, int | None]
"""Role of a trial, how it ended, and its steps to the target."""


class Progress:
    """Counts a study's trials as they are recorded; safe to use from two threads."""

    def __init__(self, resolved: ResolvedStudy, recorded: Iterable[TrialResult] = ()) -> None:
        """Count the trials that are recorded already, in any order."""
        self._resolved = resolved
        # counts, not trials: a sweep may record very many, each with its curve
        self._ends: dict[int, Counter[_End]] = {size: Counter() for size in resolved.batch_sizes}
        # called with the trials of each cohort as it is recorded
        self.listeners: list[Callable[[Sequence[TrialResult]], None]] = []
        for _ in self.counting(recorded):
            pass

    def counting(self, recorded: Iterable[TrialResult]) -> Iterator[TrialResult]:
        """Yield trials that are recorded already, and count each one."""
        for result in recorded:
            self._ends[result.batch_size][_end(result)] += 1
            yield result

    def grow(self, resolved: ResolvedStudy) -> None:
        """Continue with a study that may have more trials and new batch sizes."""
        self._ends = {size: self._ends.get(size, Counter()) for size in resolved.batch_sizes}
        self._resolved = resolved

    @classmethod
    def of_rows(cls, resolved: ResolvedStudy, trials: Iterable[Mapping[str, Any]]) -> Self:
        """Count trials given as rows with batch_size, role, status and steps."""
        progress = cls(resolved)
        ends = Counter((r["batch_size"], r["role"], r["status"], r["steps"]) for r in trials)
        for (size, role, status, steps), count in ends.items():
            progress._ends[size][Role(role), Status(status), steps] += count
        return progress

    def add(self, results: Sequence[TrialResult]) -> None:
        """Count the trials of a cohort that has just been recorded."""
        size = results[0].batch_size
        # a new counter, because another thread may be reading the old one
        self._ends[size] = self._ends[size] + Counter(map(_end, results))
        for listen in self.listeners:
            listen(results)

    @property
    def recorded(self) -> int:
        """Number of trials counted so far."""
        return sum(sum(counted.values()) for counted in self._ends.values())

    @property
    def searched(self) -> int:
        """Number of trials counted that a search proposed."""
        counts = (counted.items() for counted in self._ends.values())
        return sum(n for counted in counts for (role, _, _), n in counted if role not in UNSEARCHED)

    @property
    def share_done(self) -> float:
        """Share of the expected work that is recorded, from 0 to 1."""
        return share_done(self.rows())

    def rows(self, standings: Sequence[Standing] = (), laps: Sequence[Lap] = ()) -> list[Row]:
        """Return one row per batch size, ascending, with what is racing now if that is given."""
        racing = {standing.batch_size: standing.racing for standing in standings}
        return [
            self._row(size, racing.get(size, 0), [lap for lap in laps if lap.batch_size == size])
            for size in self._resolved.batch_sizes
        ]

    def _row(self, size: int, racing: int, laps: Sequence[Lap]) -> Row:
        roles: Counter[Role] = Counter()
        statuses: Counter[Status] = Counter()
        steps: list[int] = []
        for (role, status, reached), count in self._ends[size].items():
            roles[role] += count
            if role is not Role.REPLICATE:
                statuses[status] += count
                steps += [] if reached is None else [reached]
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


def _end(result: TrialResult) -> _End:
    return result.point.role, result.outcome.status, result.outcome.steps


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
    """Return a row as plain data, without the live columns."""
    return {key: value for key, value in asdict(row).items() if key not in _LIVE}


def seconds_left(elapsed: float, before: float, now: float) -> float:
    """Return the seconds that a sweep still needs at its present rate; inf without progress.

    `before` and `now` are the shares of the work, from 0 to 1, that were done when the sweep began,
    `elapsed` seconds ago, and that are done now.
    """
    return elapsed * (1 - now) / (now - before) if now > before else math.inf
