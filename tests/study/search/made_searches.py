"""Sweeps without training: outcomes of points are made, and everything else is the product's."""

import math
import random

import numpy as np

from study.records import Curve, Outcome, Seconds, Status, TrialResult
from study.search.queue import CohortQueue


def reached(steps):
    return Outcome(
        status=Status.REACHED, steps=steps, steps_before=steps - 1, stopped_at=steps, best_error=0.0
    )


def missed(steps=100):
    return Outcome(
        status=Status.EXHAUSTED, steps=None, steps_before=None, stopped_at=steps, best_error=0.5
    )


def trained(cohort, ends):
    """Return a cohort's results without training; `ends` maps batch size and point to outcomes."""
    results = []
    for point in cohort.points:
        ended = ends(cohort.batch_size, point)
        grid = np.arange(ended.stopped_at + 1)
        nothing = np.zeros(len(grid))
        steps = ended.steps or math.inf
        error = np.where(grid < steps, 0.6 - 0.5 * grid / steps, 0.0)
        curve = Curve(
            step=grid, train_loss=nothing, val_loss=nothing, val_error=error, seconds=nothing
        )
        results.append(
            TrialResult(
                batch_size=cohort.batch_size, cohort=cohort.number, point=point, curve=curve,
                outcome=ended, seconds=Seconds(), region=cohort.region,
            )
        )  # fmt: skip
    return results


def sweep(study, recorded=(), at_once=1, stop_after=math.inf, order=None, *, ends):
    """Run a queue dry with so many cohorts in flight; return the cohorts and all results."""
    results = sorted(recorded, key=lambda result: result.batch_size)
    queue, order = CohortQueue(study, results), order or random.Random(0)
    flying, cohorts = [], []
    while True:
        while len(flying) < at_once and (cohort := queue.take()) is not None:
            flying.append(cohort)
            cohorts.append(cohort)
        if not flying or len(cohorts) > stop_after:
            assert queue.empty or stop_after < math.inf
            return cohorts, results
        done = trained(flying.pop(order.randrange(len(flying))), ends)
        results += done
        if queue.finish(done):
            size = done[0].batch_size
            queue.plan(size, [r for r in results if r.batch_size == size])


def key(cohort):
    return cohort.batch_size, cohort.role, cohort.number
