"""Re-runs of the best points with fresh seeds, once a search has ended.

The fewest steps over many trials are lucky: a minimum selects favorable seeds. Replicates show what
the same points need with other initializations and data orders.
"""

import math
import statistics
from collections.abc import Sequence

from study.config.study import ResolvedStudy
from study.records import Point, Role, ScalingRule, Source, TrialResult
from study.seeding import derive_seed

_PLACE = {role: place for place, role in enumerate(Role)}


def replicate_points(resolved: ResolvedStudy, results: Sequence[TrialResult]) -> list[Point]:
    """Return one point per missing re-run of the `top` fastest trials of a batch size.

    Once these are complete, `confirm` more and those that `until` granted are of one point, which
    the others lose to: see `_survivor`. There are none if no trial reached the target. Numbers
    continue those of recorded replicates; seeds follow from the re-run trial and a count, so that
    more replicates never change earlier ones. `results` are all recorded trials of the batch size,
    with their final outcomes.
    """
    section, top = resolved.replicates, fastest(results, resolved.replicates.top)
    if not top:
        return []
    points = _missing(resolved, results, top, section.seeds)
    seeds = resolved.seeds_at(top[0].batch_size) + (section.confirm or 0)
    if points or seeds == section.seeds:
        return points
    return _missing(resolved, results, *_survivor(results, seeds))


def _survivor(results: Sequence[TrialResult], seeds: int) -> tuple[list[TrialResult], int]:
    """Return which point is to be run again next, if any, and how often in all.

    Points with equally many re-runs are compared by these: only the best goes on, first to as many
    as the next one has. So a point that a search has found since the others were run again is
    rejected for few re-runs, or comes up to theirs. The last one has `seeds`.
    """
    steps = _again(results)
    again = [r for r in results if (r.point.role, r.point.trial) in steps]
    trials = {(r.point.role, r.point.trial): r for r in sorted(again, key=_speed)}
    alive = list(trials)
    while alive:
        level = min(len(steps[key]) for key in alive)
        best = min(alive, key=lambda key: statistics.median(steps[key][:level]))
        alive = [key for key in alive if key == best or len(steps[key]) > level]
        if alive == [best]:
            return [trials[best]], seeds
        if len(steps[best]) == level:
            return [trials[best]], min(len(steps[key]) for key in alive if key != best)
    return [], 0


def _missing(
    resolved: ResolvedStudy,
    results: Sequence[TrialResult],
    trials: Sequence[TrialResult],
    seeds: int,
) -> list[Point]:
    """Return a point for each of the first re-runs of trials that is not recorded."""
    recorded = [r.point for r in results if r.point.role is Role.REPLICATE]
    points: list[Point] = []
    for best in trials:
        source = Source(best.batch_size, best.point.role, best.point.trial, ScalingRule.SAME)
        done = sum(point.source == source for point in recorded)
        for count in range(done, seeds):
            points.append(
                Point(
                    trial=len(recorded) + len(points),
                    seed=_seed(resolved, best, count),
                    values=best.point.values,
                    role=Role.REPLICATE,
                    source=source,
                )
            )
    return points


def confirmed(results: Sequence[TrialResult]) -> TrialResult | None:
    """Return the trial of a batch size with the best point; None if none reached the target.

    By its replicates, if there are any: it has the least median of their steps, misses counting as
    slowest, over the seeds that every point compared with it has. Without, it is the fastest trial.
    """
    survivors, _ = _survivor(results, 0)
    return next(iter(survivors or fastest(results)), None)


def _again(results: Sequence[TrialResult]) -> dict[tuple[Role | None, int | None], list[float]]:
    """Return the steps of all re-runs of each point, in order, infinite where missed."""
    steps: dict[tuple[Role | None, int | None], list[float]] = {}
    replicates = [result for result in results if result.point.role is Role.REPLICATE]
    for result in sorted(replicates, key=lambda result: result.point.trial):
        source, found = result.point.source, result.outcome.steps
        if source is not None:
            again = steps.setdefault((source.role, source.trial), [])
            again.append(math.inf if found is None else found)
    return steps


def fresh_seeds(results: Sequence[TrialResult]) -> list[TrialResult]:
    """Return the re-runs that reached the target of the best point at a batch size, by number.

    The point is that of `confirmed`; in a recipe it is the one that its scaling rule gives.
    """
    best = confirmed(results)
    if best is None:
        return []

    def again(point: Point) -> bool:
        source = point.source
        if source is None or best.point.role is Role.RECIPE:
            return point.role is Role.RECIPE
        name = (source.role, source.trial)
        return point.role is Role.REPLICATE and name == (best.point.role, best.point.trial)

    found = [r for r in results if again(r.point) and r.outcome.steps is not None]
    return sorted(found, key=lambda result: result.point.trial)


def fastest(results: Sequence[TrialResult], count: int = 1) -> list[TrialResult]:
    """Return up to `count` trials of a batch size that reached the target, the fastest first.

    Replicates are left out. Ties go to the earlier role and the lower number.
    """
    searched = [r for r in results if r.point.role is not Role.REPLICATE]
    return sorted((r for r in searched if r.outcome.steps is not None), key=_speed)[:count]


def _speed(result: TrialResult) -> tuple[float, int, int]:
    return result.rank[0], _PLACE[result.point.role], result.point.trial


def _seed(resolved: ResolvedStudy, best: TrialResult, count: int) -> int:
    role, trial = str(best.point.role), best.point.trial
    return derive_seed(resolved.seed, best.batch_size, "replicate", role, trial, count)
