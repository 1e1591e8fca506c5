"""The stages of one batch size: its search, extensions of its box, and replicates, in this order.

In a recipe, batch sizes other than the base have only the trials of the scaling rule, once the base
has ended.

The cohorts of a search follow from the study alone: its trials are split into blocks of as many
lanes as the study says. The first cohort runs before the others, which inherit its cap; with an
adaptive sampler, each waits for the one before, and with a shared one for earlier ones of all batch
sizes. A stage is planned when the one before has ended, from the recorded results alone. The caller
passes them again, because a sweep may have too many to keep in memory.
"""

from collections.abc import Sequence

from study.config.study import ResolvedStudy
from study.engine.outcomes import final_results
from study.engine.stopping_rules import held_to
from study.records import Cohort, Point, Region, Role, TrialResult
from study.search.blocks import Block, Key, missing_blocks
from study.search.extension import next_region
from study.search.recipes import recipe_points
from study.search.replicates import confirmed, replicate_points
from study.search.search import Search
from study.search.shared import SharedSearch
from study.seeding import seeded_point


class Stages:
    """The cohorts of one batch size."""

    def __init__(
        self,
        resolved: ResolvedStudy,
        batch_size: int,
        recorded: Sequence[TrialResult],
        shared: SharedSearch | None = None,
    ) -> None:
        """Rebuild the search from the recorded trials of a batch size and plan what comes next."""
        self.batch_size = batch_size
        self.search = Search(resolved, batch_size, shared)
        self._resolved = resolved
        self._racing: dict[Key, Block] = {}
        self._done: dict[Key, int | None] = {}  # the fewest steps of each cohort
        self.first: list[TrialResult] = []  # of the first cohort of the search, once it has ended
        self.best: TrialResult | None = None  # of the best point, once all stages have ended
        self.closed = False  # whether a cohort that others need was lost, or the sweep stopped
        self._planned = False
        self._rebuild(recorded)
        self._followed = _numbers(recorded, Role.RECIPE)
        self._lanes = resolved.lanes_at(batch_size)
        trials = range(resolved.trials_at(batch_size) if batch_size in resolved.searched else 0)
        missing = missing_blocks(trials, self._lanes, _numbers(recorded, Role.SEARCH))
        self._waiting = [Block(Role.SEARCH, block) for block in missing]
        if self.unplanned:
            self.plan(recorded)

    @property
    def ended(self) -> bool:
        """Whether there is nothing left to hand out, now or later."""
        return not self._waiting and (self.closed or not (self._racing or self.unplanned))

    @property
    def unplanned(self) -> bool:
        """Whether a stage has ended, so that `plan` must be called."""
        idle = not (self._waiting or self._racing or self.closed or self._planned)
        return idle and self.batch_size in self._resolved.searched

    @property
    def started(self) -> bool:
        """Whether a cohort of the search is recorded or racing."""
        return any(role is Role.SEARCH for role, _ in (*self._done, *self._racing))

    @property
    def waiting(self) -> int:
        """Number of planned trials that have not been handed out."""
        return sum(len(block.trials) for block in list(self._waiting))

    @property
    def racing(self) -> int:
        """Number of trials racing."""
        return sum(len(block.trials) for block in list(self._racing.values()))

    def follow(self, base: TrialResult | None) -> None:
        """Plan the trials of a recipe, scaled from its base or from a published point."""
        points = recipe_points(self._resolved, self.batch_size, base)
        missing = missing_blocks(range(len(points)), self._lanes, self._followed)
        self._waiting = [
            Block(Role.RECIPE, trials, points=tuple(points[trial] for trial in trials))
            for trials in missing
        ]

    @property
    def following(self) -> Block:
        """The next cohort; there must be one."""
        return self._waiting[0]

    def owes(self, block: Block) -> bool:
        """Return whether a cohort that a block of a shared search must know has not ended."""
        unfinished = [*self._waiting, *self._racing.values()]
        starts = [other.trials.start for other in unfinished if other.role is Role.SEARCH]
        if block.role is Role.SEARCH:
            return any(start < block.trials.start for start in starts)
        return block.role is Role.EXTENSION and bool(starts)

    def ready(self) -> bool:
        """Return whether a cohort may start now."""
        if not self._waiting:
            return False
        if self.search.adaptive:
            return not self._racing
        return self._waiting[0].role is not Role.SEARCH or self._first_key() not in self._racing

    def take(self, warm: Sequence[Point] = (), carried: int | None = None) -> Cohort:
        """Return the next cohort, which is thereby handed out; `warm` points join it.

        For the first cohort, `carried` is the fewest steps expected from other batch sizes. If none
        of its trials reaches the target, the expectation was wrong or the good lanes were dropped,
        so later cohorts are not pruned.
        """
        block = self._waiting.pop(0)
        self._racing[block.key] = block
        points, best = block.points or self._proposed(block), self._best_steps(block)
        prunes = not block.points and self.search.prunes(block.trials.start, block.region)
        return Cohort(
            batch_size=self.batch_size,
            points=(*points, *warm),
            best_steps=best,
            expected_steps=(best or carried) if prunes else None,
            region=block.region,
        )

    def finish(self, results: Sequence[TrialResult]) -> None:
        """Record the results of a cohort."""
        key = _key(results[0])
        self._racing.pop(key, None)
        self._remember(key, results)
        if key[0] not in {Role.REPLICATE, Role.RECIPE}:
            self.search.learn(results)

    def plan(self, recorded: Sequence[TrialResult]) -> None:
        """Plan the next stage, if there is one, from all recorded trials of the batch size."""
        results = final_results(self._resolved, recorded)
        self._waiting = self._extension_blocks(results)
        if not self._waiting:
            points = replicate_points(self._resolved, results)
            granted = self._resolved.seeds_at(self.batch_size) > self._resolved.replicates.seeds
            self._waiting = _replicate_blocks(tuple(points), recorded, granted=granted)
        self._planned = not self._waiting
        if self._planned:
            self.best = confirmed(results)

    def lose(self, key: Key) -> None:
        """Give up a cohort whose worker died, and what waits for it."""
        self._racing.pop(key, None)
        self.closed = True
        if self.search.adaptive or not self._done:
            self._waiting.clear()

    def stop(self) -> None:
        """Hand out nothing more."""
        self._waiting.clear()
        self.closed = True

    def _rebuild(self, recorded: Sequence[TrialResult]) -> None:
        """Replay cohorts and extensions in order, to restore the state of the search."""
        cohorts: dict[Key, list[TrialResult]] = {}
        for result in recorded:
            cohorts.setdefault(_key(result), []).append(result)
        for key, results in cohorts.items():
            self._remember(key, results)
        order = [Role.SEARCH, Role.EXTENSION]
        keys = [key for key in cohorts if key[0] in order]
        for key in sorted(keys, key=lambda key: (order.index(key[0]), key[1])):
            region = cohorts[key][0].region
            if region is not None:
                self.search.widen(region)
            self.search.learn(cohorts[key])

    def _remember(self, key: Key, results: Sequence[TrialResult]) -> None:
        """Keep what later cohorts need, and no more: a sweep may have very many."""
        steps = [r.outcome.steps for r in results if r.outcome.steps is not None]
        self._done[key] = min(steps, default=None)
        role, number = key
        if role is Role.SEARCH and (not self.first or number < self.first[0].cohort):
            self.first = [result.without_curve() for result in results]

    def _extension_blocks(self, results: Sequence[TrialResult]) -> list[Block]:
        have = _numbers(results, Role.EXTENSION)
        searched = [r for r in results if r.point.role in {Role.SEARCH, Role.EXTENSION}]
        regions = {r.region.number: r.region for r in searched if r.region is not None}
        for number in sorted(regions):
            if missing := _region_blocks(regions[number], self._lanes, have):
                return missing
        if len(regions) >= self._resolved.search.extend:
            return []
        region = next_region(self._resolved, self.search.ranges, searched)
        if region is None:
            return []
        self.search.widen(region)
        return _region_blocks(region, self._lanes, have)

    def _proposed(self, block: Block) -> tuple[Point, ...]:
        values = self.search.propose(block.trials, block.region)
        return tuple(
            seeded_point(self._resolved.seed, self.batch_size, trial, block.role, value)
            for trial, value in zip(block.trials, values, strict=True)
        )

    def _first_key(self) -> Key:
        keys = [*self._done, *self._racing, *(block.key for block in self._waiting)]
        return min((key for key in keys if key[0] is Role.SEARCH), key=lambda key: key[1])

    def _best_steps(self, block: Block) -> int | None:
        """Return the fewest steps of the cohorts that must end before a block starts.

        Others may have ended too, but how many depends on the number of workers.
        """
        if block.points:
            return block.held_to
        preceding = [steps for key, steps in self._done.items() if self._precedes(key, block)]
        return min((steps for steps in preceding if steps is not None), default=None)

    def _precedes(self, key: Key, block: Block) -> bool:
        role, number = key
        if role is Role.REPLICATE:
            return False
        if block.region is not None:
            return role is Role.SEARCH or number < block.region.first
        before = role is Role.SEARCH and number < block.trials.start
        return before and (self.search.adaptive or key == self._first_key())


def _key(result: TrialResult) -> Key:
    role = result.point.role
    return (Role.SEARCH if role is Role.WARM else role), result.cohort


def _numbers(results: Sequence[TrialResult], role: Role) -> set[int]:
    return {result.point.trial for result in results if result.point.role is role}


def _replicate_blocks(
    points: tuple[Point, ...], recorded: Sequence[TrialResult], *, granted: bool
) -> list[Block]:
    """Return the cohort of some re-runs, limited by the steps of their points in the search.

    Re-runs that `until` granted are limited by the steps of earlier ones, where these are more.
    """
    if not points:
        return []
    slowest = 0  # points whose replicates share a cohort share its limit
    for source in {point.source for point in points if point.source}:
        again = [r.outcome for r in recorded if granted and r.point.source == source]
        for result in recorded:
            steps = result.outcome.steps
            if (result.point.role, result.point.trial) == (source.role, source.trial) and steps:
                ends = [outcome.steps or outcome.stopped_at for outcome in again]
                slowest = max(slowest, held_to(steps, ends))
    trials = range(points[0].trial, points[0].trial + len(points))
    return [Block(Role.REPLICATE, trials, points=points, held_to=slowest)]


def _region_blocks(region: Region, lanes: int, have: set[int]) -> list[Block]:
    trials = range(region.first, region.first + region.trials)
    missing = missing_blocks(trials, lanes, have)
    return [Block(Role.EXTENSION, block, region) for block in missing]
