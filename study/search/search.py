"""The hyperparameter search at one batch size.

With the sampler "shared", the searches of all batch sizes learn from one another. Optuna runs the
samplers `tpe` and `gp` only: its QMC sampler draws the first trials of a parallel search
independently of the sequence, so its N trials would not be the first N points.
"""

import math
from collections.abc import Mapping, Sequence
from functools import cached_property

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, FloatDistribution
from optuna.trial import FrozenTrial, TrialState

from study.config.space import Range, Scale
from study.config.study import ResolvedStudy
from study.records import Outcome, Region, Status, TrialResult
from study.search.samplers import SAMPLERS, Finished, Sampler, sampler_named, suggested
from study.search.shared import SharedSearch, prunes
from study.seeding import derive_seed


class Search:
    """The search at one batch size, which proposes points and learns from results."""

    def __init__(
        self, resolved: ResolvedStudy, batch_size: int, shared: SharedSearch | None = None
    ) -> None:
        """Start a search without results; `shared` is that of all batch sizes, if there is one."""
        self._resolved, self._batch_size, self._shared = resolved, batch_size, shared
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._seed = derive_seed(resolved.seed, batch_size, "search")
        self._name = resolved.search.sampler
        builtin = SAMPLERS.get(self._name)
        # whether points depend on earlier results, so that cohorts must wait for one another
        self.adaptive = builtin.learns if builtin else resolved.adaptive
        self._budget = resolved.budget(batch_size)
        self._fixed = {n: e for n, e in resolved.search.space.items() if not isinstance(e, Range)}
        self._box = resolved.ranges
        self._ranges = dict(self._box)
        self._results: list[TrialResult] = []  # for a user's adaptive sampler
        self._trials: list[FrozenTrial] = []  # for Optuna's

    @cached_property
    def _sampler(self) -> Sampler:
        # not loaded before it is asked: a command that only counts trials runs no foreign code
        return sampler_named(self._name)

    @property
    def ranges(self) -> Mapping[str, Range]:
        """The box with its extensions, by searched hyperparameter."""
        return dict(self._ranges)

    def widen(self, region: Region) -> None:
        """Extend the box by a region; results learned before are kept."""
        for name, (low, high) in region.box.items():
            entry = self._ranges[name]
            ends = {"low": min(low, entry.low), "high": max(high, entry.high)}
            self._ranges[name] = entry.model_copy(update=ends)
        # Optuna's samplers ignore trials whose ranges differ from the present ones
        for trial in self._trials:
            trial.distributions = self._distributions()

    def propose(
        self, trials: Sequence[int], region: Region | None = None
    ) -> list[dict[str, float]]:
        """Return one point per trial number: values of every hyperparameter, in their order.

        A region has its own fixed sequence, as dense as the one of the box; an adaptive search
        proposes points anywhere in the widened box. Numbers are rising and >= 0.
        """
        if self._sampler.adaptive is not None:
            sampler = self._sampler.adaptive(self._cohort_seed(trials[0], region))
            asked = optuna.create_study(sampler=sampler)
            asked.add_trials(self._trials)
            forms = self._distributions()
            parameters = [asked.ask(fixed_distributions=forms).params for _ in trials]
        else:
            # in Optuna's form and back: recorded studies have points with its rounding
            parameters = [self._to_parameters(point) for point in self._points(trials, region)]
        return [self._values(point) for point in parameters]

    def prunes(self, first: int, region: Region | None = None) -> bool:
        """Return whether a cohort may be pruned, given its first trial and its region if any."""
        if self._resolved.race.prune is None:
            return False
        return self._shared is None or region is not None or prunes(first)

    def learn(self, results: Sequence[TrialResult]) -> None:
        """Add the results of one cohort, in trial order; only adaptive searches need them."""
        if self._shared is not None:
            self._shared.learn(results)
        elif self._name not in SAMPLERS:
            if self.adaptive:
                self._results += [result.without_curve() for result in results]
        elif self._sampler.adaptive is not None:
            self._trials += self.frozen(results)

    def frozen(self, results: Sequence[TrialResult]) -> list[FrozenTrial]:
        """Return results as Optuna's trials."""
        return [
            optuna.create_trial(
                state=TrialState.COMPLETE,
                value=_objective(result.outcome, self._budget),
                params=self._to_parameters(result.point.values),
                distributions=self._distributions(),
                user_attrs={
                    "trial": result.point.trial,
                    "status": str(result.outcome.status),
                    "best_error": result.outcome.best_error,
                    "stopped_at": result.outcome.stopped_at,
                },
            )
            for result in results
        ]

    def _cohort_seed(self, first: int, region: Region | None) -> int:
        path = (first,) if region is None else ("extension", first)
        return derive_seed(self._seed, *path)

    def _points(self, trials: Sequence[int], region: Region | None) -> list[dict[str, float]]:
        sampler, dimensions, ranges = self._sampler, len(self._ranges), self._box
        if not dimensions:
            return [{} for _ in trials]
        if sampler.own is not None:
            ranges, size = self._ranges, (dimensions, self._cohort_seed(trials[0], region))
            told = [self._finished(result) for result in self._results]
            unit = suggested(self._name, sampler.own, size, trials, told)
        else:
            assert sampler.points is not None  # the only kind that is left
            if region is None:
                unit = sampler.points(dimensions, trials[-1] + 1, self._seed)[np.array(trials)]
            else:
                ranges = _within(self._ranges, region)
                seed = derive_seed(self._seed, "extension", region.number)
                unit = sampler.points(dimensions, region.trials, seed)
                unit = unit[np.array(trials) - region.first]
        points = [
            {name: entry.at(float(u)) for (name, entry), u in zip(ranges.items(), row, strict=True)}
            for row in unit
        ]
        if self._shared is None:
            return points
        better = self._shared.points(self._batch_size, trials, region, self._ranges)
        return [better.get(trial, point) for trial, point in zip(trials, points, strict=True)]

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
            value = 1 - values[name] if entry.scale is Scale.REVERSE_LOG else values[name]
            form = _distribution(entry)
            parameters[_parameter_name(name, entry)] = min(max(value, form.low), form.high)
        return parameters

    def _values(self, parameters: Mapping[str, float]) -> dict[str, float]:
        values = dict(self._fixed)
        for name, entry in self._ranges.items():
            value = parameters[_parameter_name(name, entry)]
            values[name] = 1 - value if entry.scale is Scale.REVERSE_LOG else value
        values = self._resolved.complete(values, self._batch_size)
        return {name: values[name] for name in self._resolved.hyperparameters}

    def _distributions(self) -> dict[str, BaseDistribution]:
        ranges = self._ranges.items()
        return {_parameter_name(name, entry): _distribution(entry) for name, entry in ranges}


def _within(ranges: Mapping[str, Range], region: Region) -> dict[str, Range]:
    return {
        name: ranges[name].model_copy(update={"low": low, "high": high})
        for name, (low, high) in region.box.items()
    }


def _parameter_name(name: str, entry: Range) -> str:
    return f"1 - {name}" if entry.scale is Scale.REVERSE_LOG else name


def _distribution(entry: Range) -> FloatDistribution:
    if entry.scale is Scale.REVERSE_LOG:
        return FloatDistribution(1 - entry.high, 1 - entry.low, log=True)
    return FloatDistribution(entry.low, entry.high, log=entry.scale is Scale.LOG)


def _objective(outcome: Outcome, budget: int) -> float:
    """Return a finite number to minimize: steps, then distance to the target, then divergence."""
    if outcome.steps is not None:
        return float(outcome.steps)
    if outcome.status in {Status.DIVERGED, Status.FAILED} or outcome.best_error is None:
        return 3.0 * budget
    return budget * (1.0 + math.tanh(outcome.best_error))
