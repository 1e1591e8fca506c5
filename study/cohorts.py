"""Which cohorts a study needs, and in which order they may run.

Membership is fixed by the study alone: trials are cut into blocks of as many lanes as the study
says. The first cohort of a batch size runs before the others, which inherit its cap; under an
adaptive sampler each waits for the one before. So results do not depend on the number of workers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from study.config import ResolvedStudy
from study.records import Cohort, Point, Role, TrialResult
from study.search import Search
from study.seeding import trial_seed

PLATEAU_GUESS = 64
"""Batch size at which an unknown workload is taken to leave perfect scaling; orders work only."""


def expected_cost(batch_size: int) -> float:
    """Gives the relative cost of a trial before anything is known: steps times time per step."""
    # steps fall as 1/B down to a plateau, a step costs a constant and its examples
    steps = 1 / batch_size + 1 / PLATEAU_GUESS
    return steps * (PLATEAU_GUESS + batch_size)


@dataclass(slots=True)
class _Line:
    """The cohorts of one batch size, in order of their numbers."""

    search: Search
    waiting: list[range]
    racing: dict[int, range] = field(default_factory=dict)
    done: dict[int, list[TrialResult]] = field(default_factory=dict)

    def next_block(self) -> range | None:
        """Gives the block that may start now."""
        if not self.waiting:
            return None
        first = min([*self.done, *self.racing, self.waiting[0].start])
        must_wait = self.racing if self.search.adaptive else first in self.racing
        return None if must_wait else self.waiting[0]

    def best_steps(self, block: range) -> int | None:
        """Gives the fewest steps among the cohorts that had to end before a block starts."""
        first = min([*self.done, block.start])
        before = [
            result
            for number, results in self.done.items()
            if number < block.start and (self.search.adaptive or number == first)
            for result in results
        ]
        reached = [r.outcome.steps for r in before if r.outcome.steps is not None]
        return min(reached, default=None)


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """Where a batch size stands while a sweep runs."""

    batch_size: int
    racing: int
    waiting: int


class CohortQueue:
    """Hands out a study's missing cohorts, the most expensive batch size first."""

    def __init__(self, study: ResolvedStudy, recorded: Sequence[TrialResult]) -> None:
        """Rebuilds every search from what is recorded and plans the rest.

        Args:
            study: the resolved study.
            recorded: the trials of earlier sweeps, sorted by batch size and trial.
        """
        self._study = study
        self._lines = {size: self._line(size, recorded) for size in study.batch_sizes}

    def take(self) -> Cohort | None:
        """Gives the next cohort; None while all that is left must wait, or nothing is left."""
        ready = {size: line.next_block() for size, line in self._lines.items()}
        costs = {
            size: expected_cost(size) * sum(map(len, self._lines[size].waiting))
            for size, block in ready.items()
            if block is not None
        }
        if not costs:
            return None
        size = max(costs, key=lambda s: costs[s])
        line = self._lines[size]
        block = line.waiting.pop(0)
        line.racing[block.start] = block
        return self._cohort(size, block)

    def finish(self, results: Sequence[TrialResult]) -> None:
        """Takes back a cohort with its results."""
        line = self._lines[results[0].batch_size]
        number = results[0].cohort
        line.racing.pop(number, None)
        line.done[number] = list(results)
        line.search.learn(results)

    def lose(self, batch_size: int, number: int) -> None:
        """Notes that a cohort's worker died; what waited for it is not handed out any more."""
        line = self._lines[batch_size]
        line.racing.pop(number, None)
        if line.search.adaptive or not line.done:
            line.waiting.clear()

    def stop(self) -> None:
        """Hands out nothing more."""
        for line in self._lines.values():
            line.waiting.clear()

    @property
    def empty(self) -> bool:
        """Whether every cohort has been handed out."""
        return not any(line.waiting for line in self._lines.values())

    @property
    def size(self) -> int:
        """Number of cohorts not yet handed out."""
        return sum(len(line.waiting) for line in self._lines.values())

    def searches(self) -> Mapping[int, Search]:
        """Gives the search of each batch size."""
        return {size: line.search for size, line in self._lines.items()}

    def standings(self) -> list[Standing]:
        """Gives the number of trials racing and waiting at each batch size."""
        return [
            Standing(
                batch_size=size,
                racing=sum(map(len, list(line.racing.values()))),
                waiting=sum(map(len, list(line.waiting))),
            )
            for size, line in self._lines.items()
        ]

    def _line(self, size: int, recorded: Sequence[TrialResult]) -> _Line:
        done: dict[int, list[TrialResult]] = {}
        for result in recorded:
            if result.batch_size == size and result.point.role is Role.SEARCH:
                done.setdefault(result.cohort, []).append(result)
        have = {result.point.trial for results in done.values() for result in results}
        blocks = missing_blocks(self._study.search.trials, self._study.lanes_at(size), have)
        line = _Line(search=Search(self._study, size), waiting=blocks, done=done)
        for number in sorted(done):
            line.search.learn(done[number])
        return line

    def _cohort(self, size: int, block: range) -> Cohort:
        line = self._lines[size]
        values = line.search.propose(block)
        points = tuple(
            Point(
                trial=trial,
                seed=trial_seed(self._study.seed, size, trial, Role.SEARCH),
                values=value,
            )
            for trial, value in zip(block, values, strict=True)
        )
        return Cohort(batch_size=size, points=points, best_steps=line.best_steps(block))


def missing_blocks(trials: int, lanes: int, have: set[int]) -> list[range]:
    """Cuts the missing trials into cohorts.

    Args:
        trials: number of trials wanted.
        lanes: trials in a full cohort.
        have: numbers of the recorded trials.

    Returns:
        Runs of missing trials, none across a multiple of `lanes`.

    >>> missing_blocks(10, 4, {0, 1, 2, 3, 4})
    [range(5, 8), range(8, 10)]
    """
    blocks: list[range] = []
    for trial in range(trials):
        if trial in have:
            continue
        if blocks and blocks[-1].stop == trial and trial % lanes:
            blocks[-1] = range(blocks[-1].start, trial + 1)
        else:
            blocks.append(range(trial, trial + 1))
    return blocks
