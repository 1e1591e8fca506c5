"""First candidates from the neighbouring batch sizes: their best points, scaled by the usual rules.

Batch sizes start from the middle outwards, each after the first cohort of its inner neighbour, so
that what a batch size starts from follows from the study alone.
"""

from collections.abc import Sequence

from analysis.measures.scaling_rules import EXPONENTS
from study.config.study import ResolvedStudy
from study.records import Point, Role, ScalingRule, Source, TrialResult
from study.search.recipes import SCALINGS
from study.search.replicates import fastest
from study.seeding import trial_seed


def inner_neighbour(batch_sizes: Sequence[int], batch_size: int) -> int | None:
    """Gives the neighbour toward the middle, whose first cohort a batch size waits for.

    Args:
        batch_sizes: all of the study, rising.
        batch_size: one of them.

    Returns:
        The neighbour; None for the middle one.

    >>> [inner_neighbour((2, 4, 8, 16), size) for size in (2, 4, 8, 16)]
    [4, 8, None, 8]
    """
    middle, at = len(batch_sizes) // 2, batch_sizes.index(batch_size)
    if at == middle:
        return None
    return batch_sizes[at - 1 if at > middle else at + 1]


def warm_points(
    resolved: ResolvedStudy, batch_size: int, neighbours: Sequence[Sequence[TrialResult]]
) -> list[Point]:
    """Gives the first candidates of a batch size.

    Args:
        resolved: the study.
        batch_size: where they will run.
        neighbours: the first cohort of each neighbouring batch size that has one.

    Returns:
        For each neighbour that reached the target, its fastest point by each rule.
    """
    leaders = [best for results in neighbours for best in fastest(results)]
    scaled = [(best, ScalingRule(name)) for best in leaders for name in EXPONENTS]
    return [
        Point(
            trial=number,
            seed=trial_seed(resolved.seed, batch_size, number, Role.WARM),
            values=SCALINGS[rule].scaled(best.point.values, batch_size / best.batch_size),
            role=Role.WARM,
            source=Source(best.batch_size, best.point.role, best.point.trial, rule),
        )
        for number, (best, rule) in enumerate(scaled)
    ]
