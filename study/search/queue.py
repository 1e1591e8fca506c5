"""The order of a study's cohorts over all batch sizes, each with its own `study.search.stages`.

Nothing here depends on the number of workers, so neither do the results.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from operator import attrgetter

from study.config.interpolation import interpolated
from study.config.study import ResolvedStudy
from study.records import Cohort, Point, Role, TrialResult
from study.search.replicates import fastest
from study.search.samplers import shared_search
from study.search.search import Search
from study.search.stages import Stages
from study.search.standing import Standing, expected_cost
from study.search.warm_start import inner_neighbor, warm_points


class CohortQueue:
    """A study's missing cohorts, those of the most expensive batch size first."""

    def __init__(self, resolved: ResolvedStudy, recorded: Iterable[TrialResult]) -> None:
        """Rebuild every search and plan the rest.

        `recorded` are the trials of earlier sweeps, sorted by batch size, role and number.
        """
        self._resolved = resolved
        shared = shared_search(resolved.search.sampler)
        self._shared = None if shared is None else shared(resolved)
        stages = {
            size: Stages(resolved, size, list(results), self._shared)
            for size, results in groupby(recorded, key=attrgetter("batch_size"))
        }
        self._stages = {
            size: stages.get(size) or Stages(resolved, size, [], self._shared)
            for size in resolved.batch_sizes
        }
        self._follows = resolved.recipe is not None
        self._follow()

    def take(self) -> Cohort | None:
        """Return the next cohort; None while all must wait, or when nothing is left."""
        costs = {
            size: expected_cost(size) * stages.waiting
            for size, stages in self._stages.items()
            if stages.ready() and not self._awaits_neighbor(size) and not self._awaits_round(size)
        }
        if not costs:
            return None
        size = max(costs, key=lambda s: costs[s])
        return self._stages[size].take(self._warm(size), self._carried(size))

    def finish(self, results: Sequence[TrialResult]) -> bool:
        """Return whether a cohort's results end a stage, so that `plan` must be called next."""
        stages = self._stages[results[0].batch_size]
        stages.finish(results)
        return stages.unplanned

    def plan(self, batch_size: int, recorded: Sequence[TrialResult]) -> None:
        """Plan the next stage of a batch size from all its recorded trials."""
        self._stages[batch_size].plan(recorded)
        self._follow()

    def lose(self, cohort: Cohort) -> None:
        """Give up a cohort whose worker died, and those that wait for it."""
        self._stages[cohort.batch_size].lose((cohort.role, cohort.number))
        if self._shared is not None and cohort.role is Role.SEARCH:
            self.stop()  # later rounds of every batch size must know it

    def stop(self) -> None:
        """Hand out nothing more."""
        for stages in self._stages.values():
            stages.stop()

    @property
    def empty(self) -> bool:
        """Whether every cohort has been handed out, and none that ends can add another."""
        return all(stages.ended for stages in self._stages.values())

    @property
    def without_base(self) -> bool:
        """Whether a recipe's base has ended without a point to scale."""
        return self._follows and self._base_ended()

    def searches(self) -> Mapping[int, Search]:
        """Return the search of each batch size."""
        return {size: stages.search for size, stages in self._stages.items()}

    def standings(self) -> list[Standing]:
        """Return the trials racing and waiting at each batch size."""
        return [
            Standing(batch_size=size, racing=s.racing, waiting=s.waiting, ended=s.ended)
            for size, s in self._stages.items()
        ]

    def _follow(self) -> None:
        """Plan a recipe's scaled points as soon as its base has ended with a point."""
        if not self._follows or not self._base_ended():
            return
        base = [self._stages[size].best for size in self._resolved.searched]
        if base == [None]:
            return
        self._follows = False
        for size, stages in self._stages.items():
            if size not in self._resolved.searched:
                stages.follow(base[0] if base else None)

    def _base_ended(self) -> bool:
        """Return whether a recipe's base, if it has one, is complete."""
        base = [self._stages[size] for size in self._resolved.searched]
        return all(stages.ended and not stages.closed for stages in base)

    def _awaits_round(self, size: int) -> bool:
        if self._shared is None:
            return False
        following = self._stages[size].following
        return any(stages.owes(following) for stages in self._stages.values())

    def _awaits_neighbor(self, size: int) -> bool:
        inner = self._inner(size)
        if inner is None or self._stages[size].started:
            return False
        neighbor = self._stages[inner]
        return not neighbor.first and not neighbor.closed

    def _inner(self, size: int) -> int | None:
        """Return the batch size whose first cohort must end before this one starts, if any."""
        waits = self._resolved.search.warm_start or self._resolved.race.prune is not None
        if not waits or size not in self._resolved.searched:
            return None
        return inner_neighbor(self._resolved.searched, size)

    def _carried(self, size: int) -> int | None:
        """Return the fewest steps that the first cohorts nearer the middle imply, if any did."""
        known: dict[int, int] = {}
        inner = None if self._stages[size].started else self._inner(size)
        while inner is not None:
            for best in fastest(self._stages[inner].first):
                known[inner] = best.outcome.steps or 0
            inner = self._inner(inner)
        return interpolated(size, known) if known else None

    def _warm(self, size: int) -> list[Point]:
        if not self._resolved.search.warm_start or self._stages[size].started:
            return []
        sizes = self._resolved.batch_sizes
        at = sizes.index(size)
        beside = [*sizes[max(at - 1, 0) : at], *sizes[at + 1 : at + 2]]
        return warm_points(self._resolved, size, [self._stages[other].first for other in beside])
