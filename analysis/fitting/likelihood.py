"""Censored likelihood of a location-scale family, maximized over location and scale.

The values are x_i = mu + sigma e_i, where the noise e_i has density f and survival function Q. An
exact value v_i contributes its density; one known to lie in a bracket (v_i - w_i, v_i]
(interval-censored), the mean density there; a miss, known only to exceed v_i (right-censored), the
probability of exceeding it:

    l(mu, sigma) = sum over exact of [log f(z_i) - log sigma]
        + sum over brackets of log[(Q(z_i - w_i / sigma) - Q(z_i)) / w_i]
        + sum over misses of log Q(z_i),    z_i = (v_i - mu) / sigma.

So a batch size that missed the target still bounds the curve from below; dropping it would bias the
curve downward. Brackets correct for steps being recorded at the measurement after the crossing.
Assumptions: independent noise with one scale, and uninformative censoring (the budget and the
measurements were set before the run). All terms are log-concave, so in a = mu / sigma and
t = 1 / sigma the log-likelihood is concave (Burridge 1981, J. R. Stat. Soc. B 43), and Newton's
method finds its only maximum, for many rows of values at once. With normal noise and only exact
values, the starting point is the maximum.
"""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.special import fdtri

from analysis.fitting.models import Floats, Mask
from analysis.fitting.noises import Derivatives, Noise

# At sigma = 0, values without scatter would have an infinite likelihood, and all curves through all
# brackets would be equally likely. A penalty keeps sigma above about _MIN_SCALE, and above about
# _SHARE of the brackets' width, where a width counts up to _WIDE.
_MIN_SCALE = 1e-6
_SHARE = 0.1
_WIDE = 0.2
# a bracket from step 0, which has no logarithm, begins at this share of the steps
_MIN_BEGINNING = 1e-3
_MAX_ITERATIONS = 60
_CONVERGED = 1e-6
_NEGLIGIBLE = 1e-10
_CLOSE = 1e-7


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class LocationScale:
    """The maximum-likelihood location and scale of each row, shape (...,)."""

    location: Floats
    scale: Floats
    log_likelihood: Floats


@dataclass(frozen=True, kw_only=True, eq=False)
class Censoring:
    """Which of n values are lower bounds, and which lie in brackets."""

    missed: Mask  # which are lower bounds, shape (n,)
    widths: Floats  # of the brackets below the values, shape (n,); 0 where exact or missed

    @classmethod
    def of(cls, steps: Floats, missed: Mask, before: Floats) -> "Censoring":
        """Return the censoring of log steps.

        Args:
            steps: > 0; where missed, lower bounds; shape (n,).
            missed: which are lower bounds, shape (n,).
            before: where the bracket of each begins, >= 0, shape (n,); not used where missed.
        """
        begins = np.where(missed, steps, np.maximum(before, _MIN_BEGINNING * steps))
        return cls(missed=missed, widths=np.log(steps / begins))

    @cached_property
    def observed(self) -> int:
        """Number of values that are not lower bounds."""
        return int((~self.missed).sum())

    @cached_property
    def exact(self) -> Mask:
        """Which values are known exactly."""
        exact: Mask = ~self.missed & (self.widths == 0)
        return exact

    @cached_property
    def bracketed(self) -> Mask:
        """Which values are known only up to a bracket."""
        return ~self.missed & (self.widths > 0)

    @cached_property
    def least_scale(self) -> float:
        """The approximate lower bound that the penalty sets for sigma."""
        wide = np.minimum(self.widths[~self.missed], _WIDE)
        return math.hypot(_MIN_SCALE, _SHARE * float(np.sqrt(np.mean(wide**2))))


class _Rows:
    """Rows of values, shape (..., n), and their censoring.

    They are stored as columns, shape (n, ...), so a sum over values adds contiguous rows of memory.
    """

    def __init__(self, values: Floats, censoring: Censoring, noise: Noise) -> None:
        exact, missed, bracketed = censoring.exact, censoring.missed, censoring.bracketed
        self._count, self._least = int(exact.sum()), censoring.least_scale
        columns = np.ascontiguousarray(np.moveaxis(values, -1, 0))
        self._points = [
            (columns[which], term)
            for which, term in ((exact, noise.density), (missed, noise.survival))
            if which.any()
        ]
        widths = censoring.widths[bracketed]
        self._widths = widths.reshape(-1, *(1,) * (values.ndim - 1))
        self._highs = columns[bracketed]
        self._lows = self._highs - self._widths
        self._log_widths = float(np.log(widths).sum())
        self._bracket = noise.bracket if bracketed.any() else None

    def derivatives(self, a: Floats, t: Floats) -> Derivatives:
        """Return the log-likelihood, its gradient and its Hessian in (a, t), where z = t v - a.

        The Hessian is the stack of its entries aa, at, tt.
        """
        count, penalty = self._count, self._least**2
        value = count * np.log(t) - penalty * t**2 / 2
        gradient = [np.zeros_like(t), count / t - penalty * t]
        hessian = [np.zeros_like(t), np.zeros_like(t), -count / t**2 - penalty]

        def add(values: Floats, first: Floats, second: Floats, both: Floats) -> None:
            # `both` is the sum of the second derivatives by this end and either end
            gradient[0] -= first.sum(axis=0)
            gradient[1] += (first * values).sum(axis=0)
            hessian[0] += both.sum(axis=0)
            hessian[1] -= (both * values).sum(axis=0)
            hessian[2] += (second * values**2).sum(axis=0)

        for values, term in self._points:
            height, slope, bend = term(t * values - a)
            value = value + height.sum(axis=0)
            add(values, slope, bend, bend)
        if self._bracket is not None:
            lows, highs = self._lows, self._highs
            z = t * highs - a
            height, first, second = self._bracket(z - t * self._widths, z)
            value = value + height.sum(axis=0) - self._log_widths
            add(lows, first[0], second[0], second[0] + second[1])
            add(highs, first[1], second[2], second[2] + second[1])
            hessian[2] += 2 * (second[1] * lows * highs).sum(axis=0)
        return value, np.stack(gradient), np.stack(hessian)


def maximize(values: Floats, censoring: Censoring, noise: Noise) -> LocationScale:
    """Return the maximum-likelihood location and scale of each row.

    Args:
        values: rows of values, shape (..., n): upper ends of brackets; where missed, lower bounds.
        censoring: of the n values, at least two of which are not missed.
        noise: noise family.
    """
    missed, shift = censoring.missed, np.minimum(censoring.widths, _WIDE) / 2
    middles = values - shift
    center = middles[..., ~missed].mean(axis=-1)
    rows = _Rows(values - center[..., None], censoring, noise)
    # start from the moments, with each miss at its bound or the mean, whichever is larger
    middles = middles - center[..., None]
    imputed = np.where(missed, np.maximum(middles, 0.0), middles)
    start = imputed.mean(axis=-1)
    variance = imputed.var(axis=-1) + censoring.least_scale**2 / imputed.shape[-1]
    rounding = np.mean(shift**2) / 3  # Sheppard's correction
    t = noise.std / np.sqrt(np.maximum(variance - rounding, rounding))
    a = start * t
    for _ in range(_MAX_ITERATIONS):
        value, gradient, hessian = rows.derivatives(a, t)
        determinant = hessian[0] * hessian[2] - hessian[1] ** 2
        step_a = (hessian[1] * gradient[1] - hessian[2] * gradient[0]) / determinant
        step_t = (hessian[1] * gradient[0] - hessian[0] * gradient[1]) / determinant
        # squared Newton decrement, twice the expected gain of the full step
        decrement = np.maximum(gradient[0] * step_a + gradient[1] * step_t, 0.0)
        if decrement.max(initial=0.0) < _CONVERGED:
            a, t, value = a + step_a, t + step_t, value + decrement / 2
            break
        # the damped Newton step for self-concordant functions needs no line search
        share = np.where(decrement > 0.1, 1 / (1 + np.sqrt(decrement)), 1.0)
        share = np.minimum(share, 0.9 * t / np.maximum(-step_t, 1e-300))
        a, t = a + share * step_a, t + share * step_t
    return LocationScale(location=center + a / t, scale=1 / t, log_likelihood=value)


def accepted_locations(
    values: Floats, censoring: Censoring, noise: Noise, least: float
) -> tuple[Floats, Floats]:
    """Return the lowest and highest accepted location of each row, each of shape (...,).

    A location is accepted if its log-likelihood, maximized over the scale, is at least `least`. The
    signed root of the likelihood ratio is nearly linear in the location, so Newton's method on it
    needs few iterations; with normal noise and only exact values, it starts at the solution.

    Args:
        values: rows of values, shape (..., n): upper ends of brackets; where missed, lower bounds.
        censoring: of the n values, at least two of which are not missed.
        noise: noise family.
        least: log-likelihood; a row whose maximum is below it has its best location for both ends.
    """
    best = maximize(values, censoring, noise)
    spare = np.maximum(best.log_likelihood - least, 0.0)
    spread = np.expm1(2 * spare / censoring.observed)
    # both ends of all rows at once; those that have converged drop out
    offset = np.multiply.outer([-1.0, 1.0], best.scale * noise.std * np.sqrt(spread))
    t = np.stack([1 / (best.scale * np.sqrt(1 + spread))] * 2)
    known = (best.location, best.log_likelihood, spare)
    location, highest, spare = np.broadcast_arrays(*known, t)[:3]
    active = np.nonzero(spare > _NEGLIGIBLE)
    for _ in range(_MAX_ITERATIONS):
        distance, steep, goal = offset[active], t[active], spare[active]
        centered = values[active[1:]] - (location[active] + distance)[:, None]
        rows = _Rows(centered, censoring, noise)
        value, gradient, hessian = rows.derivatives(np.zeros_like(steep), steep)
        drop = np.maximum(highest[active] - value, 0.0)
        unfinished = np.abs(drop - goal) + gradient[1] ** 2 / -hessian[2] > _CLOSE
        if not unfinished.any():
            break
        # one step of the scale towards its best for this location, then one of the location
        steep = steep * np.clip(1 - gradient[1] / hessian[2] / steep, 0.3, 3.0)
        root = np.sqrt(2 * drop)
        slope = np.abs(steep * gradient[0]) / np.maximum(root, 1e-300)
        ratio = 1 + (np.sqrt(2 * goal) - root) / np.maximum(slope * np.abs(distance), 1e-300)
        active = tuple(index[unfinished] for index in active)
        t[active] = steep[unfinished]
        offset[active] = (distance * np.clip(ratio, 0.5, 2.0))[unfinished]
    low, high = best.location + offset
    return low, high


def threshold(observed: int, parameters: int, level: float) -> float:
    """Return how far a profile log-likelihood may lie below its maximum inside the interval.

    It is `l_max - l <= n log(1 + F / (n - p)) / 2`, where F is the `level` quantile of F(1, n - p).
    With log-normal noise and exact values this is the exact F-test of least squares (Bates and
    Watts 1988, section 6.1), because there `l_max - l = n log(RSS / RSS_min) / 2`. For large n it
    tends to the usual chi-squared quantile, which is too small for the 5 to 12 batch sizes of a
    study.

    Args:
        observed: n, number of values that are not lower bounds, > `parameters`.
        parameters: p, parameters of the curve, >= 1.
        level: coverage, between 0 and 1.
    """
    freedom = observed - parameters
    return observed * math.log1p(float(fdtri(1, freedom, level)) / freedom) / 2
