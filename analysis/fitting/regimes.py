"""The three regimes of Shallue et al. 2018 (arXiv:1811.03600), read from the points.

No model is assumed. Examples and steps to target are first made monotonic by isotonic regression of
their logarithms, rising and falling with batch size, as in tuned training. So no single noisy point
decides, and "better than perfect scaling" at the smallest batch sizes does no harm. Perfect scaling
ends where examples exceed those of the smallest batch size by `OVERHEAD`; the plateau starts where
steps come within `MARGIN` of those of the largest. Both depend on the measured range.
"""

import math
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import isotonic_regression

from analysis.errors import AnalysisError
from analysis.fitting.estimates import rounded
from analysis.fitting.models import Floats

OVERHEAD = 0.2
"""Share of additional examples up to which scaling counts as perfect (Zhang et al. 2024)."""
MARGIN = 0.1
"""Share of additional steps up to which a batch size is on the plateau."""
LEAST_SEEN = 2
"""Measured batch sizes that a regime needs."""

# batch sizes are rounded on the way through their logarithm
_TOLERANCE = 1e-9


class Regime(StrEnum):
    """How steps to target change with batch size."""

    PERFECT = "perfect scaling"
    """Twice the batch size halves the steps."""
    DIMINISHING = "diminishing returns"
    """Steps fall, by less than the batch size grows."""
    PLATEAU = "plateau"
    """Steps no longer fall (maximal data parallelism)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Span:
    """A regime and the batch sizes it covers within the measured range."""

    regime: Regime
    low: float
    high: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Regimes:
    """The regimes of a study; one is seen if at least two measured batch sizes lie in it.

    Attributes:
        batch_sizes: the measured batch sizes that reached the target, rising.
        perfect_seen: whether perfect scaling is seen.
        plateau_seen: whether the plateau is seen.
        b_perfect: end of perfect scaling; None if it is not seen or does not end in the range.
        b_plateau: start of the plateau; None if it is not seen or does not start in the range.
    """

    batch_sizes: tuple[float, ...]
    perfect_seen: bool
    plateau_seen: bool
    b_perfect: float | None
    b_plateau: float | None

    def of(self, batch_size: float) -> Regime:
        """Return the regime of a batch size, measured or not."""
        perfect_to, plateau_from = self._edges()
        if batch_size <= perfect_to * (1 + _TOLERANCE):
            return Regime.PERFECT
        if batch_size >= plateau_from * (1 - _TOLERANCE):
            return Regime.PLATEAU
        return Regime.DIMINISHING

    def spans(self) -> tuple[Span, ...]:
        """Return the regimes within the measured range, from small to large batch sizes."""
        first, last = self.batch_sizes[0], self.batch_sizes[-1]
        perfect_to, plateau_from = (min(max(edge, first), last) for edge in self._edges())
        ends = (first, perfect_to, plateau_from, last)
        spans = zip(Regime, ends, ends[1:], strict=False)
        return tuple(Span(regime=r, low=low, high=high) for r, low, high in spans if low < high)

    def sentences(self) -> tuple[str, ...]:
        """Return one sentence per regime: where it lies, or what is not seen."""
        return (self._perfect_text(), self._diminishing_text(), self._plateau_text())

    def _edges(self) -> tuple[float, float]:
        """Return the end of perfect scaling and the start of the plateau in this order."""
        if self.perfect_seen and self.b_perfect is None:
            return math.inf, math.inf
        if self.plateau_seen and self.b_plateau is None:
            return -math.inf, -math.inf
        perfect_to = -math.inf if self.b_perfect is None else self.b_perfect
        plateau_from = math.inf if self.b_plateau is None else self.b_plateau
        if perfect_to > plateau_from:
            # a knee so sharp that both definitions hold in between: split it in the middle
            perfect_to = plateau_from = math.sqrt(perfect_to * plateau_from)
        return perfect_to, plateau_from

    def _perfect_text(self) -> str:
        first, last = self.batch_sizes[0], self.batch_sizes[-1]
        if self.b_perfect is not None:
            return f"Perfect scaling up to b_perfect = {rounded(self.b_perfect)}."
        if self.perfect_seen:
            return (
                f"Perfect scaling over the whole measured range, B = {first:g} to {last:g}: "
                "its end b_perfect is not seen."
            )
        return (
            "No perfect scaling within the measured range: examples to target already rise at "
            f"B = {first:g}."
        )

    def _diminishing_text(self) -> str:
        between = [size for size in self.batch_sizes if self.of(size) is Regime.DIMINISHING]
        if len(between) >= LEAST_SEEN:
            return f"Diminishing returns from B = {between[0]:g} to {between[-1]:g}."
        count = {0: "no measured batch size lies", 1: "one measured batch size lies"}[len(between)]
        return f"Diminishing returns are not resolved: {count} in them."

    def _plateau_text(self) -> str:
        first, last = self.batch_sizes[0], self.batch_sizes[-1]
        if self.b_plateau is not None:
            return f"Plateau from b_plateau = {rounded(self.b_plateau)} on."
        if self.plateau_seen:
            return (
                f"Plateau over the whole measured range, B = {first:g} to {last:g}: "
                "its start b_plateau is not seen."
            )
        return f"No plateau within the measured range: steps still fall at B = {last:g}."


def find_regimes(batch_sizes: ArrayLike, steps: ArrayLike) -> Regimes:
    """Return the regimes of a curve of steps to target.

    Args:
        batch_sizes: examples per step, > 0, rising, shape (n,), n >= 2.
        steps: steps to target, > 0, shape (n,).

    Raises:
        AnalysisError: there are fewer than two batch sizes, or they do not rise.
    """
    sizes = np.asarray(batch_sizes, dtype=np.float64)
    if sizes.size < LEAST_SEEN or not (np.diff(sizes) > 0).all():
        raise AnalysisError(
            f"regimes need two or more batch sizes in rising order, got {sizes.tolist()}; sort them"
        )
    perfect_to, plateau_from = crossings(np.log(sizes), np.log(np.asarray(steps, dtype=np.float64)))
    perfect_seen = perfect_to >= sizes[LEAST_SEEN - 1] * (1 - _TOLERANCE)
    plateau_seen = plateau_from <= sizes[-LEAST_SEEN] * (1 + _TOLERANCE)
    return Regimes(
        batch_sizes=tuple(sizes.tolist()),
        perfect_seen=perfect_seen,
        plateau_seen=plateau_seen,
        b_perfect=perfect_to if perfect_seen and math.isfinite(perfect_to) else None,
        b_plateau=plateau_from if plateau_seen and plateau_from > 0 else None,
    )


def crossings(log_sizes: Floats, log_steps: Floats) -> tuple[float, float]:
    """Return the end of perfect scaling and the start of the plateau.

    Args:
        log_sizes: log batch sizes, rising, shape (n,), n >= 2.
        log_steps: log steps to target, shape (n,).

    Returns:
        Batch sizes within the measured range; infinite if perfect scaling does not end, 0 if all
        steps are on the plateau.
    """
    # read from the largest batch size down, steps to target rise
    falling = _made_rising(log_steps[::-1])
    perfect_to = _crossing(log_sizes, _made_rising(log_sizes + log_steps), math.log1p(OVERHEAD))
    plateau_from = _crossing(log_sizes[::-1], falling, math.log1p(MARGIN))
    return (
        math.inf if perfect_to is None else perfect_to,
        0.0 if plateau_from is None else plateau_from,
    )


def _made_rising(values: Floats) -> Floats:
    return isotonic_regression(values, increasing=True).x


def _crossing(log_sizes: Floats, curve: Floats, margin: float) -> float | None:
    """Return the batch size where a rising curve exceeds its first value by a margin."""
    level = curve[0] + margin
    above = np.flatnonzero(curve > level)
    if above.size == 0:
        return None
    right = int(above[0])
    left = right - 1
    share = (level - curve[left]) / (curve[right] - curve[left])
    return math.exp(log_sizes[left] + share * (log_sizes[right] - log_sizes[left]))
