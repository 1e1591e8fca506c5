"""Which cohort of a study runs next, over all batch sizes.

Each batch size has its own stages (`study.search.stages`); here is the order between batch sizes.
Nothing of it depends on the number of workers, so neither do the results.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter

from study.config.study import ResolvedStudy
from study.records import Cohort, Point, TrialResult
from study.search.sampler import Search
from study.search.stages import Stages
from study.search.warm_start import inner_neighbour, warm_points

PLATEAU_GUESS = 64
"""Batch size at which an unknown workload is taken to leave perfect scaling; orders work only."""


def expected_cost(batch_size: int) -> float:
    """Gives the relative cost of a trial before anything is known: steps times time per step."""
    # steps fall as 1/B down to a plateau, a step costs a constant and its examples
    steps = 1 / batch_size + 1 / PLATEAU_GUESS
    return steps * (PLATEAU_GUESS + batch_size)


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """Where a batch size stands while a sweep runs."""

    batch_size: int
    racing: int
    waiting: int


class CohortQueue:
    """Hands out a study's missing cohorts, the most expensive batch size first."""

    def __init__(self, resolved: ResolvedStudy, recorded: Iterable[TrialResult]) -> None:
        """Rebuilds every search from what is recorded and plans the rest.

        Args:
            resolved: the resolved study.
            recorded: the trials of earlier sweeps, sorted by batch size, role and trial.
        """
        self._resolved = resolved
        stages = {
            size: Stages(resolved, size, list(results))
            for size, results in groupby(recorded, key=attrgetter("batch_size"))
        }
        self._stages = {
            size: stages.get(size) or Stages(resolved, size, []) for size in resolved.batch_sizes
        }
        self._follows = resolved.recipe is not None
        self._follow()

    def take(self) -> Cohort | None:
        """Gives the next cohort; None while all that is left must wait, or nothing is left."""
        costs = {
            size: expected_cost(size) * stages.waiting
            for size, stages in self._stages.items()
            if stages.ready() and not self._awaits_neighbour(size)
        }
        if not costs:
            return None
        size = max(costs, key=lambda s: costs[s])
        return self._stages[size].take(self._warm(size))

    def finish(self, results: Sequence[TrialResult]) -> bool:
        """Takes back a cohort with its results.

        Args:
            results: of all its trials.

        Returns:
            Whether `plan` is to say what comes next at the batch size: a stage of it has ended.
        """
        stages = self._stages[results[0].batch_size]
        stages.finish(results)
        return stages.unplanned

    def plan(self, batch_size: int, recorded: Sequence[TrialResult]) -> None:
        """Plans what comes next at a batch size.

        Args:
            batch_size: where a stage has ended.
            recorded: all its trials.
        """
        self._stages[batch_size].plan(recorded)
        self._follow()

    def lose(self, cohort: Cohort) -> None:
        """Notes that a cohort's worker died; what waited for it is not handed out any more."""
        self._stages[cohort.batch_size].lose((cohort.role, cohort.number))

    def stop(self) -> None:
        """Hands out nothing more."""
        for stages in self._stages.values():
            stages.stop()

    @property
    def empty(self) -> bool:
        """Whether every cohort has been handed out, and none that ends can bring another."""
        return all(stages.ended for stages in self._stages.values())

    @property
    def without_base(self) -> bool:
        """Whether a recipe's base has ended and left no point to scale."""
        return self._follows and self._base_ended()

    def searches(self) -> Mapping[int, Search]:
        """Gives the search of each batch size."""
        return {size: stages.search for size, stages in self._stages.items()}

    def standings(self) -> list[Standing]:
        """Gives the number of trials racing and waiting at each batch size."""
        return [
            Standing(batch_size=size, racing=stages.racing, waiting=stages.waiting)
            for size, stages in self._stages.items()
        ]

    def _follow(self) -> None:
        """Plans what a recipe's rule gives, as soon as its base has ended with a point."""
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
        """Tells whether a recipe's base, where it has one, has nothing left to run, none lost."""
        base = [self._stages[size] for size in self._resolved.searched]
        return all(stages.ended and not stages.closed for stages in base)

    def _awaits_neighbour(self, size: int) -> bool:
        if not self._resolved.search.warm_start or self._stages[size].started:
            return False
        inner = inner_neighbour(self._resolved.batch_sizes, size)
        if inner is None:
            return False
        neighbour = self._stages[inner]
        return not neighbour.first and not neighbour.closed

    def _warm(self, size: int) -> list[Point]:
        """Gives the points that join the first cohort of a batch size."""
        if not self._resolved.search.warm_start or self._stages[size].started:
            return []
        sizes = self._resolved.batch_sizes
        at = sizes.index(size)
        beside = [*sizes[max(at - 1, 0) : at], *sizes[at + 1 : at + 2]]
        return warm_points(self._resolved, size, [self._stages[other].first for other in beside])
