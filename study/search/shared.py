"""A search that learns from the trials of all batch sizes together, in rounds.

The best points of each batch size, the elite, lie near a line over log batch size. A weighted line
through those of nearby batch sizes predicts the best point of this one, and their spread about it
measures the uncertainty. New points are drawn about the best one so far and about the line. This is
the cross-entropy method (Rubinstein 1999) with the rank weights of CMA-ES (Hansen 2016, arXiv
1604.00772, equation 49) and a mean that moves with the batch size.

Sixteen times as many points are drawn as are tried. Preferred are those nearer to one of the elite
than to any other trial of the batch size, diverged ones included: the cells of Sambridge 1999
(Geophys. J. Int. 138, 479). The best points often lie where training only just works, in a valley
thinner than the spread. Pruned trials are not among the others: a rung separates good points from
bad ones, but late points are all alike, and it drops those that start slowly, not those that end
slowly. For the same reason some cohorts are not pruned, see `prunes`.

A cohort knows the trials of all cohorts that begin at a lower trial number, at every batch size. So
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
"""Replicates by default. The fastest of many similar points was lucky, so two seeds for each of
four points choose one, and five others measure it."""
FIRST, EVERY = 8, 8
"""Number of quasi-random trials per searched hyperparameter, and the period of those after them."""
ELITE = 8
"""Number of best trials of a batch size to learn from."""
_NEARBY = 3.0
"""Standard deviation, in doublings, of the weight of other batch sizes."""
_SLOPE_PENALTY = 1e-3
"""Ridge penalty on the slope of the line, for where the data hardly determine it."""
_MIN_SPREAD = 0.005
_WIDENING, _NARROWING = 1.6, 0.3
"""Factor on the elite's spread for drawing after the first 16 trials, and the power of the number
of trials with which it falls."""
_ABOUT_BEST = 0.8
"""Share of points about the best one so far; the others lie about the line."""
_DRAWN = 16
"""Points drawn for each that is tried."""
_PERIOD, _UNPRUNED = 64, 16
"""Of this many trials, the number of last ones that are not pruned."""
_NO_RANK = (math.inf, math.inf)
"""Rank of a diverged trial: it only shows where not to search."""
_Key = tuple[bool, int, int]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Lane:
    """A trial's position in the box and its rank: steps to target, then lowest error."""

    position: tuple[float, ...]
    rank: tuple[float, float]
    pruned: bool


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Elite:
    """The best trials of one batch size."""

    positions: Floats  # shape (trials, searched), the best first
    others: Floats  # of all other trials except pruned ones, shape (trials, searched)
    weights: Floats  # of the best, with sum 1
    doublings: float  # from the batch size that is searched


class SharedSearch:
    """The trials of all batch sizes, and the points that they suggest."""

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
            batch_size: batch size of the trials.
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
        values, status = result.point.values, result.outcome.status
        return _Lane(
            position=tuple(entry.position(values[name]) for name, entry in self._box.items()),
            rank=_NO_RANK if status is Status.DIVERGED else result.rank,
            pruned=status is Status.PRUNED,
        )

    def _elites(self, batch_size: int, first: int, region: Region | None) -> list[_Elite]:
        """Return the elite of each batch size with trials that a cohort may know."""
        by_size: dict[int, list[_Lane]] = {}
        for key in self._known(batch_size, first, region):
            by_size.setdefault(key[2], []).extend(self._lanes[key])
        elites = []
        for size, lanes in sorted(by_size.items()):
            lanes.sort(key=lambda lane: lane.rank)
            best = [lane for lane in lanes[:ELITE] if lane.rank < _NO_RANK]
            count = sum(lane.rank[0] < math.inf for lane in best) or len(best)
            if count:
                weights = math.log(ELITE + 0.5) - np.log(np.arange(count) + 1)
                others = [lane.position for lane in lanes[count:] if not lane.pruned]
                elites.append(
                    _Elite(
                        positions=np.array([lane.position for lane in lanes[:count]]),
                        others=np.array(others).reshape(-1, len(self._box)),
                        weights=weights / weights.sum(),
                        doublings=math.log2(size / batch_size),
                    )
                )
        return elites

    def _known(self, batch_size: int, first: int, region: Region | None) -> list[_Key]:
        """Return the cohorts that one may know: for an extension, all searches and its own past."""
        searches = [key for key in sorted(self._lanes) if not key[0]]
        if region is None:
            return [key for key in searches if key[1] < first]
        own = [(True, start, batch_size) for start in range(first)]
        return [*searches, *(key for key in own if key in self._lanes)]


def prunes(first: int) -> bool:
    """Return whether a cohort of a shared search may be pruned, given its first trial.

    The last quarter of every 64 trials is not. Its points lie about the best ones, and all run to
    the target or to their cap, so that their order is exact.
    """
    return first % _PERIOD < _PERIOD - _UNPRUNED


def _drawn(
    elites: Sequence[_Elite], known: int, count: int, rng: np.random.Generator, ends: Floats
) -> Floats:
    """Return points about the best of a batch size and about the line, shape (count, searched).

    Args:
        elites: of all batch sizes, at least one.
        known: number of trials of the batch size so far.
        count: number of points; if there are several, the last one lies on the line.
        rng: source of randomness.
        ends: of the box, low and high, shape (2, searched).
    """
    positions = np.concatenate([elite.positions for elite in elites])
    doublings = np.concatenate([np.full(len(elite.positions), elite.doublings) for elite in elites])
    weights = np.concatenate(
        [elite.weights * math.exp(-((elite.doublings / _NEARBY) ** 2) / 2) for elite in elites]
    )
    design = np.column_stack([np.ones(len(doublings)), doublings])
    weighted = design.T * weights
    penalty = np.diag([1e-9, _SLOPE_PENALTY])
    coefficients = np.linalg.solve(weighted @ design + penalty, weighted @ positions)
    residuals = positions - design @ coefficients
    covariance = (residuals.T * weights) @ residuals / weights.sum()
    root = np.linalg.cholesky(covariance + _MIN_SPREAD**2 * np.eye(len(covariance)))
    widening = _WIDENING * (max(known, 16) / 16) ** -_NARROWING
    centers = np.tile(coefficients[0], (_DRAWN * count, 1))
    own = [elite for elite in elites if elite.doublings == 0]
    for elite in own:
        centers[rng.random(len(centers)) < _ABOUT_BEST] = elite.positions[0]
    points = centers + widening * rng.standard_normal(centers.shape) @ root.T
    points = _reflected(points, *ends)
    for elite in own:
        points = _nearest_first(points, elite, root)
    if count > 1:
        points[count - 1] = _reflected(coefficients[:1], *ends)
    return points[:count]


def _nearest_first(points: Floats, elite: _Elite, root: Floats) -> Floats:
    """Return points, first those nearer to one of the elite than to any other trial of its size.

    Distances are in units of `root`, a square root of the covariance.
    """
    from scipy.spatial import KDTree  # here: most studies never load it

    tried = np.concatenate([elite.positions, elite.others])
    drawn = np.linalg.solve(root, points.T).T
    nearest = KDTree(np.linalg.solve(root, tried.T).T).query(drawn)[1]
    return points[np.argsort(nearest >= len(elite.positions), kind="stable")]


def _reflected(points: Floats, low: Floats, high: Floats) -> Floats:
    """Return points mirrored at the ends of the box."""
    span = high - low
    folded: Floats = low + np.abs((points - low + span) % (2 * span) - span)
    return folded
