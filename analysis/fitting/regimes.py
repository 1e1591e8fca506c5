"""The three regimes of Shallue et al. 2018 (arXiv:1811.03600), read from the averaged curve.

By the definitions of the edges (`analysis.fitting.edges`), the smallest batch size always scales
perfectly and the largest is always on the plateau, so one batch size shows nothing. A regime is
seen if at least two batch sizes lie in it and the interval of b_crit confirms it; it is absent if
the data exclude it. Otherwise it is not resolved.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from analysis.fitting.edges import MARGIN, OVERHEAD, at_or_above, at_or_below, edges_of
from analysis.fitting.estimates import Estimate, size_text
from analysis.fitting.fit import Fits
from analysis.fitting.models import Floats
from analysis.fitting.shapes import average_of

MIN_SEEN = 2
"""Measured batch sizes that a regime needs to be seen."""

_ALIKE = (-math.inf, math.inf)
"""Edges of a range so narrow that all of it is both perfect scaling and plateau."""


class Regime(StrEnum):
    """How steps to target change with batch size."""

    PERFECT = "perfect scaling"
    """Twice the batch size halves the steps."""
    DIMINISHING = "diminishing returns"
    """Steps fall, by less than the batch size grows."""
    PLATEAU = "plateau"
    """Steps no longer fall (maximal data parallelism)."""
    NOT_RESOLVED = "not resolved"
    """The data do not say which of the three it is."""


class Verdict(StrEnum):
    """What the data say about a regime within the measured range."""

    SEEN = "seen"
    NOT_RESOLVED = "not resolved"
    NONE = "none"


ORDER = (Regime.PERFECT, Regime.DIMINISHING, Regime.PLATEAU)
"""The regimes from small to large batch sizes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Span:
    """A regime and the batch sizes it covers within the measured range."""

    regime: Regime
    low: float
    high: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Regimes:
    """The regimes of a study.

    Attributes:
        batch_sizes: the measured batch sizes that reached the target, rising.
        by_points: the batch sizes in each regime of `ORDER` by its definition, noise aside; at a
            sharp knee, one may be in both perfect scaling and the plateau.
        verdicts: what the data say about each regime of `ORDER`.
        b_perfect: end of perfect scaling; None if it is not seen or does not end in the range.
        b_plateau: start of the plateau; None if it is not seen or does not start in the range.
    """

    batch_sizes: tuple[float, ...]
    by_points: Mapping[Regime, tuple[float, ...]]
    verdicts: Mapping[Regime, Verdict]
    b_perfect: float | None
    b_plateau: float | None
    _edges: tuple[float, float] = field(repr=False)

    def of(self, batch_size: float) -> Regime:
        """Return the regime of a batch size, measured or not."""
        place = _place(batch_size, self._edges)
        seen = self.verdicts.get(place) is Verdict.SEEN
        return place if seen else Regime.NOT_RESOLVED

    def spans(self) -> tuple[Span, ...]:
        """Return the regimes within the measured range, from small to large batch sizes."""
        first, last = self.batch_sizes[0], self.batch_sizes[-1]
        perfect_to, plateau_from = (min(max(edge, first), last) for edge in self._edges)
        ends = (first, perfect_to, plateau_from, last)
        spans: list[Span] = []
        for place, low, high in zip(ORDER, ends, ends[1:], strict=False):
            seen = self.verdicts[place] is Verdict.SEEN
            regime = place if seen else Regime.NOT_RESOLVED
            if low < high and spans and spans[-1].regime is regime:
                spans[-1] = replace(spans[-1], high=high)
            elif low < high:
                spans.append(Span(regime=regime, low=low, high=high))
        return tuple(spans)

    def record(self) -> dict[str, Any]:
        """Return the verdicts, what they rest on, and the regime of each batch size as data."""
        return {
            "verdicts": {str(regime): str(self.verdicts[regime]) for regime in ORDER},
            "of": {size_text(size): str(self.of(size)) for size in self.batch_sizes},
            "by_points": {str(regime): list(self.by_points[regime]) for regime in ORDER},
        }


def regimes_of(fits: Fits) -> Regimes:
    """Return the regimes of the averaged curve within the range of its points.

    The verdicts use the b_crit of every fit that is reported, so none contradicts the regimes.
    """
    average = average_of(fits)
    observed = average.points.without(average.points.missed)
    b_crits = [average.b_crit_estimate, *(fit.b_crit for fit in fits.shown)]
    perfect, plateau = edges_of(fits)
    return regimes_between(observed.batch_sizes, (perfect.value, plateau.value), b_crits)


def regimes_between(
    sizes: Floats, crossed: tuple[float, float], b_crits: Sequence[Estimate] = ()
) -> Regimes:
    """Return the regimes of batch sizes, given the edges of the two limits of a curve.

    Args:
        sizes: measured batch sizes, rising, shape (n,), n >= 2.
        crossed: the end of perfect scaling, and the start of the plateau.
        b_crits: critical batch sizes of fitted curves, whose intervals show what the noise leaves
            open; none for points without noise.
    """
    edges = _in_order(*crossed)
    members = _members(sizes.tolist(), crossed, edges)
    verdicts = _verdicts(sizes.tolist(), members, b_crits)
    b_perfect, b_plateau = crossed
    ends = verdicts[Regime.PERFECT] is Verdict.SEEN and math.isfinite(b_perfect)
    starts = verdicts[Regime.PLATEAU] is Verdict.SEEN and b_plateau > 0
    return Regimes(
        batch_sizes=tuple(sizes.tolist()),
        by_points=members,
        verdicts=verdicts,
        b_perfect=b_perfect if ends else None,
        b_plateau=b_plateau if starts else None,
        _edges=edges,
    )


def _in_order(perfect_to: float, plateau_from: float) -> tuple[float, float]:
    """Return the end of perfect scaling and the start of the plateau in this order.

    At a sharp knee the plateau starts before perfect scaling ends: both are put in the middle. If
    one regime covers the range, the other's definition holds trivially and is ignored.
    """
    if perfect_to == math.inf and plateau_from == 0:
        return _ALIKE
    if perfect_to == math.inf:
        return math.inf, math.inf
    if plateau_from == 0:
        return -math.inf, -math.inf
    if perfect_to > plateau_from:
        middle = math.sqrt(perfect_to * plateau_from)
        return middle, middle
    return perfect_to, plateau_from


def _place(batch_size: float, edges: tuple[float, float]) -> Regime:
    """Return the regime of a batch size by the points alone, given edges in order."""
    if edges == _ALIKE:
        return Regime.NOT_RESOLVED
    if at_or_below(batch_size, edges[0]):
        return Regime.PERFECT
    return Regime.PLATEAU if at_or_above(batch_size, edges[1]) else Regime.DIMINISHING


def _members(
    sizes: Sequence[float], crossed: tuple[float, float], edges: tuple[float, float]
) -> Mapping[Regime, tuple[float, ...]]:
    """Return the batch sizes in each regime; at a sharp knee, a batch size may be in two."""
    # if one regime covers the whole range, the other's definition holds trivially
    perfect_to, plateau_from = edges if math.isinf(edges[0]) else crossed
    perfect = tuple(size for size in sizes if edges == _ALIKE or at_or_below(size, perfect_to))
    plateau = tuple(size for size in sizes if edges == _ALIKE or at_or_above(size, plateau_from))
    between = tuple(size for size in sizes if size not in {*perfect, *plateau})
    return dict(zip(ORDER, (perfect, between, plateau), strict=True))


def _verdicts(
    sizes: Sequence[float], members: Mapping[Regime, tuple[float, ...]], b_crits: Sequence[Estimate]
) -> Mapping[Regime, Verdict]:
    """Return what the data say about each regime.

    The noise leaves perfect scaling open if b_crit has no lower bound, the plateau if it has no
    upper one, and diminishing returns if either is missing: the whole range may then be one regime.
    A regime is excluded only if every b_crit in the intervals excludes it, under the hyperbola.
    """
    if members[Regime.PERFECT] == members[Regime.PLATEAU]:  # the range is too narrow
        return dict.fromkeys(ORDER, Verdict.NOT_RESOLVED)
    first, last, count = sizes[0], sizes[-1], len(sizes)
    low = min((b_crit.low for b_crit in b_crits), default=math.inf)
    high = max((b_crit.high for b_crit in b_crits), default=0.0)
    confirmed = (low > 0, low > 0 and high < math.inf, high < math.inf)
    # diminishing returns run from OVERHEAD b_crit to b_crit / MARGIN
    all_perfect = len(members[Regime.PERFECT]) == count
    all_plateau = len(members[Regime.PLATEAU]) == count
    beyond, before = OVERHEAD * low > last, high / MARGIN < first
    excluded = (
        all_plateau and OVERHEAD * high < first,
        (all_perfect and beyond) or (all_plateau and before),
        all_perfect and low / MARGIN > last,
    )
    verdicts = {}
    for regime, is_confirmed, is_excluded in zip(ORDER, confirmed, excluded, strict=True):
        seen = is_confirmed and len(members[regime]) >= MIN_SEEN
        present = Verdict.SEEN if seen else Verdict.NOT_RESOLVED
        verdicts[regime] = Verdict.NONE if is_excluded else present
    return verdicts
