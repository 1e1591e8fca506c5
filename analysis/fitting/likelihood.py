"""Likelihood of values about a location with one scale, where some values are only lower bounds.

An observed value contributes its density, a miss the chance of a value beyond its bound. Both are
log-concave here, so with a = location / scale and t = 1 / scale the log-likelihood is concave
(Burridge 1981, J. R. Stat. Soc. B 43) and Newton's method in two numbers finds the one maximum, for
many rows of values at once. For normal noise without misses its start is the maximum.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit, fdtri, log_ndtr

from analysis.errors import AnalysisError
from analysis.fitting.estimates import Estimate
from analysis.fitting.models import Floats, Mask

Terms = tuple[Floats, Floats, Floats]

LEAST_VALUES = 2

# spread that exact values are taken to have, so that their likelihood stays finite
_FLOOR = 1e-6
_HALF_LOG_TAU = math.log(math.tau) / 2
_ROUNDS = 60
_CLOSE = 1e-6
_NO_SPARE = 1e-10


@dataclass(frozen=True, kw_only=True, slots=True)
class Noise:
    """A family of noise, at location 0 and scale 1.

    Attributes:
        name: what values are whose logarithm has this noise.
        deviation: its standard deviation.
        density: log density and its first two derivatives.
        survival: log of the chance of a larger value, and its first two derivatives.
        draw: makes so many values.
    """

    name: str
    deviation: float
    density: Callable[[Floats], Terms]
    survival: Callable[[Floats], Terms]
    draw: Callable[[np.random.Generator, tuple[int, ...]], Floats]


def _normal_density(z: Floats) -> Terms:
    return -(z**2) / 2 - _HALF_LOG_TAU, -z, np.full_like(z, -1.0)


def _normal_survival(z: Floats) -> Terms:
    chance = log_ndtr(-z)
    hazard = np.exp(-(z**2) / 2 - _HALF_LOG_TAU - chance)
    # far out hazard - z is lost to rounding; the product lies between 0 and 1
    return chance, -hazard, -np.clip(hazard * (hazard - z), 0.0, 1.0)


def _logistic_density(z: Floats) -> Terms:
    below = expit(z)
    return -z - 2 * np.logaddexp(0.0, -z), 1 - 2 * below, -2 * below * (1 - below)


def _logistic_survival(z: Floats) -> Terms:
    below = expit(z)
    return -np.logaddexp(0.0, z), -below, -below * (1 - below)


NOISES: Mapping[str, Noise] = {
    noise.name: noise
    for noise in (
        Noise(
            name="log-normal",
            deviation=1.0,
            density=_normal_density,
            survival=_normal_survival,
            draw=lambda rng, shape: rng.standard_normal(shape),
        ),
        Noise(
            name="log-logistic",
            deviation=math.pi / math.sqrt(3),
            density=_logistic_density,
            survival=_logistic_survival,
            draw=lambda rng, shape: rng.logistic(size=shape),
        ),
    )
}
"""Families of noise by name: the usual pair of accelerated failure times (Kalbfleisch and Prentice
2002, section 2.2). Under log-logistic noise no single value pulls without bound."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Maximum:
    """The best location and scale of each row, shape (...,), and their log-likelihood."""

    location: Floats
    scale: Floats
    log_likelihood: Floats


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Rows:
    """Rows of values: those seen, shape (..., m), and the bounds of the missed ones."""

    seen: Floats
    bounds: Floats
    noise: Noise

    def terms(self, a: Floats, t: Floats) -> tuple[Floats, Floats, Floats]:
        """Gives, at z = t v - a: the log-likelihood, its gradient and Hessian in (a, t)."""
        count = self.seen.shape[-1]
        value = count * np.log(t) - (_FLOOR * t) ** 2 / 2
        slope = [np.zeros_like(t), count / t - _FLOOR**2 * t]
        bend = [np.zeros_like(t), np.zeros_like(t), -count / t**2 - _FLOOR**2]
        parts = ((self.seen, self.noise.density), (self.bounds, self.noise.survival))
        for values, family in parts:
            if values.shape[-1] == 0:
                continue
            height, first, second = family(t[..., None] * values - a[..., None])
            value = value + height.sum(axis=-1)
            slope[0] -= first.sum(axis=-1)
            slope[1] += np.einsum("...i,...i", first, values)
            bend[0] += second.sum(axis=-1)
            bend[1] -= np.einsum("...i,...i", second, values)
            bend[2] += np.einsum("...i,...i,...i", second, values, values)
        return value, np.stack(slope), np.stack(bend)


def maximum(values: Floats, missed: Mask, noise: Noise) -> Maximum:
    """Finds the most likely location and scale.

    Args:
        values: rows of values, shape (..., n); where missed, lower bounds.
        missed: which of the n are lower bounds, shape (n,); at least two are not.
        noise: family of the noise.

    Returns:
        The maxima.
    """
    seen, bounds = values[..., ~missed], values[..., missed]
    centre = seen.mean(axis=-1)
    rows = _Rows(seen=seen - centre[..., None], bounds=bounds - centre[..., None], noise=noise)
    filled = np.concatenate([rows.seen, np.maximum(rows.bounds, 0.0)], axis=-1)
    start = filled.mean(axis=-1)
    variance = filled.var(axis=-1) + _FLOOR**2 / filled.shape[-1]
    t = noise.deviation / np.sqrt(variance)
    a = start * t
    for _ in range(_ROUNDS):
        value, slope, bend = rows.terms(a, t)
        determinant = bend[0] * bend[2] - bend[1] ** 2
        step_a = (bend[1] * slope[1] - bend[2] * slope[0]) / determinant
        step_t = (bend[1] * slope[0] - bend[0] * slope[1]) / determinant
        gain = np.maximum(slope[0] * step_a + slope[1] * step_t, 0.0)
        if gain.max(initial=0.0) < _CLOSE:
            # so close the climb of one more step is known: half of what the slope promises
            a, t, value = a + step_a, t + step_t, value + gain / 2
            break
        # the damped step of self-concordant functions: it climbs without a search along the line
        share = np.where(gain > 0.1, 1 / (1 + np.sqrt(gain)), 1.0)
        share = np.minimum(share, 0.9 * t / np.maximum(-step_t, 1e-300))
        a, t = a + share * step_a, t + share * step_t
    return Maximum(location=centre + a / t, scale=1 / t, log_likelihood=value)


def accepted_locations(
    values: Floats, missed: Mask, noise: Noise, least: float
) -> tuple[Floats, Floats]:
    """Finds the range of locations whose best likelihood is at least so high.

    The signed root of the likelihood ratio is close to a straight line in the location, so Newton's
    method on it takes few steps; for normal noise without misses its start is the answer.

    Args:
        values: rows of values, shape (..., n); where missed, lower bounds.
        missed: which of the n are lower bounds, shape (n,); at least two are not.
        noise: family of the noise.
        least: log-likelihood to keep to; a row whose maximum is lower gives its location twice.

    Returns:
        Lower and upper ends, each of shape (...,).
    """
    best = maximum(values, missed, noise)
    count = int((~missed).sum())
    spare = np.maximum(best.log_likelihood - least, 0.0)
    goal = np.sqrt(2 * spare)
    spread = np.expm1(2 * spare / count)
    moves = spare > _NO_SPARE
    sides = []
    for side in (-1.0, 1.0):
        away = side * best.scale * noise.deviation * np.sqrt(spread)
        t = 1 / (best.scale * np.sqrt(1 + spread))
        for _ in range(_ROUNDS):
            at = best.location + away
            rows = _Rows(
                seen=values[..., ~missed] - at[..., None],
                bounds=values[..., missed] - at[..., None],
                noise=noise,
            )
            value, slope, bend = rows.terms(np.zeros_like(t), t)
            short = np.maximum(best.log_likelihood - value, 0.0)
            root = np.sqrt(2 * short)
            open_ = moves & (np.abs(short - spare) + slope[1] ** 2 / -bend[2] > 1e-7)
            if not open_.any():
                break
            t = np.where(open_, t * np.clip(1 - slope[1] / bend[2] / t, 0.3, 3.0), t)
            fall = np.abs(t * slope[0]) / np.maximum(root, 1e-300)
            ratio = 1 + (goal - root) / np.maximum(fall * np.abs(away), 1e-300)
            away = np.where(open_, away * np.clip(ratio, 0.5, 2.0), away)
        sides.append(best.location + away)
    return sides[0], sides[1]


def threshold(observed: int, parameters: int, level: float) -> float:
    """Gives how far the log-likelihood may lie below its maximum.

    `2 (l_max - l) <= n log(1 + F / (n - p))`, F the `level` quantile of F(1, n - p): without misses
    and with log-normal noise the exact small-sample rule of least squares (Bates and Watts 1988,
    section 6.1), and for many points the limit chi-squared.

    Args:
        observed: n, values that are no lower bounds, more than `parameters`.
        parameters: p, parameters of the curve, >= 1.
        level: coverage, between 0 and 1.

    Returns:
        The greatest difference of log-likelihoods.
    """
    freedom = observed - parameters
    return observed * math.log1p(float(fdtri(1, freedom, level)) / freedom) / 2


def location(values: ArrayLike, missed: ArrayLike, level: float = 0.95) -> Estimate:
    """Estimates the median of log-normal numbers, of which some are only lower bounds.

    Without misses it is the geometric mean with its t-interval.

    Args:
        values: positive numbers, shape (r,), r >= 2: the steps of r fresh seeds; where missed, the
            number that was not enough.
        missed: which are lower bounds, shape (r,).
        level: coverage of the interval, between 0 and 1.

    Returns:
        The estimate; without bounds where fewer than two values are seen, as nothing then says how
        far they scatter.

    Raises:
        AnalysisError: fewer than two values, or one that is not positive and finite.
    """
    numbers, misses = np.asarray(values, dtype=np.float64), np.asarray(missed, dtype=np.bool_)
    if numbers.size < LEAST_VALUES or not (np.isfinite(numbers) & (numbers > 0)).all():
        raise AnalysisError(
            f"a median needs {LEAST_VALUES} or more positive finite values, "
            f"got {numbers.tolist()}; run more replicates"
        )
    observed = int((~misses).sum())
    if observed < LEAST_VALUES:
        return Estimate(value=math.inf, low=0.0, high=math.inf)
    logs, noise = np.log(numbers), NOISES["log-normal"]
    best = maximum(logs, misses, noise)
    least = float(best.log_likelihood) - threshold(observed, 1, level)
    low, high = accepted_locations(logs, misses, noise, least)
    return Estimate(
        value=math.exp(float(best.location)), low=math.exp(float(low)), high=math.exp(float(high))
    )
