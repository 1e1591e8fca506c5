"""Where the best trials of a search lie: inside its box, at one of its ends, or at a wall.

Works on arrays of one exchangeable sample of trials. It takes the best tenth of the trials: those
that reached the target by their steps, then, if they are too few, the others by their error. An end
of the box is an `edge` if more of them lie in the fifth of the range next to it than chance would
put there if the hyperparameter did not matter. A `wall` is the same crowding before the point from
which on nearly every trial diverged.

Error rates in simulated searches of 32 to 96 trials (`tests/analysis`): if steps depend on two
hyperparameters alike, an optimum in the middle was called an edge in 0 % of cases, one at or beyond
a bound in 93 % or more. If they depend three times as much on one direction as across it, 4 % at
most in the middle, 54 % or more at the bound and 70 % or more beyond it: the optimum of what
matters little is hard to see. A hyperparameter that does not matter was called an edge in at most
3 %.
"""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import bdtrc

from analysis.fitting.models import Floats, Mask
from analysis.tables.scales import positions

BEST_SHARE = 0.1
FEW_BEST = 5
LEAST_BEST = 3
"""The best tenth of the trials, at least 5 (of fewer than 30 trials a sixth, at least 3)."""
MARGIN = 0.2
CHANCE = 0.06
"""Crowding: so many of the best in an outer fifth that indifference would put them there in less
than 6 % of searches: 3 of 3 to 5, 4 of 6 to 8, 5 of 9 and 10. A margin of a tenth would miss an
optimum at the bound: around it, the best tenth of a two-dimensional box spreads over a quarter of
the range inward (half a disk of area 0.1 has radius 0.25)."""
WALL_SHARE = 0.9
LEAST_BEYOND = 3
"""At least 3 trials lie beyond a wall, and 9 of 10 of them diverged."""

EFFECTIVE_LR = "effective_lr"


class EdgeVerdict(StrEnum):
    """What the best trials say about one end of a range, or about a complete box."""

    INTERIOR = "interior"
    """They lie away from it."""
    EDGE = "edge"
    """They crowd at it: the optimum may lie beyond; widen the range."""
    WALL = "wall"
    """They crowd where training begins to diverge: widening is useless."""
    UNKNOWN = "unknown"
    """Fewer than 3 trials can be ranked."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RangeEnd:
    """One end of a hyperparameter's range and the verdict on it."""

    # its name; `effective_lr` for lr / (1 - momentum), along which stability limits run, and which
    # has no range of its own: it is never an edge
    hyperparameter: str
    end: str  # low or high
    verdict: EdgeVerdict  # what was found there


def edge_verdicts(
    values: Mapping[str, ArrayLike],
    box: Mapping[str, Mapping[str, Any]],
    steps: ArrayLike,
    diverged: ArrayLike,
    errors: ArrayLike | None = None,
    natural: Collection[tuple[str, str]] = (),
) -> tuple[RangeEnd, ...]:
    """Return a verdict on every end of a box.

    Args:
        values: by hyperparameter, at least those of the box, shape (trials,).
        box: the searched ranges by hyperparameter: low, high, scale.
        steps: steps to target, NaN if a trial missed it, shape (trials,).
        diverged: whether a trial diverged, shape (trials,).
        errors: least error of each trial, shape (trials,), which ranks those that missed: all
            raced, so they stopped after the same number of steps, and a lower error was closer.
            A miss with NaN, or None for all, has no rank.
        natural: (hyperparameter, end) at which the hyperparameter's domain ends, so that nothing
            lies beyond: never an edge.

    Returns:
        Two ends for each hyperparameter of the box, low then high; then the upper one of
        `effective_lr` if learning rate and momentum are both searched. An end is a wall if the best
        crowd both at the bound and before a wall.
    """
    steps, broke = np.asarray(steps, dtype=np.float64), np.asarray(diverged, dtype=bool)
    best = _best(steps, broke, np.full(len(steps), np.nan) if errors is None else errors)
    ends = []
    for name, entry in box.items():
        along = positions(values[name], entry)
        for end, inward in (("low", along), ("high", 1 - along)):
            verdict = _verdict(inward, best, broke)
            if verdict is EdgeVerdict.INTERIOR and (name, end) not in natural:
                verdict = EdgeVerdict.EDGE if _crowded(inward[best] < MARGIN) else verdict
            ends.append(RangeEnd(hyperparameter=name, end=end, verdict=verdict))
    if {"lr", "momentum"} <= set(box):
        rates = np.asarray(values["lr"], float) / (1 - np.asarray(values["momentum"], float))
        verdict = _verdict(-rates, best, broke)
        ends.append(RangeEnd(hyperparameter=EFFECTIVE_LR, end="high", verdict=verdict))
    return tuple(ends)


def box_verdict(ends: Collection[RangeEnd]) -> EdgeVerdict:
    """Return the verdict on a complete box: edge before wall before interior.

    Only an edge asks for action, and it does whatever the verdicts on other ends are. Interior if
    nothing was searched.
    """
    order = (EdgeVerdict.UNKNOWN, EdgeVerdict.EDGE, EdgeVerdict.WALL)
    found = {end.verdict for end in ends}
    return next((verdict for verdict in order if verdict in found), EdgeVerdict.INTERIOR)


def _best(steps: Floats, broke: Mask, errors: ArrayLike) -> NDArray[np.intp] | None:
    """Return the indices of the best tenth; None if too few trials can be ranked."""
    ranking_errors = np.where(broke, np.nan, np.asarray(errors, dtype=np.float64))
    ranked = int((np.isfinite(steps) | np.isfinite(ranking_errors)).sum())
    if ranked < LEAST_BEST:
        return None
    trials = len(steps)
    count = min(max(LEAST_BEST, min(FEW_BEST, trials // 6), math.ceil(BEST_SHARE * trials)), ranked)
    # NaN is sorted last: first those that reached by steps, then the others by error
    return np.lexsort((ranking_errors, steps))[:count]


def _crowded(near: Mask) -> bool:
    """Return whether more of the best lie near an end than chance explains."""
    return bool(bdtrc(near.sum() - 1.0, len(near), MARGIN) < CHANCE)


def _verdict(inward: Floats, best: NDArray[np.intp] | None, broke: Mask) -> EdgeVerdict:
    """Return whether an end, to which `inward` falls, is a wall; it may be an edge besides.

    The best crowd at a wall in terms of ranks among the trials on this side of the limit that did
    not diverge, not of positions, as effective learning rates are not sampled evenly.
    """
    if best is None:
        return EdgeVerdict.UNKNOWN
    outermost = np.argsort(inward, kind="stable")
    share = np.cumsum(broke[outermost]) / np.arange(1, len(broke) + 1)
    beyond = np.flatnonzero(broke[outermost] & (share >= WALL_SHARE)) + 1
    if not len(beyond) or beyond[-1] < LEAST_BEYOND:
        return EdgeVerdict.INTERIOR
    limit = inward[outermost[beyond[-1] - 1]]
    survivors = np.sort(inward[(inward > limit) & ~broke])
    ranks = np.searchsorted(survivors, inward[best]) / max(len(survivors), 1)
    return EdgeVerdict.WALL if _crowded(ranks < MARGIN) else EdgeVerdict.INTERIOR
