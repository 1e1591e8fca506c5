"""A quantity's likelihood as signed normal deviates, and its average over models.

Each value of a quantity has the deviate of its likelihood ratio against the best value. It uses the
F(1, n - p) distribution, as `analysis.fitting.likelihood.threshold` does, to account for few batch
sizes. An interval contains the values with small deviates.

Models are averaged by their tail areas (Turek and Fletcher 2012, Computational Statistics and Data
Analysis 56, 2809): the probability below a value is the weighted mean over the models. So one model
decides the interval if it alone explains the points, and all do if they explain them equally well.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import fdtrc, ndtr, ndtri

from analysis.fitting.estimates import Estimate
from analysis.fitting.models import Floats

BEYOND = 60.0
"""Log that represents an infinite value; its negative represents 0."""
# keeps deviates finite
_MIN_PROBABILITY = 1e-300


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Deviates:
    """The likelihood of a study along a positive quantity."""

    log_values: Floats  # rising, shape (m,)
    deviates: Floats  # non-decreasing, shape (m,); 0 at the best value

    @classmethod
    def of(cls, log_values: Floats, drops: Floats, observed: int, parameters: int) -> "Deviates":
        """Return the deviates of a quantity over the shapes of a curve.

        A value is as likely as the likeliest shape with that value or one farther from the best.

        Args:
            log_values: log of the quantity at each shape, in any order, shape (m,).
            drops: log-likelihood of each shape below the maximum, >= 0, shape (m,).
            observed: number of points that are not lower bounds.
            parameters: number of parameters of the curve.
        """
        finite = np.clip(log_values, -BEYOND, BEYOND)
        order = np.lexsort((-drops, finite))
        values, falls = finite[order], drops[order]
        best = values[falls.argmin()]
        above = values > best
        upper = np.minimum.accumulate(falls[::-1])[::-1]
        fall = np.where(above, upper, np.minimum.accumulate(falls))
        # of shapes with the same value, the likeliest
        keep = np.append(np.diff(values) > 0, True)
        freedom = observed - parameters
        f_statistic = freedom * np.expm1(2 * np.minimum(fall, 300.0) / observed)
        p_value = np.maximum(fdtrc(1, freedom, f_statistic), _MIN_PROBABILITY)
        size = -ndtri(p_value / 2)
        return cls(log_values=values[keep], deviates=np.where(above, size, -size)[keep])

    @classmethod
    def mean(cls, models: Sequence["Deviates"], weights: Floats) -> "Deviates":
        """Return the average over models, with weights that sum to 1."""
        grid = np.unique(np.concatenate([model.log_values for model in models]))
        each = np.array([model.at(grid) for model in models])
        below, above = weights @ ndtr(each), weights @ ndtr(-each)
        tail = ndtri(np.maximum(np.minimum(below, above), _MIN_PROBABILITY))
        deviates = np.where(below < above, tail, -tail)
        return cls(log_values=grid, deviates=np.maximum.accumulate(deviates))

    @property
    def best(self) -> float:
        """The median of the quantity; 0 or infinite at a limit of the curve."""
        return float(_number(self.log_values_at(np.zeros(1)))[0])

    def at(self, log_values: Floats) -> Floats:
        """Return the deviates at log values, in the same shape."""
        return np.asarray(np.interp(log_values, self.log_values, self.deviates))

    def log_values_at(self, deviates: Floats) -> Floats:
        """Return the log values at deviates; infinite if no value is that unlikely."""
        grid = self.deviates, self.log_values
        return np.asarray(np.interp(deviates, *grid, left=-np.inf, right=np.inf))

    def estimate(self, level: float) -> Estimate:
        """Return the value and its interval with coverage `level`."""
        reach = -float(ndtri((1 - level) / 2))
        low, value, high = _number(self.log_values_at(np.array([-reach, 0.0, reach]))).tolist()
        return Estimate(value=value, low=low, high=high)


def _number(log_values: Floats) -> Floats:
    with np.errstate(over="ignore"):
        values = np.exp(log_values)
    values = np.where(log_values <= 1 - BEYOND, 0.0, values)
    return np.where(log_values >= BEYOND - 1, math.inf, values)
