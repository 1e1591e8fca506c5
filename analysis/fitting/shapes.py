"""The likelihood of fitted models over their shapes, and the average over models.

A shape is a b_crit, with an exponent if the model has one. Intervals averaged over models also
cover the form of the curve. Each model has Akaike's weight, exp(l - p) for log-likelihood l and p
parameters, as Turek and Fletcher 2012 advise for averaged tails; the small-sample term of AICc
would rule out forms that few batch sizes cannot distinguish.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from analysis.fitting.deviates import BEYOND, Deviates
from analysis.fitting.estimates import Estimate
from analysis.fitting.fit import Fits, ScalingFit
from analysis.fitting.models import Floats, Model
from analysis.fitting.points import Points
from analysis.fitting.profile import GREATEST_EXPONENT, LIMIT, MIN_EXPONENT, NEAR

# exponents tried at each b_crit, then factors of the best one so far
_EXPONENTS = np.geomspace(MIN_EXPONENT, GREATEST_EXPONENT, 9)
_FINER = (_EXPONENTS[1] / _EXPONENTS[0]) ** np.linspace(-0.7, 0.7, 5)
_REFINEMENTS = (_FINER, _FINER ** (1 / 3))
# of shapes about the best one: log b_crit less its own, and exponents over its own
_BOX, _ACROSS = np.linspace(-1.0, 1.0, 31), np.geomspace(0.4, 2.5, 21)
_NEIGHBORHOOD = 1.0
_KNEES, _KNEES_WITH_EXPONENT = 80, 30


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Shapes:
    """The admissible shapes of a model, and how likely they are.

    Doubling the batch size at best halves the steps, so steeper curves are left out.
    """

    model: Model
    log_b_crit: Floats  # shape (m,); the least and the greatest represent the limits of the curve
    exponent: Floats  # shape (m,)
    heights: Floats  # log-likelihood, maximized over S_min and the noise, shape (m,)
    observed: int  # number of points that are not lower bounds

    @classmethod
    def of(cls, fit: ScalingFit) -> "Shapes":
        """Return the shapes of a fit, dense about the best one."""
        if fit.shapes is not None:
            return fit.shapes
        log_sizes = np.log(fit.points.batch_sizes)
        knees = _grid(log_sizes, _KNEES if fit.model.exponent is None else _KNEES_WITH_EXPONENT)
        parts = [_scanned(fit, knees, np.ones_like(knees), (_EXPONENTS, *_REFINEMENTS))]
        best = parts[0][:, parts[0][2].argmax()]
        center = best[0] if fit.is_tuned else fit.log_b_crit
        if knees[0] < center < knees[-1]:
            offsets = np.linspace(_NEIGHBORHOOD, 0.0, knees.size // 2, endpoint=False)
            if not fit.is_tuned:
                # at every scale: points without scatter determine b_crit to many digits
                finer = np.geomspace(1e-6, offsets[-1], knees.size // 2)[:-1]
                offsets = np.append(offsets, finer)
            near = np.concatenate([center - offsets, [center], center + offsets])
            parts.append(_scanned(fit, near, np.full_like(near, best[1]), _REFINEMENTS))
        log_b_crit, exponent, heights = np.concatenate(parts, axis=1)
        log_b_crit = np.where(log_b_crit == knees[0], -BEYOND, log_b_crit)
        log_b_crit = np.where(log_b_crit == knees[-1], BEYOND, log_b_crit)
        return cls(
            model=fit.model,
            log_b_crit=log_b_crit,
            exponent=exponent,
            heights=heights,
            observed=fit.points.observed,
        )

    def across(self, fit: ScalingFit) -> "Shapes":
        """Return these shapes of a fit, and a box of others about the best one.

        Those of `of` lie along a ridge, the likeliest exponent at each b_crit. A quantity that also
        depends on the exponent needs the likeliest shape at each of its values, which may lie
        beside the ridge.
        """
        best = int(self.heights.argmax())
        center, exponent = self.log_b_crit[best], self.exponent[best]
        if self.model.exponent is None or abs(center) == BEYOND:
            return self
        added = _scanned(fit, center + _BOX, np.full_like(_BOX, exponent), (_ACROSS,))
        log_b_crit, exponents, heights = np.concatenate(
            [[self.log_b_crit, self.exponent, self.heights], added], axis=1
        )
        return replace(self, log_b_crit=log_b_crit, exponent=exponents, heights=heights)

    def rises(self, log_sizes: Floats) -> Floats:
        """Return the log of steps over S_min at each batch size, shape (m, n)."""
        x = np.subtract.outer(self.log_b_crit, log_sizes)
        return self.model.rise(x, self.exponent[:, None])

    def deviates(self, log_values: Floats) -> Deviates:
        """Return the deviates of a quantity, given its logarithm at each shape, shape (m,)."""
        drops = self.heights.max() - self.heights
        return Deviates.of(log_values, drops, self.observed, self.model.parameters)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Average:
    """The fitted models and their weights."""

    shapes: tuple[Shapes, ...]  # of each model, including those beside its ridge
    weights: Floats  # of the models, summing to 1
    points: Points  # what was fitted
    level: float  # coverage of intervals
    b_crit: Deviates  # of E_min / S_min, where perfect scaling and plateau would cross

    def deviates(self, log_quantity: Callable[[Shapes], Floats]) -> Deviates:
        """Return the averaged deviates of a quantity, given its logarithm at each shape."""
        each = [shapes.deviates(log_quantity(shapes)) for shapes in self.shapes]
        return Deviates.mean(each, self.weights)

    @property
    def b_crit_estimate(self) -> Estimate:
        """The critical batch size with its interval."""
        return self.points.bounded(self.b_crit.estimate(self.level))


@lru_cache(maxsize=32)
def average_of(fits: Fits) -> Average:
    """Return the average over fitted models."""
    shapes = tuple(Shapes.of(fit) for fit in fits.by_name.values())
    # the noise scale is a parameter too
    criteria = np.array([s.heights.max() - s.model.parameters - 1 for s in shapes])
    weights = np.exp(criteria - criteria.max())
    weights /= weights.sum()
    fitted = zip(shapes, fits.by_name.values(), strict=True)
    return Average(
        shapes=tuple(each.across(fit) for each, fit in fitted),
        weights=weights,
        points=fits.best.points,
        level=fits.best.level,
        b_crit=Deviates.mean([s.deviates(s.log_b_crit) for s in shapes], weights),
    )


def _scanned(
    fit: ScalingFit, knees: Floats, exponents: Floats, refinements: Sequence[Floats]
) -> Floats:
    """Return log b_crit, exponent and log-likelihood of shapes, shape (3, any).

    At each knee, exponents are tried about the given one, then ever closer about the best so far.
    """
    steepest = GREATEST_EXPONENT if fit.model.counts_examples else 1.0
    tried = []
    for factors in [np.ones(1)] if fit.model.exponent is None else refinements:
        rows = np.clip(factors[:, None] * exponents, MIN_EXPONENT, steepest)
        heights = fit.log_likelihood_of(fit.points.log_plateaus(fit.model, knees, rows))
        tried.append(np.stack([np.broadcast_to(knees, rows.shape), rows, heights]).reshape(3, -1))
        exponents = np.take_along_axis(rows, heights.argmax(axis=0)[None], axis=0)[0]
    return np.concatenate(tried, axis=1)


def _grid(log_sizes: Floats, count: int) -> Floats:
    """Return log b_crit from limit to limit, dense about the measured batch sizes."""
    low, high = log_sizes.min(), log_sizes.max()
    outside = np.linspace(NEAR, LIMIT, count // 10 + 1)[1:]
    inside = np.linspace(low - NEAR, high + NEAR, count)
    return np.concatenate([low - outside[::-1], inside, high + outside])
