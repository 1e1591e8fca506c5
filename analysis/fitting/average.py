"""Models averaged: quantities of the curve whose intervals hold its form too.

Every model counts by Akaike's weight, exp(l - p) for log-likelihood l and p parameters, as Turek
and Fletcher 2012 advise for averaged tails; the small-sample term of AICc would rule forms out
that few batch sizes cannot tell apart.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from analysis.fitting.deviates import Deviates
from analysis.fitting.estimates import REACH, Estimate
from analysis.fitting.fit import Fits
from analysis.fitting.models import Floats
from analysis.fitting.points import Points
from analysis.fitting.shapes import Shapes


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Average:
    """The fitted models and their weights.

    Attributes:
        shapes: the shapes of each model, those across its ridge included.
        weights: of the models, summing to 1.
        points: what was fitted.
        level: coverage of intervals.
        b_crit: deviates of E_min / S_min, where perfect scaling and plateau would cross.
    """

    shapes: tuple[Shapes, ...]
    weights: Floats
    points: Points
    level: float
    b_crit: Deviates

    def deviates(self, log_quantity: Callable[[Shapes], Floats]) -> Deviates:
        """Return the averaged deviates of a quantity, given its logarithm at each shape."""
        each = [shapes.deviates(log_quantity(shapes)) for shapes in self.shapes]
        return Deviates.mean(each, self.weights)

    @property
    def b_crit_estimate(self) -> Estimate:
        """The critical batch size with its interval."""
        sizes = self.points.batch_sizes
        return self.b_crit.estimate(self.level).within(sizes.min() / REACH, sizes.max() * REACH)


@lru_cache(maxsize=32)
def average_of(fits: Fits) -> Average:
    """Return the average of fitted models; of a single one, that model."""
    shapes = tuple(Shapes.of(fit) for fit in fits.by_name.values())
    # the noise is a parameter too
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
