"""Samplers: the built-in ones, and users' own, found by file or entry point.

A user's class is instantiated anew for every cohort, told everything that its points may depend on,
and asked once. So points follow from the study alone, whatever the number of workers, also after a
stop.
"""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import numpy as np
import optuna
from numpy.typing import NDArray

from study.config.study import ResolvedStudy
from study.errors import StudyError, cause, shown
from study.search.shared import SharedSearch
from workloads.entry_points import Kind
from workloads.registry import plug_in

UnitPoints = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True)
class Finished:
    """A trial that has ended, as a sampler sees it.

    Attributes:
        point: its position in the box, each coordinate from 0 (low) to 1 (high) on the scale of its
            hyperparameter; shape (dimensions,).
        objective: finite number to minimize: steps to target; if missed, at least the budget, less
            the nearer it came to the target.
        status: how it ended, as in `trials.parquet`.
        steps: steps to target; None unless reached.
        best_error: lowest validation error; None without a finite measurement.
    """

    point: UnitPoints
    objective: float
    status: str
    steps: int | None
    best_error: float | None


class OwnSampler(Protocol):
    """A user's own sampler, which has no results yet."""

    def tell(self, finished: Sequence[Finished]) -> None:
        """Take in all trials of this search that have ended, in the order of their numbers."""

    def suggest(self, trials: Sequence[int]) -> Any:
        """Return a point per trial number, shape (trials, dimensions), each from 0 to 1."""


class Make(Protocol):
    """The class of a user's own sampler.

    Attributes:
        adaptive: whether points depend on earlier results. If not, they depend on seed and trial
            number alone, and `tell` is never called.
    """

    adaptive: bool

    def __call__(self, dimensions: int, seed: int) -> OwnSampler:
        """Return a sampler without results.

        Args:
            dimensions: number of searched hyperparameters, >= 1, in the order of their columns.
            seed: for all random draws; one per batch size or, if adaptive, per cohort.
        """


def made_sampler(made: object, name: str) -> Make:
    """Return a sampler's class, checked to have the methods of its kind.

    Raises:
        StudyError: one is missing; the message calls the class `name`.
    """
    adaptive = getattr(made, "adaptive", None)
    wanted = ["suggest", "tell"] if adaptive else ["suggest"]
    missing = [f"{method}()" for method in wanted if not callable(getattr(made, method, None))]
    if not isinstance(made, type) or not isinstance(adaptive, bool):
        missing.insert(0, "adaptive = True or False")
    if missing:
        raise StudyError(
            "a sampler must be a class with `adaptive`, __init__(dimensions, seed), "
            "suggest(trials) and, if adaptive, tell(finished), got none of "
            f"{' and '.join(missing)} from {name}; add it"
        )
    checked: Any = made
    return checked  # type: ignore[no-any-return]


def suggested(
    name: str, make: Make, size: tuple[int, int], trials: Sequence[int], told: Sequence[Finished]
) -> UnitPoints:
    """Return the points of some trials from a new sampler, checked.

    Args:
        name: the sampler's name, for messages.
        make: its class.
        size: dimensions and seed.
        trials: numbers of the trials, rising.
        told: earlier trials, ignored unless it is adaptive.

    Raises:
        StudyError: it fails, or its points have another shape or lie outside [0, 1].
    """
    try:
        sampler = make(*size)
        if make.adaptive:
            sampler.tell(list(told))
        points = np.array(sampler.suggest(list(trials)), dtype=np.float64)
    except (Exception, SystemExit) as error:
        raise StudyError(
            f"sampler {name} must suggest points, got {cause(error)} for trials {shown(trials)}"
        ) from error
    expected = len(trials), size[0]
    if points.shape != expected:
        raise StudyError(
            f"sampler {name} must suggest points of shape {expected}, one row for each trial, got "
            f"{points.shape}"
        )
    if not ((points >= 0) & (points <= 1)).all():
        raise StudyError(
            f"the points of sampler {name} must be numbers from 0 to 1, got {points.min():g} to "
            f"{points.max():g}"
        )
    return points


@dataclass(frozen=True, kw_only=True, slots=True)
class Sampler:
    """A source of points; one of `points`, `adaptive` and `own` is set."""

    # maps (dimensions, count, seed) to the first `count` points of a fixed sequence in the unit
    # cube, shape (count, dimensions); fewer points are a prefix of more
    points: Callable[[int, int, int], UnitPoints] | None = None
    # maps a seed to an Optuna sampler that learns from finished trials
    adaptive: Callable[[int], optuna.samplers.BaseSampler] | None = None
    own: Make | None = None  # class of a user's own sampler that learns
    # makes the search shared by all batch sizes, which replaces most of the `points`
    together: Callable[[ResolvedStudy], SharedSearch] | None = None

    @property
    def learns(self) -> bool:
        """Whether points depend on earlier results, so that trials are no even sample."""
        return any(kind is not None for kind in (self.adaptive, self.own, self.together))


def _halton(dimensions: int, count: int, seed: int) -> UnitPoints:
    from scipy.stats import qmc  # here: a sweep with no missing trials never loads scipy.stats

    return qmc.Halton(dimensions, scramble=True, rng=np.random.default_rng(seed)).random(count)


def _sobol(dimensions: int, count: int, seed: int) -> UnitPoints:
    from scipy.stats import qmc

    engine = qmc.Sobol(dimensions, scramble=True, rng=np.random.default_rng(seed))
    return engine.random_base2((count - 1).bit_length())[:count]


def _random(dimensions: int, count: int, seed: int) -> UnitPoints:
    return np.random.default_rng(seed).random((count, dimensions))


def _tpe(seed: int) -> optuna.samplers.BaseSampler:
    with warnings.catch_warnings(action="ignore", category=optuna.exceptions.ExperimentalWarning):
        return optuna.samplers.TPESampler(seed=seed % 2**32, constant_liar=True)


def _gp(seed: int) -> optuna.samplers.BaseSampler:
    with warnings.catch_warnings(action="ignore", category=optuna.exceptions.ExperimentalWarning):
        return optuna.samplers.GPSampler(seed=seed % 2**32, deterministic_objective=True)


SAMPLERS: Mapping[str, Sampler] = {
    "halton": Sampler(points=_halton),
    "sobol": Sampler(points=_sobol),
    "random": Sampler(points=_random),
    "tpe": Sampler(adaptive=_tpe),
    "gp": Sampler(adaptive=_gp),
    "shared": Sampler(points=_halton, together=SharedSearch),
}
_KIND = Kind(noun="sampler", article="a", builtin=SAMPLERS, error=StudyError)


def sampler_named(name: str) -> Sampler:
    """Return the sampler that a study file names: by name, or as path/to/file.py:Class.

    Raises:
        StudyError: the name is unknown, two packages provide it, or it does not name a sampler.
        WorkloadError: the file does not import, or may not run.
    """  # noqa: DOC502  (raised inside)
    made = plug_in(_KIND, "search.sampler", name)
    return SAMPLERS[name] if made is None else of_class(name, made_sampler(made, name))


def shared_search(name: str) -> Callable[[ResolvedStudy], SharedSearch] | None:
    """Return the maker of the search that all batch sizes share; None where each has its own."""
    return SAMPLERS[name].together if name in SAMPLERS else None


def of_class(name: str, make: Make) -> Sampler:
    """Return the sampler of a user's class."""
    if make.adaptive:
        return Sampler(own=make)
    return Sampler(points=partial(_asked, name, make))


def _asked(name: str, make: Make, dimensions: int, count: int, seed: int) -> UnitPoints:
    return suggested(name, make, (dimensions, seed), range(count), ())
