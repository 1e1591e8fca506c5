"""What one batch size has to run: its search, extensions of its box, replicates, in this order.

In a recipe all but its base have only the trials of the rule, once the base has ended.

The cohorts of a search are fixed by the study alone: trials are cut into blocks of as many lanes
as the study says. The first cohort runs before the others, which inherit its cap; under an
adaptive sampler each waits for the one before. A stage is planned when the one before has ended,
from the recorded results and nothing else.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from study.config import ResolvedStudy
from study.extension import next_region
from study.judgement import final_results
from study.recipes import recipe_points
from study.records import Cohort, Curve, Point, Region, Role, TrialResult
from study.replication import confirmed, replicate_points
from study.search import Search
from study.seeding import trial_seed

_Key = tuple[Role, int]


@dataclass(frozen=True, slots=True)
class Block:
    """A cohort that is not handed out yet; a search draws its points when it is."""

    role: Role
    trials: range
    region: Region | None = None
    points: tuple[Point, ...] = ()

    @property
    def key(self) -> _Key:
        """Role and number of the cohort."""
        return self.role, self.trials.start


class Stages:
    """The cohorts of one batch size."""

    def __init__(
        self, study: ResolvedStudy, batch_size: int, recorded: Sequence[TrialResult]
    ) -> None:
        """Rebuilds the search from what is recorded and plans what comes next.

        Args:
            study: the resolved study.
            batch_size: one of its batch sizes.
            recorded: its trials of earlier sweeps.
        """
        self.batch_size = batch_size
        self.search = Search(study, batch_size)
        self._study = study
        self._racing: dict[_Key, Block] = {}
        self._done: dict[_Key, list[TrialResult]] = {}
        self._closed = False
        for result in recorded:
            role = Role.SEARCH if result.point.role is Role.WARM else result.point.role
            self._done.setdefault((role, result.cohort), []).append(_light(result))
        self._rebuild()
        self._waiting = self._search_blocks() if self._searched else []
        self._plan()

    @property
    def ended(self) -> bool:
        """Whether nothing is left to hand out, now or later."""
        return not self._waiting and (self._closed or not self._racing)

    @property
    def started(self) -> bool:
        """Whether a cohort of the search is recorded or racing."""
        return any(role is Role.SEARCH for role, _ in (*self._done, *self._racing))

    @property
    def closed(self) -> bool:
        """Whether a cohort that others wait for was lost, or the sweep stopped."""
        return self._closed

    @property
    def waiting(self) -> int:
        """Number of trials not yet handed out, of those planned."""
        return sum(len(block.trials) for block in list(self._waiting))

    @property
    def racing(self) -> int:
        """Number of trials racing."""
        return sum(len(block.trials) for block in list(self._racing.values()))

    @property
    def first(self) -> list[TrialResult]:
        """The results of the first cohort of the search; none before it has ended."""
        numbers = [number for role, number in self._done if role is Role.SEARCH]
        return self._done[Role.SEARCH, min(numbers)] if numbers else []

    @property
    def best(self) -> TrialResult | None:
        """The trial whose point is best by what is recorded; None where none reached the target."""
        return confirmed(final_results(self._study, self._results()))

    def follow(self, base: TrialResult | None) -> None:
        """Plans the trials of a recipe's rule.

        Args:
            base: the trial of the base batch size that is scaled; None for a published point.
        """
        points = recipe_points(self._study, self.batch_size, base)
        missing = missing_blocks(range(len(points)), self._lanes(), self._have(Role.RECIPE))
        self._waiting = [
            Block(Role.RECIPE, trials, points=tuple(points[trial] for trial in trials))
            for trials in missing
        ]

    def ready(self) -> bool:
        """Tells whether a cohort may start now."""
        if not self._waiting:
            return False
        if self.search.adaptive:
            return not self._racing
        return self._waiting[0].role is not Role.SEARCH or self._first_key() not in self._racing

    def take(self, warm: Sequence[Point] = ()) -> Cohort:
        """Hands out the next cohort.

        Args:
            warm: points from neighbouring batch sizes that join it.

        Returns:
            The cohort.
        """
        block = self._waiting.pop(0)
        self._racing[block.key] = block
        points = block.points or self._drawn(block)
        return Cohort(
            batch_size=self.batch_size,
            points=(*points, *warm),
            best_steps=self._best_steps(block),
            region=block.region,
        )

    def finish(self, results: Sequence[TrialResult]) -> None:
        """Takes back a cohort with its results, and plans on where it was the last of a stage."""
        key = results[0].point.role, results[0].cohort
        self._racing.pop(key, None)
        self._done[key] = [_light(result) for result in results]
        if key[0] not in {Role.REPLICATE, Role.RECIPE}:
            self.search.learn(results)
        self._plan()

    def lose(self, key: _Key) -> None:
        """Notes that a cohort's worker died; what waited for it is not handed out any more."""
        self._racing.pop(key, None)
        self._closed = True
        if self.search.adaptive or not self._done:
            self._waiting.clear()

    def stop(self) -> None:
        """Hands out nothing more."""
        self._waiting.clear()
        self._closed = True

    def _rebuild(self) -> None:
        """Brings the search to where it stood: cohorts and widenings in their order."""
        order = [Role.SEARCH, Role.EXTENSION]
        keys = [key for key in self._done if key[0] in order]
        for key in sorted(keys, key=lambda key: (order.index(key[0]), key[1])):
            results = self._done[key]
            if results[0].region is not None:
                self.search.widen(results[0].region)
            self.search.learn(results)

    def _plan(self) -> None:
        """Plans the next stage when the one before has ended."""
        if self._waiting or self._racing or self._closed or not self._searched:
            return
        self._waiting = self._extension_blocks() or self._replicate_blocks()

    @property
    def _searched(self) -> bool:
        return self.batch_size in self._study.searched

    def _lanes(self) -> int:
        return self._study.lanes_at(self.batch_size)

    def _have(self, role: Role) -> set[int]:
        return {r.point.trial for r in self._results() if r.point.role is role}

    def _results(self) -> list[TrialResult]:
        return [result for results in self._done.values() for result in results]

    def _search_blocks(self) -> list[Block]:
        trials = range(self._study.search.trials)
        missing = missing_blocks(trials, self._lanes(), self._have(Role.SEARCH))
        return [Block(Role.SEARCH, block) for block in missing]

    def _extension_blocks(self) -> list[Block]:
        have = self._have(Role.EXTENSION)
        results = final_results(self._study, self._results())
        searched = [r for r in results if r.point.role in {Role.SEARCH, Role.EXTENSION}]
        regions = {r.region.number: r.region for r in searched if r.region is not None}
        for number in sorted(regions):
            if missing := _region_blocks(regions[number], self._lanes(), have):
                return missing
        if len(regions) >= self._study.search.extend:
            return []
        region = next_region(self._study, self.search.ranges, searched)
        if region is None:
            return []
        self.search.widen(region)
        return _region_blocks(region, self._lanes(), have)

    def _replicate_blocks(self) -> list[Block]:
        results = final_results(self._study, self._results())
        points = tuple(replicate_points(self._study, self.batch_size, results))
        if not points:
            return []
        first = points[0].trial
        return [Block(Role.REPLICATE, range(first, first + len(points)), points=points)]

    def _drawn(self, block: Block) -> tuple[Point, ...]:
        values = self.search.propose(block.trials, block.region)
        return tuple(
            Point(
                trial=trial,
                seed=trial_seed(self._study.seed, self.batch_size, trial, block.role),
                values=value,
                role=block.role,
            )
            for trial, value in zip(block.trials, values, strict=True)
        )

    def _first_key(self) -> _Key:
        keys = [*self._done, *self._racing, *(block.key for block in self._waiting)]
        return min((key for key in keys if key[0] is Role.SEARCH), key=lambda key: key[1])

    def _best_steps(self, block: Block) -> int | None:
        """Gives the fewest steps among the trials that had to end before a block starts."""
        if block.role is Role.RECIPE:
            return None
        if block.role is Role.REPLICATE:
            sources = {(p.source.role, p.source.trial) for p in block.points if p.source}
            # replicates of several points run as long as the slowest of them may
            known = [r for r in self._results() if (r.point.role, r.point.trial) in sources]
            return max(r.outcome.steps for r in known if r.outcome.steps is not None)
        reached = [
            result.outcome.steps
            for key, results in self._done.items()
            if self._precedes(key, block)
            for result in results
            if result.outcome.steps is not None
        ]
        return min(reached, default=None)

    def _precedes(self, key: _Key, block: Block) -> bool:
        role, number = key
        if role is Role.REPLICATE:
            return False
        if block.region is not None:
            return role is Role.SEARCH or number < block.region.first
        before = role is Role.SEARCH and number < block.trials.start
        return before and (self.search.adaptive or key == self._first_key())


def _light(result: TrialResult) -> TrialResult:
    """Leaves out of a curve what no judgement looks at: a sweep may hold very many."""
    nothing = Curve.empty()
    curve = replace(result.curve, train_loss=nothing.train_loss, seconds=nothing.seconds)
    return replace(result, curve=curve)


def _region_blocks(region: Region, lanes: int, have: set[int]) -> list[Block]:
    trials = range(region.first, region.first + region.trials)
    missing = missing_blocks(trials, lanes, have)
    return [Block(Role.EXTENSION, block, region) for block in missing]


def missing_blocks(trials: range, lanes: int, have: set[int]) -> list[range]:
    """Cuts the missing trials into cohorts.

    Args:
        trials: numbers of the trials wanted.
        lanes: trials in a full cohort.
        have: numbers of the recorded trials.

    Returns:
        Runs of missing trials, none across a multiple of `lanes` from the first wanted.

    >>> missing_blocks(range(10), 4, {0, 1, 2, 3, 4})
    [range(5, 8), range(8, 10)]
    """
    blocks: list[range] = []
    for trial in trials:
        if trial in have:
            continue
        if blocks and blocks[-1].stop == trial and (trial - trials.start) % lanes:
            blocks[-1] = range(blocks[-1].start, trial + 1)
        else:
            blocks.append(range(trial, trial + 1))
    return blocks
