"""Warm starts: the best points of neighboring batch sizes, scaled by the usual rules.

If a study warm-starts or prunes, batch sizes start from the middle outward, each after the first
cohort of its inner neighbor. So what they take from each other does not depend on the number of
workers.
"""

from collections.abc import Sequence
from itertools import product

from analysis.tables.schema import EXPONENTS
from study.config.study import ResolvedStudy
from study.records import Point, Role, ScalingRule, Source, TrialResult
from study.search.recipes import SCALINGS
from study.search.replicates import fastest
from study.seeding import seeded_point


def inner_neighbor(batch_sizes: Sequence[int], batch_size: int) -> int | None:
    """Return the neighbor of a batch size toward the middle, whose first cohort it waits for.

    The batch sizes rise; the middle one has no such neighbor.

    >>> [inner_neighbor((2, 4, 8, 16), size) for size in (2, 4, 8, 16)]
    [4, 8, None, 8]
    """
    middle, at = len(batch_sizes) // 2, batch_sizes.index(batch_size)
    if at == middle:
        return None
    return batch_sizes[at - 1 if at > middle else at + 1]


def warm_points(
    resolved: ResolvedStudy, batch_size: int, neighbors: Sequence[Sequence[TrialResult]]
) -> list[Point]:
    """Return the fastest point of each neighbor that reached the target, by each scaling rule.

    `neighbors` are the results of the first cohort at each neighboring batch size.
    """
    leaders = [best for results in neighbors for best in fastest(results)]
    points: list[Point] = []
    for best, name in product(leaders, EXPONENTS):
        rule = ScalingRule(name)
        source = Source(best.batch_size, best.point.role, best.point.trial, rule)
        scaled = SCALINGS[rule].scaled(best.point.values, batch_size / best.batch_size)
        values = resolved.complete(scaled, batch_size)
        number = len(points)
        points.append(seeded_point(resolved.seed, batch_size, number, Role.WARM, values, source))
    return points
