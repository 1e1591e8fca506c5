"""Rungs: which lanes of a cohort stay at one, and when a lane has plainly diverged."""

import math
from collections.abc import Collection, Sequence

from study.engine.outcomes import has_diverged

PLAINLY = 10.0
"""Times its initial value that the loss of a lane is which has plainly diverged. Of 816 recorded
trials that reached their target, none with so high an error was ever above 5 times."""
Standing = tuple[float, float, int]
"""Of a lane at a rung: its least error so far, its last loss, its number; the least is best."""


def staying(standings: Collection[Standing], lanes: int, rung: int, done: int) -> set[int]:
    """Return the lanes that stay at a rung: with those that are done, the best 1 / 2^rung of all.

    The best have the least error so far: then a lane dropped at a later rung never ends with a
    greater one, and least errors rank all trials that missed the target.

    Args:
        standings: of the lanes that are neither dropped nor done.
        lanes: number of all lanes, of which some are dropped.
        rung: counted from 1.
        done: number of lanes at the target.
    """
    room = max(0, math.ceil(lanes / 2**rung) - done)
    return {lane for *_, lane in sorted(standings)[:room]}


def plainly_diverged(first: Sequence[float], last: Sequence[float], target: float) -> bool:
    """Return whether a lane has, by its measurements at step 0 and now, as `CURVE_FIELDS` are."""
    began, now = first[2:4], last[2:4]
    return began[0] > 0 and bool(has_diverged(began, now, target, PLAINLY))
