"""The search that all batch sizes share, with made outcomes whose best points are known."""

import math
import random

import numpy as np
import pytest

from study.records import Outcome, Role, Status
from study.search.queue import CohortQueue
from study.search.shared import EVERY, FIRST
from tests.study.search import made_searches
from tests.study.search.made_searches import key, reached

DIVERGED = Outcome(
    status=Status.DIVERGED, steps=None, steps_before=None, stopped_at=3, best_error=None
)


def outcome(size, point):
    """Steps are fewest at lr = 0.01 x the batch size; from 3 times that on, training diverges."""
    away = math.log(point.values["lr"] / (0.01 * size))
    return DIVERGED if away > math.log(3) else reached(round(60 * (1 + away**2)) + 1)


def sweep(study, recorded=(), **options):
    return made_searches.sweep(study, recorded, ends=outcome, **options)


@pytest.fixture(scope="module")
def study(make_study):
    lr = {"low": 1e-3, "high": 1.0, "scale": "log"}
    return make_study(
        batch_sizes=[2, 8, 32],
        search={"sampler": "shared", "trials": 16, "extend": 1, "space": {"lr": lr}},
        replicates={"seeds": 2},
    )


@pytest.fixture(scope="module")
def alone(study):
    return sweep(study)


@pytest.mark.parametrize("at_once", [2, 9])
def test_the_points_do_not_depend_on_how_many_run_at_once(study, alone, at_once):
    together, _ = sweep(study, at_once=at_once, order=random.Random(at_once))
    assert sorted(together, key=key) == sorted(alone[0], key=key)


@pytest.mark.parametrize("cut", [1, 4, 7])
def test_a_stopped_sweep_goes_on_to_the_same_points(study, alone, cut):
    _, recorded = sweep(study, stop_after=cut)
    again, _ = sweep(study, recorded)
    assert again
    assert all(cohort in alone[0] for cohort in again)


def test_batch_sizes_run_in_rounds(study, alone):
    rounds = [cohort.number for cohort in alone[0] if cohort.role is Role.SEARCH]
    assert rounds == sorted(rounds)
    queue = CohortQueue(study, [])
    first = [queue.take() for _ in study.batch_sizes]
    queue.finish(made_searches.trained(first[0], outcome))
    queue.finish(made_searches.trained(first[1], outcome))
    assert queue.take() is None
    queue.finish(made_searches.trained(first[2], outcome))
    assert queue.take().number == 4


def test_it_learns_where_the_best_points_are(alone):
    searched = [r for r in alone[1] if r.point.role is Role.SEARCH]
    late = [r for r in searched if r.point.trial >= FIRST and r.point.trial % EVERY]
    even = [r for r in searched if r.point.trial < FIRST or r.point.trial % EVERY == 0]
    away = lambda r: abs(math.log(r.point.values["lr"] / (0.01 * r.batch_size)))  # noqa: E731
    assert np.median([away(r) for r in late]) < 0.5 * np.median([away(r) for r in even])


def test_points_keep_away_from_trials_that_diverged(make_study):
    """Of lr times weight decay only a thin valley trains; beyond it all diverges."""
    at = {"low": 1e-4, "high": 1.0, "scale": "log"}
    study = make_study(
        batch_sizes=[4, 16, 64],
        search={"sampler": "shared", "trials": 64, "space": {"lr": at, "weight_decay": at}},
        race={"cohort": {"lanes": 16}},
    )

    def ends(size, point):
        lr, decay = (math.log(point.values[name]) for name in ("lr", "weight_decay"))
        below = math.log(1e-4 * size) - (lr + decay)
        return DIVERGED if below < 0 else reached(round(60 * (1 + below**2 + (lr + 4) ** 2 / 9)))

    _, results = made_searches.sweep(study, ends=ends)
    late = [r for r in results if r.point.trial >= 32 and r.point.trial % EVERY]
    assert np.mean([r.outcome.status is Status.DIVERGED for r in late]) < 0.15


def test_pruned_trials_keep_nobody_away(make_study):
    """A rung does not tell whether a point is good, where all are alike: it is as if unknown."""
    at = {"low": 1e-4, "high": 1.0, "scale": "log"}
    search = {"sampler": "shared", "trials": 32, "space": {"lr": at, "weight_decay": at}}
    study = make_study(batch_sizes=[4], search=search, race={"cohort": {"lanes": 16}})

    def drawn(other):
        def ends(size, point):
            return reached(60 + point.trial) if point.trial % 2 else other

        cohorts, _ = made_searches.sweep(study, ends=ends)
        return [tuple(p.values.values()) for c in cohorts if c.number == 16 for p in c.points]

    left = {"steps": None, "steps_before": None, "stopped_at": 15, "best_error": 0.5}
    unknown, pruned, capped = (
        drawn(Outcome(status=status, **left))
        for status in (Status.FAILED, Status.PRUNED, Status.CAPPED)
    )
    assert pruned == unknown != capped


def test_the_last_quarter_of_64_trials_is_not_pruned(make_study):
    lr = {"low": 1e-3, "high": 1.0, "scale": "log"}
    common = make_study(
        batch_sizes=[4, 16],
        search={"sampler": "shared", "trials": 136, "space": {"lr": lr}},
        race={"cohort": {"lanes": 16}, "prune": [0.25, 0.5]},
    )
    cohorts, _ = sweep(common)
    for size in (4, 16):
        searched = [c for c in cohorts if c.batch_size == size and c.role is Role.SEARCH]
        # of the very first cohort nothing is expected yet
        assert {c.number for c in searched if c.number and not c.expected_steps} == {48, 112}


def test_a_lost_cohort_ends_the_rounds_and_the_next_sweep_takes_them_up(study, alone):
    queue = CohortQueue(study, [])
    first = [queue.take() for _ in study.batch_sizes]
    queue.lose(first[0])
    kept = [made_searches.trained(cohort, outcome) for cohort in first[1:]]
    for results in kept:
        queue.finish(results)
    assert queue.take() is None
    assert queue.empty
    again, _ = sweep(study, [result for results in kept for result in results])
    assert sorted([*first[1:], *again], key=key) == sorted(alone[0], key=key)


@pytest.mark.parametrize("searched", [0, 1, 4])
def test_any_number_of_hyperparameters_may_be_searched(make_study, searched):
    low, names = {"low": 0.01, "high": 0.9}, ["lr", "momentum", "weight_decay", "label_smoothing"]
    space = dict.fromkeys(names, 0.1) | dict.fromkeys(names[:searched], low)
    # a base that one scale counts from below and another from above
    space |= {"momentum": low | {"scale": "reverse-log"}} if searched > 1 else {}
    search = {"sampler": "shared", "trials": 24, "space": space}
    cohorts, _ = sweep(make_study(batch_sizes=[4, 16], search=search))
    points = [(c.batch_size, tuple(p.values.values())) for c in cohorts for p in c.points]
    assert len(set(points)) == (48 if searched else 2)
    assert all(0.01 <= value <= 0.9 for _, values in points for value in values)
    fixed = [{p.values[name] for c in cohorts for p in c.points} for name in names[searched:]]
    assert fixed == [{0.1}] * (4 - searched)


def test_it_closes_in_on_a_valley_that_moves_with_the_batch_size(make_study):
    at = {"low": 1e-4, "high": 1.0, "scale": "log"}
    space = {"lr": at, "weight_decay": at}
    search = {"sampler": "shared", "trials": 64, "space": space}
    study = make_study(batch_sizes=[4, 16, 64, 256], search=search, race={"cohort": {"lanes": 16}})

    def away(size, values):
        lr, decay = (math.log(values[name]) for name in space)
        across = lr + decay - math.log(1e-6 * size)
        return math.hypot(across / 0.5, (lr - math.log(1e-4 * size)) / 2)

    _, results = made_searches.sweep(
        study, ends=lambda size, point: reached(round(60 * (1 + away(size, point.values) ** 2)))
    )
    for size in study.batch_sizes:
        found = [away(size, r.point.values) for r in results if r.batch_size == size]
        assert np.median(found[-16:]) < 0.2 * np.median(found[: 2 * FIRST])
        assert min(found) < 0.2
