"""Where the best trials of a search lie: inside its box, at one of its ends, or at a wall.

Pure numpy on one even sample. The best tenth of the trials is looked at: those that reached the
target by their steps, then, where they are too few, the others by their error. An end of the box is
an `edge` where more of them lie in the fifth of the range next to it than chance would put there if
the hyperparameter did not matter. A `wall` is the same crowd before the point from which on nearly
every trial diverged.

On made searches of 32 to 96 trials whose steps depend on two hyperparameters alike, an optimum in
the middle was called an edge in 0 % of cases, one at or beyond a bound in 93 % and more. Where they
depend three times as much on one direction, any, as across it, it was 4 % at most in the middle,
54 % and more at the bound and 70 % and more beyond it: what matters little is hard to see. A
hyperparameter that does not matter at all was called one in 3 % at most (`tests/analysis`).
"""

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import binom

BEST_SHARE = 0.1
FEW_BEST = 5
LEAST_BEST = 3
"""The best tenth of the trials, at least 5 (of fewer than 30 trials a sixth, at least 3)."""
MARGIN = 0.2
CHANCE = 0.06
"""A crowd: so many of the best in an outer fifth that indifference would put them there in less
than 6 % of searches: 3 of 3 to 5, 4 of 6 to 8, 5 of 9 and 10. A tenth as margin would miss an
optimum at the bound: around it, the best tenth of a two-dimensional box spreads a quarter of the
range inwards (half a disc of area 0.1 has radius 0.25)."""
WALL_SHARE = 0.9
LEAST_BEYOND = 3
"""Beyond a wall lie at least 3 trials, 9 of 10 of which diverged."""

EFFECTIVE_LR = "effective_lr"

Flags = NDArray[np.bool_]
Floats = NDArray[np.float64]


class EdgeVerdict(StrEnum):
    """What the best trials say about one end of a range, or about a whole box."""

    INTERIOR = "interior"
    """They lie clear of it."""
    EDGE = "edge"
    """They crowd at it: the optimum may lie beyond; widen the range."""
    WALL = "wall"
    """They crowd where training begins to diverge: widening is useless."""
    UNKNOWN = "unknown"
    """Fewer than 3 trials can be ranked."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Side:
    """One end of one hyperparameter's range.

    Attributes:
        hyperparameter: its name; `effective_lr` for lr / (1 - momentum), along which limits of
            stability run, and which has no range of its own: it is a wall, interior or unknown.
        end: low or high.
        verdict: what was found there.
    """

    hyperparameter: str
    end: str
    verdict: EdgeVerdict


_LINE: Mapping[str, Callable[[Floats], Floats]] = {
    "linear": lambda values: values,
    "log": lambda values: np.log(values),
    "reverse-log": lambda values: -np.log1p(-values),
}
"""By scale: what is sampled evenly, rising with the value."""


def positions(values: ArrayLike, entry: Mapping[str, Any]) -> Floats:
    """Gives where values lie in a range, on the scale on which it is sampled evenly.

    Args:
        values: values of a hyperparameter, shape (trials,).
        entry: the range: low, high, scale (linear, log, reverse-log).

    Returns:
        Positions from 0 (low) to 1 (high), shape (trials,).

    >>> positions([1e-4, 1e-2, 1.0], {"low": 1e-4, "high": 1.0, "scale": "log"}).tolist()
    [0.0, 0.5, 1.0]
    """
    line = _LINE[entry["scale"]]
    ends = line(np.array([entry["low"], entry["high"]], dtype=np.float64))
    along: Floats = (line(np.asarray(values, dtype=np.float64)) - ends[0]) / (ends[1] - ends[0])
    return along


def edge_verdicts(
    values: Mapping[str, ArrayLike],
    box: Mapping[str, Mapping[str, Any]],
    steps: ArrayLike,
    diverged: ArrayLike,
    errors: ArrayLike | None = None,
    natural: Collection[tuple[str, str]] = (),
) -> tuple[Side, ...]:
    """Judges every end of a box by the trials of its even sample.

    Args:
        values: by hyperparameter, at least those of the box, shape (trials,).
        box: the searched ranges by hyperparameter: low, high, scale.
        steps: steps to target, not-a-number where a trial missed it, shape (trials,).
        diverged: whether a trial diverged, shape (trials,).
        errors: least error of each trial, shape (trials,), which ranks those that missed: all
            raced, so they stopped after the same number of steps, and the lesser error was nearer.
            Not-a-number, or None for all: a miss has no rank.
        natural: (hyperparameter, end) where the hyperparameter itself ends, so that nothing lies
            beyond: never an edge.

    Returns:
        Two sides for each hyperparameter of the box, low then high; then the upper one of
        `effective_lr` where learning rate and momentum are both searched. An end where the best
        crowd both at the bound and before a wall is a wall.
    """
    steps, broke = np.asarray(steps, dtype=np.float64), np.asarray(diverged, dtype=bool)
    best = _best(steps, broke, np.full(len(steps), np.nan) if errors is None else errors)
    sides = []
    for name, entry in box.items():
        along = positions(values[name], entry)
        for end, inwards in (("low", along), ("high", 1 - along)):
            if best is None:
                verdict = EdgeVerdict.UNKNOWN
            elif _is_wall(inwards, best, broke):
                verdict = EdgeVerdict.WALL
            elif (name, end) not in natural and _crowded(inwards[best] < MARGIN):
                verdict = EdgeVerdict.EDGE
            else:
                verdict = EdgeVerdict.INTERIOR
            sides.append(Side(hyperparameter=name, end=end, verdict=verdict))
    if {"lr", "momentum"} <= set(box):
        rates = np.asarray(values["lr"], float) / (1 - np.asarray(values["momentum"], float))
        found = EdgeVerdict.UNKNOWN if best is None else EdgeVerdict.INTERIOR
        if best is not None and _is_wall(-rates, best, broke):
            found = EdgeVerdict.WALL
        sides.append(Side(hyperparameter=EFFECTIVE_LR, end="high", verdict=found))
    return tuple(sides)


def overall(sides: Collection[Side]) -> EdgeVerdict:
    """Gives the verdict on a whole box: edge before wall before interior.

    Only an edge asks for anything to be done, and it does whatever lies on the other sides.

    Args:
        sides: what `edge_verdicts` gives.

    Returns:
        The verdict; interior where nothing was searched.
    """
    order = (EdgeVerdict.UNKNOWN, EdgeVerdict.EDGE, EdgeVerdict.WALL)
    found = {side.verdict for side in sides}
    return next((verdict for verdict in order if verdict in found), EdgeVerdict.INTERIOR)


def _best(steps: Floats, broke: Flags, errors: ArrayLike) -> NDArray[np.intp] | None:
    """Gives the places of the best tenth; None where too few trials can be ranked."""
    left = np.where(broke, np.nan, np.asarray(errors, dtype=np.float64))
    ranked = int((np.isfinite(steps) | np.isfinite(left)).sum())
    if ranked < LEAST_BEST:
        return None
    trials = len(steps)
    count = min(max(LEAST_BEST, min(FEW_BEST, trials // 6), math.ceil(BEST_SHARE * trials)), ranked)
    # not-a-number is sorted last: whoever reached by steps, then the others by error
    return np.lexsort((left, steps))[:count]


def _crowded(near: Flags) -> bool:
    """Tells whether more of the best lie near an end than chance explains."""
    return bool(binom.sf(near.sum() - 1, len(near), MARGIN) < CHANCE)


def _is_wall(inwards: Floats, best: NDArray[np.intp], broke: Flags) -> bool:
    """Tells whether the best crowd before the place from which on trials diverge.

    Ranks among the trials on this side of the limit that did not diverge take the place of
    positions, for effective learning rates are not sampled evenly.

    Args:
        inwards: any measure that falls towards the end in question, shape (trials,).
        best: places of the best trials.
        broke: whether a trial diverged, shape (trials,).

    Returns:
        Whether there is a wall.
    """
    outermost = np.argsort(inwards, kind="stable")
    share = np.cumsum(broke[outermost]) / np.arange(1, len(broke) + 1)
    beyond = np.flatnonzero(broke[outermost] & (share >= WALL_SHARE)) + 1
    if not len(beyond) or beyond[-1] < LEAST_BEYOND:
        return False
    limit = inwards[outermost[beyond[-1] - 1]]
    survivors = np.sort(inwards[(inwards > limit) & ~broke])
    ranks = np.searchsorted(survivors, inwards[best]) / max(len(survivors), 1)
    return _crowded(ranks < MARGIN)
