"""Noise families of log steps: their density, survival function and probability of a bracket."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from scipy.special import expit, log_ndtr, ndtr

from analysis.fitting.models import Floats

Derivatives = tuple[Floats, Floats, Floats]
"""A function's value and its first two derivatives."""
Bracket = tuple[Floats, tuple[Floats, Floats], tuple[Floats, Floats, Floats]]
"""The value of a function f(low, high), its gradient, and its second derivatives: by `low` twice,
by both, by `high` twice."""

_HALF_LOG_TAU = math.log(math.tau) / 2
_DEEP = -30.0
"""Where the probability of a normal tail comes near the smallest floating-point number."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Noise:
    """A noise family at location 0 and scale 1."""

    name: str  # distribution of the values whose logarithm has this noise
    std: float  # standard deviation
    density: Callable[[Floats], Derivatives]  # of the log density
    survival: Callable[[Floats], Derivatives]  # of the log survival function
    bracket: Callable[[Floats, Floats], Bracket]  # of the log probability between two ends


def _normal_density(z: Floats) -> Derivatives:
    return -(z**2) / 2 - _HALF_LOG_TAU, -z, np.full_like(z, -1.0)


def _normal_survival(z: Floats) -> Derivatives:
    log_survival = log_ndtr(-z)
    hazard = np.exp(-(z**2) / 2 - _HALF_LOG_TAU - log_survival)
    # hazard - z cancels in the far tail; the exact product lies between 0 and 1
    return log_survival, -hazard, -np.clip(hazard * (hazard - z), 0.0, 1.0)


def _normal_bracket(low: Floats, high: Floats) -> Bracket:
    # reflect into the lower tail, where a difference of probabilities loses no digits
    flipped = low + high > 0
    near, far = np.where(flipped, -low, high), np.where(flipped, -high, low)
    with np.errstate(divide="ignore"):
        log_probability = np.log(ndtr(near) - ndtr(far))
    deep = near < _DEEP
    if deep.any():
        top = log_ndtr(near[deep])
        log_probability[deep] = top + np.log(-np.expm1(log_ndtr(far[deep]) - top))
    level = -_HALF_LOG_TAU - log_probability
    at_low, at_high = np.exp(level - low**2 / 2), np.exp(level - high**2 / 2)
    second = (at_low * (low - at_low), at_low * at_high, -at_high * (high + at_high))
    return log_probability, (-at_low, at_high), second


def _logistic_density(z: Floats) -> Derivatives:
    below = expit(z)
    return -z - 2 * np.logaddexp(0.0, -z), 1 - 2 * below, -2 * below * (1 - below)


def _logistic_survival(z: Floats) -> Derivatives:
    below = expit(z)
    return -np.logaddexp(0.0, z), -below, -below * (1 - below)


def _logistic_bracket(low: Floats, high: Floats) -> Bracket:
    # F(high) - F(low) = F(high) Q(low) (1 - exp(low - high))
    above_low, above_high, width = expit(-low), expit(-high), high - low
    log_probability = -np.logaddexp(0, -high) - np.logaddexp(0, low) + np.log(-np.expm1(-width))
    shrink = -np.exp(-width) / np.expm1(-width)
    bend = shrink * (1 + shrink)
    first = (above_low - 1 - shrink, above_high + shrink)
    ends = [-at * (1 - at) - bend for at in (above_low, above_high)]
    return log_probability, first, (ends[0], bend, ends[1])


NOISES: Mapping[str, Noise] = {
    noise.name: noise
    for noise in (
        Noise(
            name="log-normal",
            std=1.0,
            density=_normal_density,
            survival=_normal_survival,
            bracket=_normal_bracket,
        ),
        Noise(
            name="log-logistic",
            std=math.pi / math.sqrt(3),
            density=_logistic_density,
            survival=_logistic_survival,
            bracket=_logistic_bracket,
        ),
    )
}
"""Noise families by name: the usual pair of accelerated failure time models (Kalbfleisch and
Prentice 2002, section 2.2). Under log-logistic noise the influence of a single value is bounded."""
