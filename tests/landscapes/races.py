"""Whole simulated studies: the product's queue and searches, with races on a landscape."""

import numpy as np

from study.engine.outcomes import Run, judge
from study.engine.race import Race
from study.engine.stopping_rules import StoppingRules
from study.planning.resolve import resolve
from study.records import Curve, Role, TrialResult
from study.search.queue import CohortQueue
from tests.landscapes.quadratic import BATCH_SIZES, _lanes
from workloads.builtin import quadratic

_PER_DOUBLING = 24
"""Measurements while the step doubles, so that two are 3 to 4 % apart, as in a race."""
_BLOWN_UP, _FOLLOWED = 1e6, 64.0


def made_study(landscape, sampler, trials, *, lanes=8, seed=0, seeds=0, prune=None, **search):
    """Return a resolved study of a landscape."""
    race = {"target": landscape.target, "max_steps": 2**18, "cohort": lanes}
    names = ("a", "b", "target", "dimension")
    return resolve(
        {
            "workload": "noisy-quadratic",
            "workload_options": {name: getattr(landscape, name) for name in names},
            "optimizer": landscape.optimizer,
            "batch_sizes": list(BATCH_SIZES),
            "seed": seed,
            "search": {"sampler": sampler, "trials": trials, "space": landscape.space} | search,
            "race": race if prune is None else race | {"prune": prune},
            "replicates": {"seeds": seeds},
        }
    )[0]


def raced(study, landscape, cohort, noise):
    """Return the results of a cohort.

    Args:
        study: the resolved study.
        landscape: what is searched.
        cohort: from the queue.
        noise: standard deviation of log steps over the seeds of one point.
    """
    rules = [
        StoppingRules.for_role(point.role, study, cohort.batch_size, cohort.best_steps)
        for point in cohort.points
    ]
    stretch = np.exp(
        [noise * np.random.default_rng(p.seed).standard_normal() for p in cohort.points]
    )
    # those that stay at a rung may be slower than one that goes, and are followed further
    far = 1.0 if cohort.expected_steps is None else _FOLLOWED
    grid, losses = _losses(landscape, cohort, stretch, rules[0], far)
    curves = [_curve(grid, *lane) for lane in zip(stretch, losses.T, strict=True)]
    runs = [Run(curve=curve, diverged_at=diverged_at) for curve, diverged_at in curves]
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
    """Lanes whose losses are known, for a race that prunes."""

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


def _losses(landscape, cohort, stretch, rules, far):
    """Return the steps of measurements and the loss of every lane there; NaN once it is dropped.

    Lanes are followed `far` times as long as the race without rungs would follow them.
    """
    values = {n: np.array([p.values[n] for p in cohort.points]) for n in landscape.space}
    lanes = _lanes(landscape, cohort.batch_size, values)
    live, rows, grid = np.arange(len(stretch)), [lanes._loss()], [0]
    end = rules.max_steps / stretch.min()
    if rules.best_steps is not None:
        end = far * rules.slack * rules.best_steps / stretch.min()
    stride = 1
    with np.errstate(over="ignore", invalid="ignore"):
        update = lanes._update(lanes._lr, cohort.batch_size)
        while len(live) and grid[-1] < end * 1.05:
            if grid[-1] == 2 * stride * _PER_DOUBLING:
                stride, update = 2 * stride, quadratic._twice(update)
            lanes._apply(update)
            grid.append(grid[-1] + stride)
            loss = lanes._loss()
            row = np.full(len(stretch), np.nan)
            row[live] = np.where(loss < _BLOWN_UP, loss, np.inf)
            rows.append(row)
            hit = loss < landscape.target
            if rules.shared and hit.any():
                fewest = (grid[-1] * stretch[live[hit]]).min()
                end = min(end, far * rules.slack * fewest / stretch.min())
            stay = ~hit & (loss < _BLOWN_UP)
            if not stay.all():
                live = live[stay]
                lanes.keep(stay)
                update = tuple(part[..., stay, :] for part in update)
    return np.array(grid), np.array(rows)


def _curve(grid, stretch, losses):
    """Return a lane's curve up to where it blew up, and the step of that; None if it did not."""
    blown = np.flatnonzero(np.isposinf(losses))
    steps = np.ceil(grid * stretch).astype(int)
    good = np.isfinite(losses)
    # a whole step comes after the moment on the grid that it is rounded up from
    steps, log_losses = np.unique(steps[good]), np.log(losses[good])
    loss = np.exp(np.interp(steps / stretch, grid[good], log_losses))
    nothing = np.zeros(len(steps))
    curve = Curve(step=steps, train_loss=nothing, val_loss=loss, val_error=loss, seconds=nothing)
    return curve, int(np.ceil(grid[blown[0]] * stretch)) if blown.size else None


def run_study(study, landscape, noise=0.05, recorded=None):
    """Return all results of a study, searches, extensions and replicates, one worker at a time.

    Args:
        study: the resolved study.
        landscape: what is searched.
        noise: standard deviation of log steps over the seeds of one point, or its function of the
            batch size.
        recorded: results that are there, by batch size.
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
