"""What the searches of all batch sizes know together, in rounds.

A cohort knows the trials of all cohorts that begin at a lower trial number, at every batch size; so
its points follow from the study alone, whatever the number of workers. The first cohorts and every
fourth trial after them stay quasi-random: a surrogate alone would stick to what it took for best.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING

import numpy as np

from study.config.space import Range
from study.config.study import ResolvedStudy
from study.records import Floats, Region, Status, TrialResult
from study.seeding import derive_seed

if TYPE_CHECKING:
    from study.search.surrogate import Surrogate

EVERY = 4
"""Every so many trials, one is quasi-random."""
_LEAST = 4
"""Trials that did not diverge, per dimension, before a surrogate is asked."""
_SIZE_SCALE = 0.1
"""Of the log2 of the batch size: ten doublings weigh as much as the range of a hyperparameter."""
_Key = tuple[bool, int, int]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Lane:
    """What is kept of a trial: where it was, whether it diverged, its steps and its errors."""

    batch_size: int
    position: tuple[float, ...]
    diverged: bool
    steps: int | None
    step: Floats
    error: Floats


class SharedSearch:
    """The trials of all batch sizes, and the surrogate that learns from them."""

    def __init__(self, resolved: ResolvedStudy) -> None:
        """Start without trials."""
        self._box = {n: e for n, e in resolved.search.space.items() if isinstance(e, Range)}
        self._target, self._seed = resolved.target, resolved.seed
        self._lanes: dict[_Key, list[_Lane]] = {}
        self._fitted: tuple[list[_Key], Surrogate | None] = ([], None)

    def learn(self, results: Sequence[TrialResult]) -> None:
        """Add the results of one cohort, its warm-start points included."""
        first = results[0]
        key = (first.region is not None, first.cohort, first.batch_size)
        trained = [
            r for r in results if r.outcome.status is not Status.FAILED and len(r.curve.step)
        ]
        self._lanes[key] = [self._lane(result) for result in trained]

    def points(
        self,
        batch_size: int,
        trials: Sequence[int],
        region: Region | None,
        ranges: Mapping[str, Range],
    ) -> dict[int, dict[str, float]]:
        """Return values of the searched hyperparameters for trials that are not quasi-random.

        Args:
            batch_size: where they will run.
            trials: numbers of the trials of a cohort, rising.
            region: of the cohort, if it extends the box.
            ranges: the box with its extensions, by searched hyperparameter.
        """
        chosen = [trial for trial in trials if trial % EVERY]
        surrogate = self._surrogate(self._known(batch_size, trials[0], region))
        if surrogate is None or not chosen:
            return {}
        stage = "search" if region is None else "extension"
        seed = derive_seed(self._seed, batch_size, "shared", stage, trials[0])
        ends = [
            [self._box[name].position(end) for end in (entry.low, entry.high)]
            for name, entry in ranges.items()
        ]
        low, high = np.array(ends).T
        points = surrogate.propose(
            _log(batch_size), (low, high), len(chosen), np.random.default_rng(seed)
        )
        return {
            trial: {
                name: entry.beyond(float(at))
                for (name, entry), at in zip(self._box.items(), point, strict=True)
            }
            for trial, point in zip(chosen, points, strict=True)
        }

    def _lane(self, result: TrialResult) -> _Lane:
        values, curve = result.point.values, result.curve
        return _Lane(
            batch_size=result.batch_size,
            position=tuple(entry.position(values[name]) for name, entry in self._box.items()),
            diverged=result.outcome.status is Status.DIVERGED,
            steps=result.outcome.steps,
            step=curve.step.astype(np.float64),
            error=curve.val_error,
        )

    def _known(self, batch_size: int, first: int, region: Region | None) -> list[_Key]:
        """Return the cohorts that one may know; an extension knows all searches and its own."""
        searches = [key for key in sorted(self._lanes) if not key[0]]
        if region is None:
            return [key for key in searches if key[1] < first]
        own = [(True, start, batch_size) for start in range(first)]
        return [*searches, *(key for key in own if key in self._lanes)]

    def _surrogate(self, known: list[_Key]) -> "Surrogate | None":
        """Return the surrogate of some cohorts; batch sizes of a round share the last one."""
        if self._fitted[0] != known:
            lanes = [lane for key in known for lane in self._lanes[key]]
            enough = sum(not lane.diverged for lane in lanes) >= _LEAST * (len(self._box) + 1)
            self._fitted = known, self._fit(lanes) if enough and self._box else None
        return self._fitted[1]

    def _fit(self, lanes: list[_Lane]) -> "Surrogate":
        from study.search.surrogate import Surrogate  # scikit-learn takes a second to import

        lanes = sorted(lanes, key=attrgetter("batch_size"))
        groups = [list(group) for _, group in groupby(lanes, key=attrgetter("batch_size"))]
        return Surrogate(
            np.array([[*lane.position, _log(lane.batch_size)] for lane in lanes]),
            np.array([excess for group in groups for excess in self._excess(group)]),
            np.array([lane.diverged for lane in lanes]),
        )

    def _excess(self, lanes: list[_Lane]) -> list[float]:
        """Return log of error over target of trials of one batch size, at the winner's step.

        There every trial has been measured, also those that stopped before they reached the target.
        Without a winner it is the lowest error of each.
        """
        winner = min((lane.steps for lane in lanes if lane.steps is not None), default=None)
        return [self._excess_at(lane, winner) for lane in lanes]

    def _excess_at(self, lane: _Lane, step: int | None) -> float:
        if step is None:
            error = lane.error.min()
        else:
            error = lane.error[np.searchsorted(lane.step, step, side="right") - 1]
        return math.log(max(error, self._target) / self._target)


def _log(batch_size: int) -> float:
    return _SIZE_SCALE * math.log2(batch_size)
