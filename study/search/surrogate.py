"""A surrogate of the searches at all batch sizes together, and where it says to look.

Two Gaussian processes over hyperparameters and log batch size: one of how far a trial was from the
target when the best one of its batch size reached it, one of where training does not diverge.
Points are drawn by Thompson sampling: each is the best of another function that the trials allow,
so that a cohort spreads as far as the surrogate is unsure.
"""

import warnings

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cholesky
from scipy.stats import qmc
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessClassifier, GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Kernel, Matern, WhiteKernel
from threadpoolctl import threadpool_limits

from study.records import Floats

Mask = NDArray[np.bool_]
Indices = NDArray[np.int64]

CANDIDATES = 384
"""Points among which a cohort's are chosen: a third spread over the box, others near the best."""
_LEADERS, _NEAREST, _FARTHEST = 10, 0.003, 0.2
"""Best points that have candidates near, and how near, as shares of the ranges."""
_KERNEL_FROM, _TRIALS = 160, 640
"""Most trials from which the kernel is fitted, and most that are known: both cost their cube."""
_LENGTH, _LENGTH_OF_SIZE = 0.3, 0.7
_JITTER = 1e-5


class Surrogate:
    """What some trials say of all points at all batch sizes."""

    def __init__(self, places: Floats, excess: Floats, diverged: Mask) -> None:
        """Fit both processes; at least one trial must not have diverged.

        Args:
            places: positions in the box and log batch size, shape (trials, searched + 1).
            excess: log of error over target, >= 0, when the best trial of the batch size reached
                it; shape (trials,). Of no meaning for a trial that diverged.
            diverged: which trials diverged, shape (trials,).
        """
        self._places = places
        with threadpool_limits(1):  # so that sums, and with them points, do not depend on cores
            self._worth = _regression(places[~diverged], _worth(excess[~diverged]))
            self._trains = _classification(places, ~diverged)

    def propose(
        self, log_size: float, box: tuple[Floats, Floats], count: int, rng: np.random.Generator
    ) -> Floats:
        """Return different points to try at one batch size, shape (count, searched).

        Args:
            log_size: log of the batch size, scaled as in `places`.
            box: lowest and highest positions, each of shape (searched,).
            count: number of points, >= 1.
            rng: draws candidates and functions.
        """
        with threadpool_limits(1):
            candidates = self._candidates(log_size, box, max(CANDIDATES, 3 * count), rng)
            places = _beside(candidates, log_size)
            mean, covariance = self._worth.predict(places, return_cov=True)
            covariance[np.diag_indices_from(covariance)] += (
                _JITTER - self._worth.kernel_.k2.noise_level
            )
            draws = cholesky(covariance, lower=True) @ rng.standard_normal((len(mean), count))
            worth = self._with_divergence(places, (mean[:, None] + draws).T)
        chosen: list[int] = []
        for row in worth:
            row[chosen] = np.inf
            chosen.append(int(row.argmin()))
        return candidates[chosen]

    def _candidates(
        self, log_size: float, box: tuple[Floats, Floats], count: int, rng: np.random.Generator
    ) -> Floats:
        low, high = box
        known = np.unique(np.clip(self._places[:, :-1], low, high), axis=0)
        places = _beside(known, log_size)
        expected = self._with_divergence(places, self._worth.predict(places))
        leaders = known[np.argsort(expected, kind="stable")[:_LEADERS]]
        spread = low + (high - low) * qmc.Halton(len(low), rng=rng).random(count // 3)
        near = count - len(spread)
        away = np.exp(rng.uniform(np.log(_NEAREST), np.log(_FARTHEST), (near, 1)))
        around = leaders[rng.integers(len(leaders), size=near)]
        around = around + away * rng.standard_normal(around.shape)
        # those beyond an edge meet there
        return np.unique(np.concatenate([spread, np.clip(around, low, high)]), axis=0)

    def _with_divergence(self, places: Floats, worth: Floats) -> Floats:
        if self._trains is None:
            return worth
        expected: Floats = worth * self._trains.predict_proba(places)[:, 1]
        return expected


def _worth(excess: Floats) -> Floats:
    """Return excess on a scale from -1, the best, to 0: far off, diverged, or not known at all."""
    return -1 / (1 + excess)


def _regression(places: Floats, worth: Floats) -> GaussianProcessRegressor:
    order = np.argsort(worth, kind="stable")
    few, most = _best_and_others(order, _KERNEL_FROM), _best_and_others(order, _TRIALS)
    kernel = ConstantKernel(0.3, (1e-2, 3.0)) * _matern(places) + WhiteKernel(1e-2, (1e-5, 0.1))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # bounds are meant to be met
        fitted = GaussianProcessRegressor(kernel).fit(places[few], worth[few]).kernel_
    # the last digits of a fit differ between machines, and must not move points
    rounded = fitted.clone_with_theta(np.round(fitted.theta, 1))
    return GaussianProcessRegressor(rounded, optimizer=None).fit(places[most], worth[most])


def _classification(places: Floats, trained: Mask) -> GaussianProcessClassifier | None:
    if trained.all():
        return None
    most = _evenly(np.argsort(trained, kind="stable"), _TRIALS)  # the ends: one of each kind
    kernel = ConstantKernel(25.0) * _matern(places)
    return GaussianProcessClassifier(kernel, optimizer=None).fit(places[most], trained[most])


def _matern(places: Floats) -> Kernel:
    lengths = [_LENGTH] * (places.shape[1] - 1) + [_LENGTH_OF_SIZE]
    return Matern(lengths, (0.03, 10.0), nu=2.5)


def _best_and_others(ranking: Indices, most: int) -> Indices:
    """Return up to `most` of a ranking: half of them its first, the others spread over the rest."""
    if len(ranking) <= most:
        return ranking
    return np.concatenate([ranking[: most // 2], _evenly(ranking[most // 2 :], most - most // 2)])


def _evenly(order: Indices, most: int) -> Indices:
    places = np.linspace(0, len(order) - 1, min(len(order), most)).round().astype(int)
    spread: Indices = order[places]
    return spread


def _beside(positions: Floats, log_size: float) -> Floats:
    return np.column_stack([positions, np.full(len(positions), log_size)])
