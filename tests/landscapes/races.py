"""Whole simulated studies: the product's queue and searches, with races on a landscape."""

import numpy as np

from study.engine.outcomes import judge
from study.engine.race import Race
from study.engine.stopping_rules import StoppingRules
from study.planning.resolve import resolve
from study.records import Role, TrialResult
from study.search.queue import CohortQueue

_FOLLOWED = 64.0


def made_study(landscape, sampler, trials, *, lanes=8, seed=0, seeds=0, prune=None, **search):
    """Return a resolved study of a landscape; `seeds` None is the sampler's default."""
    race = {"target": landscape.target, "max_steps": landscape.max_steps, "cohort": lanes}
    return resolve(
        {
            "workload": "noisy-quadratic",
            "workload_options": landscape.options,
            "optimizer": landscape.optimizer,
            "batch_sizes": list(landscape.batch_sizes),
            "seed": seed,
            "search": {"sampler": sampler, "trials": trials, "space": landscape.space} | search,
            "race": race if prune is None else race | {"prune": prune},
        }
        | ({} if seeds is None else {"replicates": {"seeds": seeds}})
    )[0]


def raced(study, landscape, cohort, noise):
    """Return the results of a cohort.

    Args:
        study: the resolved study.
        landscape: the landscape to search.
        cohort: a cohort from the queue.
        noise: standard deviation of log steps over the seeds of a point; recorded landscapes have
            noise of their own.
    """
    rules = [
        StoppingRules.for_role(point.role, study, cohort.batch_size, cohort.best_steps)
        for point in cohort.points
    ]
    # lanes kept at a rung may be slower than a dropped one, so all are followed further
    far = 1.0 if cohort.expected_steps is None else _FOLLOWED
    runs = landscape.runs(cohort, rules[0], noise, far)
    if cohort.expected_steps is not None:
        runs = _pruned(runs, StoppingRules.for_cohort(study, cohort))
    best = cohort.best_steps
    for run in runs:
        hits = run.curve.step[1:][run.curve.val_error[1:] < study.target]
        if rules[0].shared and hits.size:
            best = min(int(hits[0]), best or int(hits[0]))
    results = []
    for point, run in zip(cohort.points, runs, strict=True):
        rule = StoppingRules.for_role(point.role, study, cohort.batch_size, best)
        run, outcome = judge(run, rule)
        results.append(
            TrialResult(
                batch_size=cohort.batch_size, cohort=cohort.number, point=point, curve=run.curve,
                outcome=outcome, seconds=run.seconds, region=cohort.region,
            )
        )  # fmt: skip
    return results


class _Playback:
    """Lanes with known losses, for a race that prunes."""

    def __init__(self, runs):
        self._runs, self._step = list(runs), 0

    def advance(self, steps):
        self._step += steps
        return self.measure()[0]

    def measure(self):
        losses = np.array([self._loss(run) for run in self._runs])
        return losses, losses

    def keep(self, kept):
        self._runs = [run for run, keep in zip(self._runs, kept, strict=True) if keep]

    def _loss(self, run):
        if run.diverged_at is not None and self._step >= run.diverged_at:
            return np.nan
        row = np.searchsorted(run.curve.step, self._step, side="right") - 1
        return run.curve.val_loss[row]


def _pruned(runs, rules):
    """Return the runs as a race with rungs would have measured them; see `study.engine.race`."""
    lanes, race = _Playback(runs), Race(len(runs), rules)
    while race.fruitless or not race.over:
        if race.fruitless:
            lanes, race = _Playback(runs), Race(len(runs), rules.without_rungs())
        race.lap(lanes)
    return race.runs()


def run_study(study, landscape, noise=0.05, recorded=None):
    """Return all results of a study with one worker: searches, extensions and replicates.

    Args:
        study: the resolved study.
        landscape: the landscape to search.
        noise: as in `raced`, or a function that gives it for a batch size.
        recorded: results that exist already, by batch size.
    """
    order = list(Role)
    results = {
        size: sorted(
            (recorded or {}).get(size, ()), key=lambda r: (order.index(r.point.role), r.point.trial)
        )
        for size in study.batch_sizes
    }
    queue = CohortQueue(study, [result for some in results.values() for result in some])
    while (cohort := queue.take()) is not None:
        spread = noise(cohort.batch_size) if callable(noise) else noise
        done = raced(study, landscape, cohort, spread)
        results[cohort.batch_size] += done
        if queue.finish(done):
            queue.plan(cohort.batch_size, results[cohort.batch_size])
    assert queue.empty
    return results
