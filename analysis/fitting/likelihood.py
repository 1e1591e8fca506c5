"""Censored likelihood of a location-scale family, maximized over location and scale.

Values v_i = mu + sigma e_i, with noise e_i of density f and survival function Q. An observed value
contributes its density; a miss, known only to exceed its bound (right-censored at v_i), contributes
the probability of exceeding it:

    l(mu, sigma) = sum over observed of [log f(z_i) - log sigma] + sum over misses of log Q(z_i),
    z_i = (v_i - mu) / sigma.

So a batch size that missed the target still bounds the curve from below, and dropping it would bias
the curve downward. Assumptions: independent noise with one scale, and uninformative censoring (the
budget was set before the run). Both terms are log-concave here, hence with a = mu / sigma and
t = 1 / sigma the log-likelihood is concave (Burridge 1981, J. R. Stat. Soc. B 43) and Newton's
method in two dimensions finds its only maximum, for many rows of values at once. With normal noise
and no misses the start is the maximum.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from scipy.special import expit, fdtri, log_ndtr

from analysis.fitting.models import Floats, Mask

Derivatives = tuple[Floats, Floats, Floats]
"""A function's value and its first two derivatives."""

# Values without scatter would make the likelihood infinite at sigma = 0: a penalty keeps sigma
# above about this.
_LEAST_SCALE = 1e-6
_HALF_LOG_TAU = math.log(math.tau) / 2
_MAX_ITERATIONS = 60
_CONVERGED = 1e-6
_NEGLIGIBLE = 1e-10


@dataclass(frozen=True, kw_only=True, slots=True)
class Noise:
    """A noise family at location 0 and scale 1.

    Attributes:
        name: name of the distribution of values whose logarithm has this noise.
        std: standard deviation.
        density: log density and its first two derivatives.
        survival: log survival function and its first two derivatives.
        sample: samples an array of a given shape.
    """

    name: str
    std: float
    density: Callable[[Floats], Derivatives]
    survival: Callable[[Floats], Derivatives]
    sample: Callable[[np.random.Generator, tuple[int, ...]], Floats]


def _normal_density(z: Floats) -> Derivatives:
    return -(z**2) / 2 - _HALF_LOG_TAU, -z, np.full_like(z, -1.0)


def _normal_survival(z: Floats) -> Derivatives:
    log_survival = log_ndtr(-z)
    hazard = np.exp(-(z**2) / 2 - _HALF_LOG_TAU - log_survival)
    # hazard - z cancels in the far tail; the exact product lies between 0 and 1
    return log_survival, -hazard, -np.clip(hazard * (hazard - z), 0.0, 1.0)


def _logistic_density(z: Floats) -> Derivatives:
    below = expit(z)
    return -z - 2 * np.logaddexp(0.0, -z), 1 - 2 * below, -2 * below * (1 - below)


def _logistic_survival(z: Floats) -> Derivatives:
    below = expit(z)
    return -np.logaddexp(0.0, z), -below, -below * (1 - below)


NOISES: Mapping[str, Noise] = {
    noise.name: noise
    for noise in (
        Noise(
            name="log-normal",
            std=1.0,
            density=_normal_density,
            survival=_normal_survival,
            sample=lambda rng, shape: rng.standard_normal(shape),
        ),
        Noise(
            name="log-logistic",
            std=math.pi / math.sqrt(3),
            density=_logistic_density,
            survival=_logistic_survival,
            sample=lambda rng, shape: rng.logistic(size=shape),
        ),
    )
}
"""Noise families by name, the usual pair of accelerated failure time models (Kalbfleisch and
Prentice 2002, section 2.2). The influence of a single value is bounded under log-logistic noise."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class LocationScale:
    """The maximum-likelihood location and scale of each row, shape (...,)."""

    location: Floats
    scale: Floats
    log_likelihood: Floats


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Rows:
    """Rows of observed values, shape (..., m), and of the bounds of misses, shape (..., n - m)."""

    observed: Floats
    bounds: Floats
    noise: Noise

    def derivatives(self, a: Floats, t: Floats) -> Derivatives:
        """Return the log-likelihood, its gradient and its Hessian in (a, t), z = t v - a.

        The Hessian is the stack of its entries aa, at, tt.
        """
        count = self.observed.shape[-1]
        value = count * np.log(t) - (_LEAST_SCALE * t) ** 2 / 2
        gradient = [np.zeros_like(t), count / t - _LEAST_SCALE**2 * t]
        hessian = [np.zeros_like(t), np.zeros_like(t), -count / t**2 - _LEAST_SCALE**2]
        for values, log_term in (
            (self.observed, self.noise.density),
            (self.bounds, self.noise.survival),
        ):
            if values.shape[-1] == 0:
                continue
            height, first, second = log_term(t[..., None] * values - a[..., None])
            value = value + height.sum(axis=-1)
            gradient[0] -= first.sum(axis=-1)
            gradient[1] += np.einsum("...i,...i", first, values)
            hessian[0] += second.sum(axis=-1)
            hessian[1] -= np.einsum("...i,...i", second, values)
            hessian[2] += np.einsum("...i,...i,...i", second, values, values)
        return value, np.stack(gradient), np.stack(hessian)


def maximize(values: Floats, missed: Mask, noise: Noise) -> LocationScale:
    """Return the maximum-likelihood location and scale of each row.

    Args:
        values: rows of values, shape (..., n); where missed, lower bounds.
        missed: which of the n are lower bounds, shape (n,); at least two are not.
        noise: noise family.
    """
    observed, bounds = values[..., ~missed], values[..., missed]
    center = observed.mean(axis=-1)
    rows = _Rows(
        observed=observed - center[..., None], bounds=bounds - center[..., None], noise=noise
    )
    # start from the moments, taking each miss as its bound or the mean, whichever is larger
    imputed = np.concatenate([rows.observed, np.maximum(rows.bounds, 0.0)], axis=-1)
    start = imputed.mean(axis=-1)
    variance = imputed.var(axis=-1) + _LEAST_SCALE**2 / imputed.shape[-1]
    t = noise.std / np.sqrt(variance)
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
        # the damped Newton step of self-concordant functions needs no line search
        share = np.where(decrement > 0.1, 1 / (1 + np.sqrt(decrement)), 1.0)
        share = np.minimum(share, 0.9 * t / np.maximum(-step_t, 1e-300))
        a, t = a + share * step_a, t + share * step_t
    return LocationScale(location=center + a / t, scale=1 / t, log_likelihood=value)


def accepted_locations(
    values: Floats, missed: Mask, noise: Noise, least: float
) -> tuple[Floats, Floats]:
    """Return the lowest and highest accepted location of each row, each of shape (...,).

    A location is accepted if its log-likelihood, maximized over the scale, is at least `least`. The
    signed root of the likelihood ratio is nearly linear in the location, so Newton's method on it
    needs few iterations; with normal noise and no misses its start is the solution.

    Args:
        values: rows of values, shape (..., n); where missed, lower bounds.
        missed: which of the n are lower bounds, shape (n,); at least two are not.
        noise: noise family.
        least: log-likelihood; both ends of a row whose maximum is below it are its best location.
    """
    best = maximize(values, missed, noise)
    count = int((~missed).sum())
    spare = np.maximum(best.log_likelihood - least, 0.0)
    goal = np.sqrt(2 * spare)
    spread = np.expm1(2 * spare / count)
    moves = spare > _NEGLIGIBLE
    ends = []
    for direction in (-1.0, 1.0):
        away = direction * best.scale * noise.std * np.sqrt(spread)
        t = 1 / (best.scale * np.sqrt(1 + spread))
        for _ in range(_MAX_ITERATIONS):
            at = best.location + away
            rows = _Rows(
                observed=values[..., ~missed] - at[..., None],
                bounds=values[..., missed] - at[..., None],
                noise=noise,
            )
            value, gradient, hessian = rows.derivatives(np.zeros_like(t), t)
            drop = np.maximum(best.log_likelihood - value, 0.0)
            root = np.sqrt(2 * drop)
            unfinished = moves & (np.abs(drop - spare) + gradient[1] ** 2 / -hessian[2] > 1e-7)
            if not unfinished.any():
                break
            # one step on the scale towards its best for this location, one on the location
            t = np.where(unfinished, t * np.clip(1 - gradient[1] / hessian[2] / t, 0.3, 3.0), t)
            slope = np.abs(t * gradient[0]) / np.maximum(root, 1e-300)
            ratio = 1 + (goal - root) / np.maximum(slope * np.abs(away), 1e-300)
            away = np.where(unfinished, away * np.clip(ratio, 0.5, 2.0), away)
        ends.append(best.location + away)
    return ends[0], ends[1]


def threshold(observed: int, parameters: int, level: float) -> float:
    """Return how far a profile log-likelihood may lie below its maximum inside the interval.

    `2 (l_max - l) <= n log(1 + F / (n - p))`, F the `level` quantile of F(1, n - p). Without misses
    and with log-normal noise this is the exact F-test of least squares (Bates and Watts 1988,
    section 6.1), as there `2 (l_max - l) = n log(RSS / RSS_min)`. It tends to the usual chi-squared
    quantile for large n, which is too small for the 5 to 12 batch sizes of a study.

    Args:
        observed: n, values that are not lower bounds, more than `parameters`.
        parameters: p, parameters of the curve, >= 1.
        level: coverage, between 0 and 1.
    """
    freedom = observed - parameters
    return observed * math.log1p(float(fdtri(1, freedom, level)) / freedom) / 2
