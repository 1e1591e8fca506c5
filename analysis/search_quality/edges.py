"""Where the best trials of a search lie: inside its box, at one of its ends, or at a wall.

The functions take arrays of one exchangeable sample. They rank trials that reached the target by
steps, then the others by error, and take the best tenth. An end of the box is an `edge` if more of
these lie in the outer fifth of the range than chance would put there if the hyperparameter did not
matter. A `wall` is the same crowding next to a limit beyond which nearly every trial diverged.

Error rates in simulated searches of 32 to 96 trials (`tests/analysis`): if steps depend equally on
two hyperparameters, an optimum in the middle was called an edge in 0 % of cases, one at or beyond a
bound in at least 93 %. If they depend three times as much on one direction as on the other, at most
4 % in the middle, at least 54 % at the bound and 70 % beyond it: the optimum along a direction that
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
MIN_BEST = 3
"""The best tenth of the trials, but at least 5; of fewer than 30 trials a sixth, but at least 3."""
MARGIN = 0.2
CHANCE = 0.06
"""Crowding: as many of the best in the outer fifth as chance would put there in less than 6 % of
searches: 3 of 3 to 5, 4 of 6 to 8, 5 of 9 or 10. A tenth would miss an optimum at the bound, where
the best tenth of a two-dimensional box extends over a quarter of the range (half a disk of area 0.1
has radius 0.25)."""
WALL_SHARE = 0.9
MIN_BEYOND = 3
"""Beyond a wall lie at least 3 trials, of which at least 9 in 10 diverged."""

EFFECTIVE_LR = "effective_lr"


class EdgeVerdict(StrEnum):
    """What the best trials say about one end of a range, or about a complete box."""

    INTERIOR = "interior"
    """They lie away from it."""
    EDGE = "edge"
    """They crowd at it: the optimum may lie beyond; widen the range."""
    WALL = "wall"
    """They crowd where training begins to diverge: widening would not help."""
    UNKNOWN = "unknown"
    """Fewer than 3 trials can be ranked."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RangeEnd:
    """One end of a hyperparameter's range and the verdict on it."""

    # its name, or `effective_lr` for lr / (1 - momentum), which sets limits of stability; having no
    # range of its own, it is never an edge
    hyperparameter: str
    end: str  # low or high
    verdict: EdgeVerdict


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
        values: values by hyperparameter, at least those of the box, shape (trials,).
        box: the searched ranges by hyperparameter: low, high, scale.
        steps: steps to target, NaN if a trial missed it, shape (trials,).
        diverged: whether a trial diverged, shape (trials,).
        errors: lowest error of each trial, shape (trials,), which ranks those that missed: all
            raced, so they stopped after the same number of steps. Misses with NaN, or all with
            None, are not ranked.
        natural: each (hyperparameter, end) where its domain ends, which is never an edge.

    Returns:
        Two ends for each hyperparameter of the box, low then high; then the upper one of
        `effective_lr` if learning rate and momentum are both searched. If the best crowd both at a
        bound and at a wall, the end is a wall.
    """
    steps, diverged = np.asarray(steps, dtype=np.float64), np.asarray(diverged, dtype=bool)
    best = _best(steps, diverged, np.full(len(steps), np.nan) if errors is None else errors)
    ends = []
    for name, entry in box.items():
        along = positions(values[name], entry)
        for end, inward in (("low", along), ("high", 1 - along)):
            verdict = _wall_verdict(inward, best, diverged)
            if verdict is EdgeVerdict.INTERIOR and (name, end) not in natural:
                verdict = EdgeVerdict.EDGE if _crowded(inward[best] < MARGIN) else verdict
            ends.append(RangeEnd(hyperparameter=name, end=end, verdict=verdict))
    if {"lr", "momentum"} <= set(box):
        rates = np.asarray(values["lr"], float) / (1 - np.asarray(values["momentum"], float))
        verdict = _wall_verdict(-rates, best, diverged)
        ends.append(RangeEnd(hyperparameter=EFFECTIVE_LR, end="high", verdict=verdict))
    return tuple(ends)


def box_verdict(ends: Collection[RangeEnd]) -> EdgeVerdict:
    """Return the verdict on a complete box: edge before wall before interior.

    Only an edge calls for action, whatever the other ends are. A box without ends is interior.
    """
    order = (EdgeVerdict.UNKNOWN, EdgeVerdict.EDGE, EdgeVerdict.WALL)
    verdicts = {end.verdict for end in ends}
    return next((verdict for verdict in order if verdict in verdicts), EdgeVerdict.INTERIOR)


def _best(steps: Floats, diverged: Mask, errors: ArrayLike) -> NDArray[np.intp] | None:
    """Return the indices of the best tenth; None if too few trials can be ranked."""
    ranking_errors = np.where(diverged, np.nan, np.asarray(errors, dtype=np.float64))
    ranked = int((np.isfinite(steps) | np.isfinite(ranking_errors)).sum())
    if ranked < MIN_BEST:
        return None
    trials = len(steps)
    count = min(max(MIN_BEST, min(FEW_BEST, trials // 6), math.ceil(BEST_SHARE * trials)), ranked)
    # NaN sorts last: first those that reached by steps, then the others by error
    return np.lexsort((ranking_errors, steps))[:count]


def _crowded(near: Mask) -> bool:
    """Return whether more of the best lie near an end than chance explains."""
    return bool(bdtrc(near.sum() - 1.0, len(near), MARGIN) < CHANCE)


def _wall_verdict(inward: Floats, best: NDArray[np.intp] | None, diverged: Mask) -> EdgeVerdict:
    """Return whether the end towards which `inward` falls is a wall.

    Crowding is measured by ranks among the trials within the limit that did not diverge, not by
    positions, because effective learning rates are not sampled evenly.
    """
    if best is None:
        return EdgeVerdict.UNKNOWN
    outermost = np.argsort(inward, kind="stable")
    share = np.cumsum(diverged[outermost]) / np.arange(1, len(diverged) + 1)
    beyond = np.flatnonzero(diverged[outermost] & (share >= WALL_SHARE)) + 1
    if not len(beyond) or beyond[-1] < MIN_BEYOND:
        return EdgeVerdict.INTERIOR
    limit = inward[outermost[beyond[-1] - 1]]
    survivors = np.sort(inward[(inward > limit) & ~diverged])
    ranks = np.searchsorted(survivors, inward[best]) / max(len(survivors), 1)
    return EdgeVerdict.WALL if _crowded(ranks < MARGIN) else EdgeVerdict.INTERIOR
