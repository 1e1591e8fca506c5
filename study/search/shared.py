"""What the searches of all batch sizes know together, in rounds.

The best points of each batch size, the elite, lie near a line over log batch size; a weighted line
through those of nearby batch sizes says where the best one of this batch size should be, and their
spread about it how sure that is. New points are drawn about the best one so far and about the line.
This is the cross-entropy method (Rubinstein 1999) with the ranks' weights of CMA-ES (Hansen 2016,
arXiv 1604.00772, equation 49) and a mean that moves with the batch size.

Of many points drawn, those are tried to which one of the elite is nearer than any other trial of
the batch size, diverged ones included: the cells of Sambridge 1999 (Geophys. J. Int. 138, 479). For
the best points often lie where training just works still, in a valley thinner than the spread.
Pruned trials do not count there. A rung tells good points from bad ones, but not those that are
alike, as the later ones are: of these it drops the half that starts slowly, not that which ends so.
For the same reason some cohorts are not pruned, see `prunes`.

A cohort knows the trials of all cohorts that begin at a lower trial number, at every batch size; so
its points follow from the study alone, whatever the number of workers. The first trials and every
eighth after them stay quasi-random, so that a search does not stick to one valley.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from study.config.space import Range
from study.config.study import ResolvedStudy
from study.records import Floats, Region, Status, TrialResult
from study.seeding import derive_seed

REPLICATES = {"seeds": 2, "top": 4, "confirm": 5}
"""The replicates of a study that leaves them out: the fastest of points that are alike was lucky,
so two seeds each choose one of four, and five others measure it."""
FIRST, EVERY = 8, 8
"""Trials per searched hyperparameter that are quasi-random, and how often one is after them."""
ELITE = 8
"""Best trials of a batch size that are learned from."""
_NEARBY = 3.0
"""Doublings of the batch size over which its trials lose their weight: a standard deviation."""
_SLOPE = 1e-3
"""Pull of the line toward no change over the batch size, where that is hardly known."""
_LEAST_SPREAD = 0.005
_WIDEN, _NARROWS = 1.6, 0.3
"""Times the spread of the elite at which points are drawn after the first 16 trials, and the power
of the number of trials by which that falls."""
_ABOUT_BEST = 0.8
"""Share of points about the best one so far; the others lie about the line."""
_DRAWN = 16
"""Points drawn for each that is tried."""
_OPEN, _PERIOD = 16, 64
"""Of so many trials the last ones are not pruned."""
_LOST = (math.inf, math.inf)
_Key = tuple[bool, int, int]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Lane:
    """Where a trial was in the box, and how good it was: steps to target, then lowest error.

    One that diverged is `_LOST`: there is nothing to learn from it but to stay away.
    """

    position: tuple[float, ...]
    rank: tuple[float, float]
    pruned: bool


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Elite:
    """The best trials of one batch size."""

    positions: Floats  # shape (trials, searched), the best first
    others: Floats  # those of all other trials but the pruned ones, shape (trials, searched)
    weights: Floats  # of each of the best, with sum 1
    away: float  # doublings from the batch size that is searched


class SharedSearch:
    """The trials of all batch sizes, and where they say that the best points are."""

    def __init__(self, resolved: ResolvedStudy) -> None:
        """Start without trials."""
        self._box = resolved.ranges
        self._seed = resolved.seed
        self._lanes: dict[_Key, list[_Lane]] = {}

    def learn(self, results: Sequence[TrialResult]) -> None:
        """Add the results of one cohort, its warm-start points included."""
        first = results[0]
        key = (first.region is not None, first.cohort, first.batch_size)
        self._lanes[key] = [self._lane(r) for r in results if r.outcome.status != Status.FAILED]

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
        first = FIRST * len(ranges) if region is None else 0
        chosen = [trial for trial in trials if trial >= first and trial % EVERY]
        elites = self._elites(batch_size, trials[0], region)
        if not elites or not chosen:
            return {}
        stage = "search" if region is None else "extension"
        rng = np.random.default_rng(derive_seed(self._seed, batch_size, "shared", stage, trials[0]))
        ends = [
            [self._box[name].position(end) for end in (entry.low, entry.high)]
            for name, entry in ranges.items()
        ]
        inside = _drawn(elites, trials[0], len(chosen), rng, np.array(ends).T)
        return {
            trial: {
                name: entry.beyond(float(at))
                for (name, entry), at in zip(self._box.items(), point, strict=True)
            }
            for trial, point in zip(chosen, inside, strict=True)
        }

    def _lane(self, result: TrialResult) -> _Lane:
        values, outcome = result.point.values, result.outcome
        steps, error = outcome.steps, outcome.best_error
        if outcome.status is Status.DIVERGED:
            steps = error = None
        return _Lane(
            position=tuple(entry.position(values[name]) for name, entry in self._box.items()),
            rank=(math.inf if steps is None else steps, math.inf if error is None else error),
            pruned=outcome.status is Status.PRUNED,
        )

    def _elites(self, batch_size: int, first: int, region: Region | None) -> list[_Elite]:
        """Return the elite of each batch size with trials that a cohort may know."""
        by_size: dict[int, list[_Lane]] = {}
        for key in self._known(batch_size, first, region):
            by_size.setdefault(key[2], []).extend(self._lanes[key])
        found = []
        for size, lanes in sorted(by_size.items()):
            lanes.sort(key=lambda lane: lane.rank)
            best = [lane for lane in lanes[:ELITE] if lane.rank < _LOST]
            count = sum(lane.rank[0] < math.inf for lane in best) or len(best)
            if count:
                weights = math.log(ELITE + 0.5) - np.log(np.arange(count) + 1)
                others = [lane.position for lane in lanes[count:] if not lane.pruned]
                found.append(
                    _Elite(
                        positions=np.array([lane.position for lane in lanes[:count]]),
                        others=np.array(others).reshape(-1, len(self._box)),
                        weights=weights / weights.sum(),
                        away=math.log2(size / batch_size),
                    )
                )
        return found

    def _known(self, batch_size: int, first: int, region: Region | None) -> list[_Key]:
        """Return the cohorts that one may know; an extension knows all searches and its own."""
        searches = [key for key in sorted(self._lanes) if not key[0]]
        if region is None:
            return [key for key in searches if key[1] < first]
        own = [(True, start, batch_size) for start in range(first)]
        return [*searches, *(key for key in own if key in self._lanes)]


def prunes(first: int) -> bool:
    """Return whether the cohort of a shared search whose first trial is given may be pruned.

    The last quarter of every 64 trials is not: these are points about the best ones, which all run
    until they are at the target or too late. Their order is known, and the best is among them.
    """
    return first % _PERIOD < _PERIOD - _OPEN


def _drawn(
    elites: Sequence[_Elite], known: int, count: int, rng: np.random.Generator, ends: Floats
) -> Floats:
    """Return points about the best of a batch size and about the line, shape (count, searched).

    Args:
        elites: of all batch sizes, at least one.
        known: trials of the batch size so far.
        count: number of points; the last one lies on the line, if there are several.
        rng: draws them.
        ends: of the box, low and high, shape (2, searched).
    """
    positions = np.concatenate([elite.positions for elite in elites])
    away = np.concatenate([np.full(len(elite.positions), elite.away) for elite in elites])
    weights = np.concatenate(
        [elite.weights * math.exp(-((elite.away / _NEARBY) ** 2) / 2) for elite in elites]
    )
    line = np.column_stack([np.ones(len(away)), away])
    weighted = line.T * weights
    pull = np.diag([1e-9, _SLOPE])
    coefficients = np.linalg.solve(weighted @ line + pull, weighted @ positions)
    off = positions - line @ coefficients
    spread = (off.T * weights) @ off / weights.sum()
    root = np.linalg.cholesky(spread + _LEAST_SPREAD**2 * np.eye(len(spread)))
    widen = _WIDEN * (max(known, 16) / 16) ** -_NARROWS
    centers = np.tile(coefficients[0], (_DRAWN * count, 1))
    own = [elite for elite in elites if elite.away == 0]
    for elite in own:
        centers[rng.random(len(centers)) < _ABOUT_BEST] = elite.positions[0]
    points = centers + widen * rng.standard_normal(centers.shape) @ root.T
    points = _reflected(points, *ends)
    for elite in own:
        points = _nearest_first(points, elite, root)
    if count > 1:
        points[count - 1] = _reflected(coefficients[:1], *ends)
    return points[:count]


def _nearest_first(points: Floats, elite: _Elite, root: Floats) -> Floats:
    """Return points, first those to which one of the elite is nearer than any other trial.

    Args:
        points: shape (any, searched).
        elite: of the batch size, with the other trials there.
        root: of the covariance that distances are measured in.
    """
    from scipy.spatial import KDTree  # here, as most studies do without it

    tried, drawn = (
        np.linalg.solve(root, places.T).T
        for places in (np.concatenate([elite.positions, elite.others]), points)
    )
    nearest = KDTree(tried).query(drawn)[1]
    return points[np.argsort(nearest >= len(elite.positions), kind="stable")]


def _reflected(points: Floats, low: Floats, high: Floats) -> Floats:
    """Return points mirrored at the ends of the box."""
    span = high - low
    folded: Floats = low + np.abs((points - low + span) % (2 * span) - span)
    return folded
