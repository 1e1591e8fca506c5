"""Extension of a search's box where its best points crowd at an edge.

The added region is searched as densely as the box was. Together, the points are an even sample of
the widened box.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from analysis.search_quality.edges import EdgeVerdict, RangeEnd, edge_verdicts
from study.config.space import Hyperparameter, Range
from study.config.study import ResolvedStudy
from study.optimizers.hyperparameters import of_optimizer, of_schedule, of_workload, open_domain
from study.records import Floats, Region, Status, TrialResult
from workloads.command import PROGRAM
from workloads.registry import resolve as resolve_workload

WIDENING = 0.25
"""Share of a range, on its scale, by which one extension widens it."""


def next_region(
    resolved: ResolvedStudy, ranges: Mapping[str, Range], results: Sequence[TrialResult]
) -> Region | None:
    """Return the region to search next, beyond the first side at which the best points crowd.

    None if the best points lie inside, if everything beyond diverges, or if the domain of the
    hyperparameter ends there. `ranges` is the box with its extensions; `results` are all trials in
    it, with their final outcomes.
    """
    done = [result.region for result in results if result.region is not None]
    for side in _sides(ranges, results):
        if side.verdict is not EdgeVerdict.EDGE or side.hyperparameter not in ranges:
            continue
        strip = _strip(resolved, ranges[side.hyperparameter], side)
        if strip is None:
            continue
        low, high, share = strip
        box = {name: (entry.low, entry.high) for name, entry in ranges.items()}
        return Region(
            number=len({region.number for region in done}) + 1,
            box=box | {side.hyperparameter: (low, high)},
            first=max((region.first + region.trials for region in done), default=0),
            trials=math.ceil(resolved.search.trials * share),
        )
    return None


def _sides(ranges: Mapping[str, Range], results: Sequence[TrialResult]) -> Sequence[RangeEnd]:
    columns = {name: np.array([r.point.values[name] for r in results]) for name in ranges}
    outcomes = [result.outcome for result in results]
    return edge_verdicts(
        columns,
        {name: entry.model_dump(mode="json") for name, entry in ranges.items()},
        _numbers([outcome.steps for outcome in outcomes]),
        np.array([outcome.status is Status.DIVERGED for outcome in outcomes]),
        errors=_numbers([outcome.best_error for outcome in outcomes]),
    )


def _numbers(values: Sequence[float | None]) -> Floats:
    return np.array([math.nan if value is None else value for value in values])


def _strip(
    resolved: ResolvedStudy, now: Range, side: RangeEnd
) -> tuple[float, float, float] | None:
    """Return low, high and width (as a share of the study's range) of the strip to add."""
    first = resolved.ranges[side.hyperparameter]
    rising = side.end == "high"
    start = first.position(now.high if rising else now.low)
    end = start + (WIDENING if rising else -WIDENING)
    domain = _domain(resolved, side.hyperparameter)
    if not domain.allows(first.beyond(end)):
        end = _last_allowed(first, domain, start, end)
    if abs(end - start) < WIDENING / 100:
        return None
    low, high = sorted((first.beyond(start), first.beyond(end)))
    return low, high, abs(end - start)


def _domain(resolved: ResolvedStudy, name: str) -> Hyperparameter:
    if resolved.compute.mode == PROGRAM:
        return open_domain(resolved.search.space[name])
    known = of_optimizer(resolved.optimizer).known | of_schedule(resolved.schedule.name).known
    if name not in known:
        known = of_workload(resolve_workload(resolved.workload, resolved.workload_options)).known
    return known[name]


def _last_allowed(entry: Range, domain: Hyperparameter, inside: float, outside: float) -> float:
    """Return the allowed position closest to `outside`, by bisection."""
    for _ in range(60):
        middle = (inside + outside) / 2
        if domain.allows(entry.beyond(middle)):
            inside = middle
        else:
            outside = middle
    return inside
