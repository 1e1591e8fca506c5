"""Fits the hyperbola to steps to target, with intervals that say when nothing bounds them.

Steps are taken to be log-normal about the curve with one spread, so that maximum likelihood is
least squares in the logarithm. For a given b_crit the best log S_min is a mean of residuals; all
else is a search in one dimension, along log b_crit.
"""

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import brentq, minimize_scalar
from scipy.special import fdtri

from analysis.errors import AnalysisError
from analysis.estimates import Estimate
from analysis.models import Floats, hyperbola

LEAST_POINTS = 3
_PARAMETERS = 2

# this far outside the measured batch sizes the curve is its limit to six digits
_REACH = math.log(1e6)
_GRID = 801
_REGION = 2001


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Region:
    """What the data accept: for each accepted b_crit, log S_min within `centre` +- `half`."""

    log_b_crit: Floats
    centre: Floats
    half: Floats

    def interval(self, offset: Floats) -> tuple[Floats, Floats]:
        """Gives the extremes of log S_min + offset, offset given per b_crit on the last axis."""
        low = (self.centre - self.half + offset).min(axis=-1)
        high = (self.centre + self.half + offset).max(axis=-1)
        return low, high


@dataclass(frozen=True, kw_only=True, slots=True)
class ScalingFit:
    """The hyperbola fitted to a study.

    Attributes:
        s_min: steps to target at an infinite batch size.
        e_min: examples to target at a vanishing batch size.
        b_crit: critical batch size, E_min / S_min.
        sigma: spread of log steps about the curve, on n - 2 degrees of freedom.
        level: coverage of the intervals.
        batch_sizes: the points that were fitted.
        steps: their steps to target.
        residuals: log steps minus log of the curve.
    """

    s_min: Estimate
    e_min: Estimate
    b_crit: Estimate
    sigma: float
    level: float
    batch_sizes: tuple[float, ...]
    steps: tuple[float, ...]
    residuals: tuple[float, ...]
    _region: _Region = field(repr=False, compare=False)

    def predict(self, batch_size: ArrayLike) -> Floats:
        """Gives the fitted steps to target at these batch sizes."""
        return hyperbola(batch_size, self.s_min.value, self.e_min.value)

    def band(self, batch_size: ArrayLike) -> tuple[Floats, Floats]:
        """Gives the pointwise interval of the curve (not of a new measurement).

        Args:
            batch_size: examples per step, > 0, shape (n,).

        Returns:
            Lower and upper ends, each of shape (n,).
        """
        log_sizes = np.log(np.asarray(batch_size, dtype=np.float64))
        low, high = self._region.interval(_log_rise(self._region.log_b_crit, log_sizes).T)
        return np.exp(low), np.exp(high)


def fit_hyperbola(batch_sizes: ArrayLike, steps: ArrayLike, level: float = 0.95) -> ScalingFit:
    """Fits S(B) = S_min + E_min / B by maximum likelihood, with profile-likelihood intervals.

    A value is in the interval when the best curve through it has a residual sum of squares of at
    most `1 + F / (n - 2)` times the least, F the `level` quantile of F(1, n - 2) (Bates and Watts
    1988, section 6.1): the small-sample threshold, exact but for curvature. Assumes independent
    log-normal noise of one spread.

    Args:
        batch_sizes: examples per step, > 0, shape (n,), at least three different ones.
        steps: steps to target, > 0, shape (n,).
        level: coverage of the intervals, between 0 and 1.

    Returns:
        The fit.

    Raises:
        AnalysisError: too few batch sizes, or a number that is not positive and finite.
    """  # noqa: DOC502  (raised by _profile)
    profile = _profile(batch_sizes, steps)
    grid = profile.grid()
    best = profile.minimum(grid)
    least = profile.squares(best)
    freedom = profile.size - _PARAMETERS
    region = profile.region(grid, best, least * (1 + float(fdtri(1, freedom, level)) / freedom))
    s_min, e_min, b_crit = _estimates(profile, best, region, grid)
    return ScalingFit(
        s_min=s_min,
        e_min=e_min,
        b_crit=b_crit,
        sigma=math.sqrt(least / freedom),
        level=level,
        batch_sizes=tuple(np.asarray(batch_sizes, dtype=np.float64).tolist()),
        steps=tuple(np.asarray(steps, dtype=np.float64).tolist()),
        residuals=tuple(profile.residuals(np.array([best]))[0].tolist()),
        _region=region,
    )


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Profile:
    """The likelihood along log b_crit, log S_min at its best for each."""

    log_sizes: Floats
    log_steps: Floats

    @property
    def size(self) -> int:
        return self.log_steps.size

    def grid(self) -> Floats:
        """Gives log b_crit from one limit of the curve to the other."""
        return np.linspace(self.log_sizes.min() - _REACH, self.log_sizes.max() + _REACH, _GRID)

    def log_s_min(self, log_b_crit: Floats) -> Floats:
        heights: Floats = (self.log_steps - _log_rise(log_b_crit, self.log_sizes)).mean(axis=-1)
        return heights

    def residuals(self, log_b_crit: Floats) -> Floats:
        rest: Floats = self.log_steps - _log_rise(log_b_crit, self.log_sizes)
        centred: Floats = rest - rest.mean(axis=-1, keepdims=True)
        return centred

    def squares(self, log_b_crit: float) -> float:
        return float((self.residuals(np.array([log_b_crit])) ** 2).sum())

    def minimum(self, grid: Floats) -> float:
        """Gives the best log b_crit; an end of the grid stands for its limit."""
        squares = (self.residuals(grid) ** 2).sum(axis=-1)
        at = int(squares.argmin())
        around = float(grid[max(at - 1, 0)]), float(grid[min(at + 1, grid.size - 1)])
        found = minimize_scalar(
            self.squares, bounds=around, method="bounded", options={"xatol": 1e-10}
        )
        return float(found.x) if found.fun < squares[at] else float(grid[at])

    def region(self, grid: Floats, best: float, threshold: float) -> _Region:
        """Gives the accepted b_crit and S_min: residual sum of squares up to the threshold."""
        low = self._end(grid[grid < best][::-1], best, threshold)
        high = self._end(grid[grid > best], best, threshold)
        accepted = np.linspace(low, high, _REGION)
        spare = threshold - (self.residuals(accepted) ** 2).sum(axis=-1)
        return _Region(
            log_b_crit=accepted,
            centre=self.log_s_min(accepted),
            half=np.sqrt(np.maximum(spare, 0.0) / self.size),
        )

    def _end(self, outward: Floats, best: float, threshold: float) -> float:
        """Gives the accepted log b_crit farthest from the best, `outward` leading away from it."""
        squares = (self.residuals(outward) ** 2).sum(axis=-1)
        accepted = np.flatnonzero(squares <= threshold)
        last = int(accepted[-1]) if accepted.size else -1
        inside = float(outward[last]) if accepted.size else best
        if last + 1 == outward.size:
            return inside

        def excess(log_b_crit: float) -> float:
            return self.squares(log_b_crit) - threshold

        return float(brentq(excess, inside, float(outward[last + 1])))


def _profile(batch_sizes: ArrayLike, steps: ArrayLike) -> _Profile:
    columns = {
        "batch sizes": np.asarray(batch_sizes, dtype=np.float64),
        "steps": np.asarray(steps, dtype=np.float64),
    }
    for name, column in columns.items():
        wrong = column[~(np.isfinite(column) & (column > 0))]
        if wrong.size:
            raise AnalysisError(
                f"{name} to fit must be positive and finite, got {wrong[0]:g}; "
                "leave batch sizes out that did not reach the target"
            )
    different = np.unique(columns["batch sizes"]).size
    if different < LEAST_POINTS:
        raise AnalysisError(
            f"a fit needs at least {LEAST_POINTS} batch sizes that reached the target, got "
            f"{different}; add batch sizes or trials, raise race.max_steps, or loosen the target"
        )
    return _Profile(
        log_sizes=np.log(columns["batch sizes"]),
        log_steps=np.log(columns["steps"]),
    )


def _log_rise(log_b_crit: Floats, log_sizes: Floats) -> Floats:
    """Gives log(1 + b_crit / B), the curve over its plateau, one row per b_crit."""
    return np.logaddexp(0.0, np.subtract.outer(log_b_crit, log_sizes))


def _estimates(
    profile: _Profile, best: float, region: _Region, grid: Floats
) -> tuple[Estimate, Estimate, Estimate]:
    """Gives S_min, E_min and b_crit; an end of the grid becomes the limit that it stands for."""
    floor, ceiling = float(grid[0]), float(grid[-1])
    accepted = region.log_b_crit
    falls, rises = float(accepted[0]) == floor, float(accepted[-1]) == ceiling
    height = float(profile.log_s_min(np.array([best]))[0])
    s_low, s_high = np.exp(region.interval(np.zeros_like(accepted)))
    e_low, e_high = np.exp(region.interval(accepted))
    s_min = Estimate(
        value=0.0 if best == ceiling else math.exp(height),
        low=0.0 if rises else float(s_low),
        high=float(s_high),
    )
    e_min = Estimate(
        value=0.0 if best == floor else math.exp(height + best),
        low=0.0 if falls else float(e_low),
        high=float(e_high),
    )
    b_crit = Estimate(
        value={floor: 0.0, ceiling: math.inf}.get(best, math.exp(best)),
        low=0.0 if falls else math.exp(float(accepted[0])),
        high=math.inf if rises else math.exp(float(accepted[-1])),
    )
    return s_min, e_min, b_crit
