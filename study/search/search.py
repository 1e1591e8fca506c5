"""The hyperparameter search at one batch size, as one Optuna study.

With the sampler "shared", the searches of all batch sizes learn from one another.

Quasi-random points are enqueued. Optuna's own QMC sampler draws the first trials of a parallel
search independently of the sequence, so its N trials would not be the first N points.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, FloatDistribution
from optuna.trial import FrozenTrial, TrialState

from study.config.space import Range, Scale
from study.config.study import ResolvedStudy
from study.records import Outcome, Region, Status, TrialResult
from study.search.samplers import (
    SAMPLERS,
    Finished,
    Make,
    Sampler,
    sampler_named,
    suggested,
)
from study.search.shared import SharedSearch, prunes
from study.seeding import derive_seed

_DISTRIBUTIONS: Mapping[Scale, Callable[[Range], FloatDistribution]] = {
    Scale.LINEAR: lambda r: FloatDistribution(r.low, r.high),
    Scale.LOG: lambda r: FloatDistribution(r.low, r.high, log=True),
    Scale.REVERSE_LOG: lambda r: FloatDistribution(1 - r.high, 1 - r.low, log=True),
}


class Search:
    """The search at one batch size, which proposes points and learns from results."""

    def __init__(
        self, resolved: ResolvedStudy, batch_size: int, shared: SharedSearch | None = None
    ) -> None:
        """Start a search without results; `shared` is that of all batch sizes, if there is one."""
        self._batch_size, self._shared = batch_size, shared
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._seed = derive_seed(resolved.seed, batch_size, "search")
        self._name = resolved.search.sampler
        builtin = SAMPLERS.get(self._name)
        # whether points depend on earlier results, so that cohorts must wait for one another
        self.adaptive = builtin.learns if builtin else resolved.adaptive
        self._told: list[TrialResult] = []
        self._budget = resolved.budget(batch_size)
        self._fixed = {n: e for n, e in resolved.search.space.items() if not isinstance(e, Range)}
        self._box = resolved.ranges
        self._ranges = dict(self._box)
        self._resolved = resolved
        self._optuna = optuna.create_study()

    @cached_property
    def _sampler(self) -> Sampler:
        # found when it is asked: whoever only counts the trials of a stranger runs no code
        return sampler_named(self._name)

    @property
    def ranges(self) -> Mapping[str, Range]:
        """The box with its extensions, by searched hyperparameter."""
        return dict(self._ranges)

    def widen(self, region: Region) -> None:
        """Extend the box by a region; what was learned stays."""
        for name, (low, high) in region.box.items():
            entry = self._ranges[name]
            ends = {"low": min(low, entry.low), "high": max(high, entry.high)}
            self._ranges[name] = entry.model_copy(update=ends)
        # Optuna's samplers ignore trials whose ranges differ from the present ones
        done = [t for t in self._optuna.get_trials() if t.state is TrialState.COMPLETE]
        self._optuna = optuna.create_study()
        for trial in done:
            trial.distributions = self._distributions()
        self._optuna.add_trials(done)

    def propose(
        self, trials: Sequence[int], region: Region | None = None
    ) -> list[dict[str, float]]:
        """Return one point per trial number: values of every hyperparameter, in their order.

        A region has a fixed sequence of its own, as dense as that of the box; a search that learns
        proposes other points in the complete widened box. Numbers are rising and >= 0.
        """
        if self._sampler.adaptive is not None:
            path = (trials[0],) if region is None else ("extension", trials[0])
            self._optuna.sampler = self._sampler.adaptive(derive_seed(self._seed, *path))
        else:
            # a new study: earlier trials are of no use here, and would be scanned at every point
            self._optuna = optuna.create_study()
            for point in self._points(trials, region):
                self._optuna.enqueue_trial(self._to_parameters(point))
        proposed = [self._optuna.ask(fixed_distributions=self._distributions()) for _ in trials]
        return [self._values(trial.params) for trial in proposed]

    def prunes(self, first: int, region: Region | None = None) -> bool:
        """Return whether the cohort may be pruned whose first trial is given, in box or region."""
        if self._resolved.race.prune is None:
            return False
        return self._shared is None or region is not None or prunes(first)

    def learn(self, results: Sequence[TrialResult]) -> None:
        """Add the results of one cohort, in trial order; only adaptive searches need them.

        They replace the cohort's open proposals, so that a search rebuilt from recorded parts is in
        the same state as one that never stopped.
        """
        if self._shared is not None:
            self._shared.learn(results)
        if self._name not in SAMPLERS and self.adaptive:
            self._told += [result.without_curve() for result in results]
        if self._name not in SAMPLERS or self._sampler.adaptive is None:
            return
        done = [t for t in self._optuna.get_trials() if t.state is TrialState.COMPLETE]
        sampler = self._optuna.sampler
        self._optuna = optuna.create_study(sampler=sampler)
        self._optuna.add_trials([*done, *self.frozen(results)])

    def frozen(self, results: Sequence[TrialResult]) -> list[FrozenTrial]:
        """Return results as Optuna's trials."""
        return [self._frozen(result) for result in results]

    def _frozen(self, result: TrialResult) -> FrozenTrial:
        outcome = result.outcome
        return optuna.create_trial(
            state=TrialState.COMPLETE,
            value=_objective(outcome, self._budget),
            params=self._to_parameters(result.point.values),
            distributions=self._distributions(),
            user_attrs={
                "trial": result.point.trial,
                "status": str(outcome.status),
                "best_error": outcome.best_error,
                "stopped_at": outcome.stopped_at,
            },
        )

    def _points(self, trials: Sequence[int], region: Region | None) -> list[dict[str, float]]:
        """Return points of the sequence over the box or the region, or what replaces them."""
        if not self._ranges:
            return [{} for _ in trials]
        if self._sampler.own is not None:
            return self._own_points(self._sampler.own, trials, region)
        assert self._sampler.points is not None  # the only kind that is left
        dimensions = len(self._ranges)
        if region is None:
            ranges, places = self._box, np.array(trials)
            unit = self._sampler.points(dimensions, trials[-1] + 1, self._seed)
        else:
            ranges, places = _within(self._ranges, region), np.array(trials) - region.first
            seed = derive_seed(self._seed, "extension", region.number)
            unit = self._sampler.points(dimensions, region.trials, seed)
        points = [
            {name: entry.at(float(u)) for (name, entry), u in zip(ranges.items(), row, strict=True)}
            for row in unit[places]
        ]
        if self._shared is None:
            return points
        better = self._shared.points(self._batch_size, trials, region, self._ranges)
        return [better.get(trial, point) for trial, point in zip(trials, points, strict=True)]

    def _own_points(
        self, make: Make, trials: Sequence[int], region: Region | None
    ) -> list[dict[str, float]]:
        """Return what a user's sampler suggests in the box with its extensions."""
        path = (trials[0],) if region is None else ("extension", trials[0])
        size = len(self._ranges), derive_seed(self._seed, *path)
        told = [self._finished(result) for result in self._told]
        unit = suggested(self._name, make, size, trials, told)
        return [
            {n: e.at(float(u)) for (n, e), u in zip(self._ranges.items(), row, strict=True)}
            for row in unit
        ]

    def _finished(self, result: TrialResult) -> Finished:
        outcome, values = result.outcome, result.point.values
        position = [entry.position(values[name]) for name, entry in self._ranges.items()]
        return Finished(
            point=np.clip(position, 0.0, 1.0),
            objective=_objective(outcome, self._budget),
            status=str(outcome.status),
            steps=outcome.steps,
            best_error=outcome.best_error,
        )

    def _to_parameters(self, values: Mapping[str, float]) -> dict[str, float]:
        parameters = {}
        for name, entry in self._ranges.items():
            reverse = entry.scale is Scale.REVERSE_LOG
            low, high = (1 - entry.high, 1 - entry.low) if reverse else (entry.low, entry.high)
            value = 1 - values[name] if reverse else values[name]
            parameters[_parameter_name(name, entry)] = min(max(value, low), high)
        return parameters

    def _values(self, parameters: Mapping[str, float]) -> dict[str, float]:
        values = dict(self._fixed)
        for name, entry in self._ranges.items():
            value = parameters[_parameter_name(name, entry)]
            values[name] = 1 - value if entry.scale is Scale.REVERSE_LOG else value
        values = self._resolved.complete(values, self._batch_size)
        return {name: values[name] for name in self._resolved.hyperparameters}

    def _distributions(self) -> dict[str, BaseDistribution]:
        return {
            _parameter_name(name, entry): _DISTRIBUTIONS[entry.scale](entry)
            for name, entry in self._ranges.items()
        }


def _within(ranges: Mapping[str, Range], region: Region) -> dict[str, Range]:
    return {
        name: ranges[name].model_copy(update={"low": low, "high": high})
        for name, (low, high) in region.box.items()
    }


def _parameter_name(name: str, entry: Range) -> str:
    return f"1 - {name}" if entry.scale is Scale.REVERSE_LOG else name


def _objective(outcome: Outcome, budget: int) -> float:
    """Return a finite number to minimize: steps, then distance to the target, then divergence."""
    if outcome.steps is not None:
        return float(outcome.steps)
    if outcome.status in {Status.DIVERGED, Status.FAILED} or outcome.best_error is None:
        return 3.0 * budget
    return budget * (1.0 + math.tanh(outcome.best_error))
