"""Log steps between recorded points: a smooth surface, and the deviations of seeds from it."""

from itertools import product

import numpy as np
from scipy.interpolate import RBFInterpolator
from scipy.spatial import KDTree

_BEYOND = 2.0
"""Largest extrapolation of steps to a missed level, as a multiple of the steps of the run."""
_NEAR = 2.5
"""Points within this multiple of the fewest steps count for the choice and for deviations."""
_SMOOTHINGS, _STRETCHES, _FOLDS = (1e-3, 1e-2, 0.1, 1.0), (1.0, 2.0, 4.0), 6


class Surface:
    """Thin-plate splines through the mean log steps of each point to every level of error.

    Cross-validation on points near the best chooses their smoothing, and the stretch of the search
    space across lines of equal lr / (1 - momentum), along which valleys run.
    """

    def __init__(self, places, point, passages, lost):
        """Fit the surface.

        Args:
            places: positions of the points in natural logarithms, shape (points, searched).
            point: number of each run's point, shape (runs,).
            passages: log steps of each run to every level, the target last; shape (runs, levels).
            lost: whether each run diverged, shape (runs,).
        """
        kept = ~lost
        seeds = np.bincount(point[kept], minlength=len(places))
        sums = np.stack(
            [np.bincount(point[kept], column[kept], len(places)) for column in passages.T]
        )
        stable = seeds > 0
        mean, seeds = (sums[:, stable] / seeds[stable]).T, seeds[stable]
        near = mean[:, -1] < mean[:, -1].min() + np.log(_NEAR)
        self._nearest = KDTree(places)
        self._lost_most = np.bincount(point, lost) > 0.5 * np.bincount(point)
        self.chosen = _chosen(places[stable], mean[:, -1], seeds, near)
        smoothing, self._stretch = self.chosen
        self._log_steps = _spline(_stretched(places[stable], self._stretch), mean, seeds, smoothing)
        of = np.flatnonzero(stable)[near & (seeds > 1)]
        runs = kept & np.isin(point, of)
        count, where = np.zeros(len(places)), np.zeros(len(places))
        count[stable], where[stable] = seeds, mean[:, -1]
        off, n = passages[runs, -1] - where[point[runs]], count[point[runs]]
        self.deviations = off * np.sqrt(n / (n - 1))

    def log_steps(self, places):
        """Return log steps to every level at places, never decreasing; (places, levels)."""
        found = self._log_steps(_stretched(places, self._stretch))
        return np.minimum.accumulate(found[:, ::-1], axis=1)[:, ::-1]

    def median_steps(self, places):
        """Return the median steps to target at places, infinite where most runs diverge."""
        steps = np.exp(self.log_steps(places)[:, -1] + np.median(self.deviations))
        return np.where(self._lost_most[self.nearest(places)], np.inf, steps)

    def nearest(self, places):
        """Return the number of the recorded point that is nearest to each place."""
        return self._nearest.query(places)[1]


def log_passages(steps, before, followed, levels):
    """Return log steps to each level of error, in the middle of their brackets; (runs, levels).

    Args:
        steps: step of the first measurement below each level, NaN if never; shape (runs, levels).
        before: step of the measurement before it.
        followed: last step of each run.
        levels: the error at the start, then all levels.
    """
    found = np.log((steps + before) / 2)
    last = levels[np.isfinite(found).sum(axis=1)]
    ratio = np.minimum(last[:, None] / levels[1:], _BEYOND)
    return np.where(np.isfinite(found), found, np.log(followed)[:, None] + np.log(ratio))


def _stretched(places, stretch):
    """Return places in coordinates across and along lines of equal lr / (1 - momentum)."""
    if places.shape[1] != 2:
        return places
    across = places @ [1.0, 1.0]
    along = places @ [1.0, -1.0]
    return np.stack([stretch * across, along], axis=-1)


def _spline(places, values, seeds, smoothing):
    return RBFInterpolator(places, values, smoothing=smoothing * 3 / seeds)


def _chosen(places, values, seeds, near):
    """Return the smoothing and stretch that best predict points near the best from the others."""
    fold, predicted = np.arange(len(places)) % _FOLDS, np.zeros(len(places))
    errors = {}
    stretches = _STRETCHES if places.shape[1] == 2 else (1.0,)
    for stretch, smoothing in product(stretches, _SMOOTHINGS):
        at = _stretched(places, stretch)
        for out in range(_FOLDS):
            kept = fold != out
            spline = _spline(at[kept], values[kept], seeds[kept], smoothing)
            predicted[~kept] = spline(at[~kept])
        errors[smoothing, stretch] = np.square(predicted - values)[near].mean()
    return min(errors, key=errors.get)
