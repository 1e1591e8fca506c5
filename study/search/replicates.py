"""Re-runs of the best points with fresh seeds, once a search has ended.

The fewest steps over many trials are lucky: a minimum selects favorable seeds. Replicates show how
many steps the same points need with other initializations and data orders.
"""

import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence

from study.config.study import ResolvedStudy
from study.records import Point, Role, ScalingRule, Source, TrialResult
from study.seeding import derive_seed

_PLACE = {role: place for place, role in enumerate(Role)}


def replicate_points(resolved: ResolvedStudy, results: Sequence[TrialResult]) -> list[Point]:
    """Return one point per missing re-run of the `top` fastest trials of a batch size.

    Once these are complete, `confirm` more and those that `until` granted are all of the best point
    (see `_survivor`). There are none if no trial reached the target. Numbers continue from recorded
    replicates; seeds follow from the re-run trial and a count, so that more replicates never change
    earlier ones. `results` are all recorded trials of the batch size, with their final outcomes.
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
    """Return the trial to re-run next, if any, and the number of its re-runs in all.

    Points with equally many re-runs are compared by their median; only the best stays, and is first
    re-run as often as the next one with more. So a point that the search proposed after the others
    were re-run is rejected after few re-runs, or gets as many as they have. The last one gets
    `seeds`.
    """
    steps = _steps_of_reruns(results)
    rerun = [r for r in results if (r.point.role, r.point.trial) in steps]
    trials = {(r.point.role, r.point.trial): r for r in sorted(rerun, key=_speed)}
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
    """Return a point for each of the first `seeds` re-runs of trials that is not recorded."""
    recorded = [r.point for r in results if r.point.role is Role.REPLICATE]
    points: list[Point] = []
    for best in trials:
        source = Source(best.batch_size, best.point.role, best.point.trial, ScalingRule.SAME)
        path = (resolved.seed, best.batch_size, "replicate", str(source.role), best.point.trial)
        done = sum(point.source == source for point in recorded)
        for count in range(done, seeds):
            points.append(
                Point(
                    trial=len(recorded) + len(points),
                    seed=derive_seed(*path, count),
                    values=best.point.values,
                    role=Role.REPLICATE,
                    source=source,
                )
            )
    return points


def confirmed(results: Sequence[TrialResult]) -> TrialResult | None:
    """Return the trial of a batch size with the best point; None if none reached the target.

    It has the lowest median steps over its replicates, with misses as slowest, over as many seeds
    as every point compared with it has. Without replicates, it is the fastest trial.
    """
    survivors, _ = _survivor(results, 0)
    return next(iter(survivors or fastest(results)), None)


def _steps_of_reruns(
    results: Sequence[TrialResult],
) -> Mapping[tuple[Role | None, int | None], list[float]]:
    """Return the steps of all re-runs of each trial, by number, infinite where missed."""
    steps = defaultdict(list)
    for result in sorted(results, key=lambda result: result.point.trial):
        source = result.point.source
        if source is not None and result.point.role is Role.REPLICATE:
            steps[source.role, source.trial].append(result.rank[0])
    return steps


def fresh_seeds(results: Sequence[TrialResult]) -> list[TrialResult]:
    """Return the re-runs of the best point at a batch size that reached the target, by number.

    The point is that of `confirmed`; in a recipe it is the one that its scaling rule gives.
    """
    best = confirmed(results)
    if best is None:
        return []

    def is_rerun(point: Point) -> bool:
        source = point.source
        if source is None or best.point.role is Role.RECIPE:
            return point.role is Role.RECIPE
        name = (source.role, source.trial)
        return point.role is Role.REPLICATE and name == (best.point.role, best.point.trial)

    reached = [r for r in results if is_rerun(r.point) and r.outcome.steps is not None]
    return sorted(reached, key=lambda result: result.point.trial)


def fastest(results: Sequence[TrialResult], count: int = 1) -> list[TrialResult]:
    """Return up to `count` trials of a batch size that reached the target, the fastest first.

    Replicates are left out. Ties go to the earlier role and the lower number.
    """
    searched = [r for r in results if r.point.role is not Role.REPLICATE]
    return sorted((r for r in searched if r.outcome.steps is not None), key=_speed)[:count]


def _speed(result: TrialResult) -> tuple[float, int, int]:
    return result.rank[0], _PLACE[result.point.role], result.point.trial
