"""Re-runs of the best points with fresh seeds, once a search has ended.

The fewest steps over many trials flatter: luck is in the minimum. Replicates say what the same
points need on other initialisations and data orders.
"""

import math
import statistics
from collections.abc import Sequence

from study.config.study import ResolvedStudy
from study.records import Point, Role, ScalingRule, Source, TrialResult
from study.seeding import derive_seed


def replicate_points(
    resolved: ResolvedStudy, batch_size: int, results: Sequence[TrialResult]
) -> list[Point]:
    """Gives the re-runs that are still to do.

    Args:
        resolved: the study.
        batch_size: the batch size.
        results: its recorded trials, all searches and the replicates so far, judged together.

    Returns:
        One point per missing re-run of the `top` fastest trials; none where none reached the
        target. Numbers go on from the recorded replicates; the seeds follow from the re-run
        trial and its count, so that more of them never change those there are.
    """
    there = [r.point for r in results if r.point.role is Role.REPLICATE]
    points: list[Point] = []
    for best in fastest(results, resolved.replicates.top):
        source = Source(batch_size, best.point.role, best.point.trial, ScalingRule.SAME)
        done = sum(point.source == source for point in there)
        for count in range(done, resolved.replicates.seeds):
            points.append(
                Point(
                    trial=len(there) + len(points),
                    seed=_seed(resolved, best, count),
                    values=best.point.values,
                    role=Role.REPLICATE,
                    source=source,
                )
            )
    return points


def confirmed(results: Sequence[TrialResult]) -> TrialResult | None:
    """Gives the trial of a batch size whose point its replicates confirm as the best.

    Args:
        results: the recorded trials of the batch size, judged together.

    Returns:
        Of the points with replicates the one of least median steps, misses counting as slower than
        all; without replicates the fastest trial; None where none reached the target.
    """
    steps: dict[tuple[Role | None, int | None], list[float]] = {}
    for result in results:
        source, found = result.point.source, result.outcome.steps
        if result.point.role is Role.REPLICATE and source is not None:
            again = steps.setdefault((source.role, source.trial), [])
            again.append(math.inf if found is None else found)
    top = fastest(results, len(results))
    run_again = [trial for trial in top if (trial.point.role, trial.point.trial) in steps]
    return min(
        run_again or top,
        key=lambda t: statistics.median(steps.get((t.point.role, t.point.trial), [0.0])),
        default=None,
    )


def fastest(results: Sequence[TrialResult], count: int = 1) -> list[TrialResult]:
    """Gives the trials of a search that took the fewest steps to the target.

    Args:
        results: trials of one batch size, judged together.
        count: how many, >= 1.

    Returns:
        At most so many that reached, the fastest first; of equal ones that of the earlier role
        and number.
    """
    roles = list(Role)
    searched = [r for r in results if r.point.role is not Role.REPLICATE]
    reached = [r for r in searched if r.outcome.steps is not None]
    ranked = sorted(
        reached, key=lambda r: (r.outcome.steps or 0, roles.index(r.point.role), r.point.trial)
    )
    return ranked[:count]


def _seed(resolved: ResolvedStudy, best: TrialResult, count: int) -> int:
    role, trial = str(best.point.role), best.point.trial
    return derive_seed(resolved.seed, best.batch_size, "replicate", role, trial, count)
