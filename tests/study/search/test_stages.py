"""The stages of a batch size, with a made search whose best learning rate is known."""

import itertools
import math
import random
import statistics
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from study.config.until import Grant
from study.records import Curve, Outcome, Role, ScalingRule, Seconds, Status, TrialResult
from study.search.queue import CohortQueue
from study.search.warm_start import inner_neighbor
from tests.study.search import made_searches
from tests.study.search.made_searches import key, reached

BLOBS = Path(__file__).parents[2] / "blobs.py"


def outcome(size, point, best):
    """Steps grow with the distance of the learning rate from the best one, and with luck."""
    away = abs(math.log(point.values["lr"] / best(size)))
    luck = point.seed % 1000 / 1e4
    steps = round(1000 / size * (1 + away + luck)) + 1
    return reached(steps)


def sweep(study, recorded=(), best=lambda size: 0.03, **options):
    """Run a queue dry; return the cohorts and all results."""
    ends = partial(outcome, best=best)
    return made_searches.sweep(study, recorded, ends=ends, **options)


def of_role(cohorts, role):
    return [point for cohort in cohorts for point in cohort.points if point.role is role]


FULL = {"trials": 16, "extend": 2, "warm_start": True}


@pytest.mark.parametrize("sampler", ["halton", "tpe"])
@pytest.mark.parametrize("at_once", [2, 5])
def test_the_cohorts_do_not_depend_on_how_many_run_at_once(make_study, sampler, at_once):
    study = make_study(
        batch_sizes=[2, 4, 8, 16, 32],
        search=FULL | {"sampler": sampler},
        replicates={"seeds": 3, "top": 2},
    )
    best = lambda size: 0.3 * size  # noqa: E731 - beyond the box from 4 on
    alone, _ = sweep(study, best=best)
    for seed in range(3):
        together, _ = sweep(study, best=best, at_once=at_once, order=random.Random(seed))
        assert sorted(together, key=key) == sorted(alone, key=key)
    assert {cohort.role for cohort in alone} == {Role.SEARCH, Role.EXTENSION, Role.REPLICATE}


PRUNED = {"race": {"prune": [0.25, 0.5]}}


@pytest.mark.parametrize("sampler", ["halton", "tpe"])
@pytest.mark.parametrize("at_once", [2, 5])
def test_what_pruned_cohorts_expect_does_not_depend_on_how_many_run_at_once(
    make_study, sampler, at_once
):
    search = {"trials": 10, "extend": 1, "sampler": sampler}
    study = make_study(batch_sizes=[2, 4, 8, 16, 32], search=search, **PRUNED)
    alone, _ = sweep(study)
    for seed in range(3):
        together, _ = sweep(study, at_once=at_once, order=random.Random(seed))
        assert sorted(together, key=key) == sorted(alone, key=key)
    expected = {(c.batch_size, c.number): c.expected_steps for c in alone}
    assert [size for (size, number), e in expected.items() if e is None] == [8]
    assert all(c.expected_steps == c.best_steps for c in alone if c.number)


def test_a_first_cohort_expects_the_most_that_its_inner_neighbor_leaves_possible(make_study):
    study = make_study(batch_sizes=[4, 8, 32], replicates={"seeds": 2}, **PRUNED)
    cohorts, results = sweep(study)
    searched = [r for r in results if r.point.role is Role.SEARCH]
    found = min(r.outcome.steps for r in searched if (r.batch_size, r.cohort) == (8, 0))
    first = {c.batch_size: c.expected_steps for c in cohorts if not c.number and not c.best_steps}
    assert first == {8: None, 4: 2 * found, 32: found}
    assert {c.expected_steps for c in cohorts if c.role is Role.REPLICATE} == {None}


def test_a_cohort_after_one_that_missed_is_not_pruned(make_study):
    study = make_study(batch_sizes=[4, 8], search={"trials": 8}, **PRUNED)
    missed = Outcome(
        status=Status.EXHAUSTED, steps=None, steps_before=None, stopped_at=200, best_error=0.5
    )
    ends = lambda size, point: missed if size == 4 else reached(50)  # noqa: E731
    cohorts, _ = made_searches.sweep(study, ends=ends)
    at_4 = [cohort.expected_steps for cohort in cohorts if cohort.batch_size == 4]
    assert at_4 == [100, None]


def test_without_pruning_no_cohort_expects_anything(make_study):
    assert {c.expected_steps for c in sweep(make_study(search=FULL))[0]} == {None}


def test_a_recipe_prunes_its_base_alone(make_study):
    study = make_study(
        batch_sizes=[4, 8, 16],
        mode="recipe",
        recipe={"rule": "linear", "base": 4},
        search={"trials": 8},
        **PRUNED,
    )
    cohorts, _ = sweep(study)
    assert {c.batch_size for c in cohorts} == {4, 8, 16}
    assert {c.batch_size for c in cohorts if c.expected_steps} == {4}


@pytest.mark.parametrize("sampler", ["halton", "tpe"])
def test_a_stopped_sweep_goes_on_to_the_same_trials(make_study, sampler):
    study = make_study(
        batch_sizes=[4, 16], search=FULL | {"sampler": sampler}, replicates={"seeds": 3}
    )
    best = lambda size: 3.0  # noqa: E731
    whole, _ = sweep(study, best=best)
    for cut in range(1, len(whole)):
        _, recorded = sweep(study, best=best, stop_after=cut)
        again, _ = sweep(study, recorded, best=best)
        seeds = [r.point.seed for r in recorded]
        seeds += [point.seed for cohort in again for point in cohort.points]
        assert sorted(seeds) == sorted(p.seed for cohort in whole for p in cohort.points)
        assert all(cohort in whole for cohort in again)


def test_replicates_run_the_best_points_again_with_other_seeds(make_study):
    study = make_study(batch_sizes=[4], search={"trials": 12}, replicates={"seeds": 3, "top": 2})
    cohorts, results = sweep(study)
    last = cohorts[-1]
    assert (last.role, len(last.points)) == (Role.REPLICATE, 6)
    searched = [r for r in results if r.point.role is Role.SEARCH]
    ranked = sorted(searched, key=lambda r: r.outcome.steps)
    for point, source in zip(last.points, [ranked[0]] * 3 + [ranked[1]] * 3, strict=True):
        assert point.values == source.point.values
        assert (point.source.trial, point.source.rule) == (source.point.trial, ScalingRule.SAME)
    seeds = {r.point.seed for r in results}
    assert len(seeds) == len(results)
    assert last.best_steps == ranked[1].outcome.steps


def test_more_replicates_keep_those_there_are(make_study):
    few = make_study(batch_sizes=[4], replicates={"seeds": 2})
    _, results = sweep(few)
    more, both = sweep(make_study(batch_sizes=[4], replicates={"seeds": 5}), results)
    (added,) = more
    assert [point.trial for point in added.points] == [2, 3, 4]
    _, at_once = sweep(make_study(batch_sizes=[4], replicates={"seeds": 5}))
    assert {r.point.seed for r in both} == {r.point.seed for r in at_once}
    assert sweep(few, both)[0] == []


def test_without_a_trial_at_the_target_nothing_is_replicated(make_study):
    study = make_study(batch_sizes=[4], replicates={"seeds": 3})
    queue, finished = CohortQueue(study, []), []
    while (cohort := queue.take()) is not None:
        missed = Outcome(
            status=Status.EXHAUSTED, steps=None, steps_before=None, stopped_at=9, best_error=0.5
        )
        results = made_searches.trained(cohort, partial(outcome, best=lambda size: 0.03))
        done = [
            TrialResult(
                batch_size=4, cohort=r.cohort, point=r.point, curve=r.curve.until(5),
                outcome=missed, seconds=Seconds(),
            )
            for r in results
        ]  # fmt: skip
        finished += done
        if queue.finish(done):
            assert not queue.empty
            queue.plan(4, finished)
    assert queue.empty


def test_a_batch_size_whose_parts_were_deleted_meanwhile_ends(make_study):
    study = make_study(batch_sizes=[4], search={"trials": 4, "extend": 1}, replicates={"seeds": 3})
    queue = CohortQueue(study, [])
    assert queue.finish(
        made_searches.trained(queue.take(), partial(outcome, best=lambda size: 0.03))
    )
    queue.plan(4, [])
    assert queue.empty


def test_an_extension_covers_the_part_beyond_the_edge_and_nothing_else(make_study):
    study = make_study(batch_sizes=[4], search={"trials": 64, "extend": 2})
    cohorts, _ = sweep(study, best=lambda size: 8.0)  # the box ends at 1
    points = of_role(cohorts, Role.EXTENSION)
    assert [point.trial for point in points] == list(range(32))
    width = math.log(1e3) / 4  # a quarter of three decades
    for number, block in enumerate((points[:16], points[16:])):
        places = [math.log(point.values["lr"]) / width - number for point in block]
        assert all(0 <= place <= 1 for place in places)
        assert np.histogram(places, bins=4, range=(0, 1))[0].tolist() == pytest.approx(
            [4] * 4, abs=1
        )
        momentum = [math.log(1 - point.values["momentum"]) / math.log(0.01) for point in block]
        assert np.histogram(momentum, bins=2, range=(0, 1))[0].tolist() == pytest.approx(
            [8, 8], abs=1
        )
    assert {cohort.region.number for cohort in cohorts if cohort.region} == {1, 2}


def test_a_search_with_its_best_inside_is_not_extended(make_study):
    study = make_study(batch_sizes=[4], search={"trials": 64, "extend": 2})
    assert of_role(sweep(study)[0], Role.EXTENSION) == []


@pytest.mark.parametrize("name", ["momentum", "label_smoothing"])
def test_no_box_grows_past_the_domain(make_study, name):
    space = {"lr": 0.1, name: {"low": 0.0, "high": 0.9, "scale": "linear"}}
    study = make_study(
        workload=f"{BLOBS}:SmoothedBlobs",
        batch_sizes=[4],
        search={"trials": 64, "extend": 3, "space": space},
    )
    queue, cohorts, finished = CohortQueue(study, []), [], []
    while (cohort := queue.take()) is not None:
        cohorts.append(cohort)
        best_at_zero = [
            TrialResult(
                batch_size=4,
                cohort=cohort.number,
                point=point,
                curve=Curve.empty(),
                outcome=Outcome(
                    status=Status.REACHED,
                    steps=10 + round(100 * point.values[name]),
                    steps_before=9,
                    stopped_at=200,
                    best_error=0.0,
                ),
                seconds=Seconds(),
            )
            for point in cohort.points
        ]
        finished += best_at_zero
        if queue.finish(best_at_zero):
            queue.plan(4, finished)
    assert of_role(cohorts, Role.EXTENSION) == []


def test_a_batch_size_starts_from_its_inner_neighbors_best_point(make_study):
    study = make_study(batch_sizes=[2, 4, 8, 16], search={"trials": 8, "warm_start": True})
    cohorts, results = sweep(study)
    by_key = {(r.batch_size, r.point.role, r.point.trial): r for r in results}
    warm = [(cohort, p) for cohort in cohorts for p in cohort.points if p.role is Role.WARM]
    assert len(warm) == 2 * 3
    for cohort, point in warm:
        assert cohort.number == 0
        source = point.source
        assert source.batch_size == inner_neighbor(study.batch_sizes, cohort.batch_size)
        origin = by_key[source.batch_size, source.role, source.trial]
        growth = cohort.batch_size / source.batch_size
        factor = {ScalingRule.LINEAR: growth, ScalingRule.SQUARE_ROOT: math.sqrt(growth)}[
            source.rule
        ]
        assert point.values["lr"] == pytest.approx(origin.point.values["lr"] * factor)
        assert point.values["momentum"] == origin.point.values["momentum"]
        first = [r for r in results if (r.batch_size, r.cohort) == (source.batch_size, 0)]
        candidates = [r for r in first if r.point.role is not Role.REPLICATE]
        assert origin.outcome.steps == min(r.outcome.steps for r in candidates)


def test_a_batch_size_added_later_starts_from_both_neighbours(make_study):
    search = {"trials": 4, "warm_start": True}
    _, results = sweep(make_study(batch_sizes=[4, 16], search=search))
    cohorts, _ = sweep(make_study(batch_sizes=[4, 8, 16], search=search), results)
    warm = of_role(cohorts, Role.WARM)
    assert [(p.source.batch_size, p.source.rule) for p in warm] == list(
        itertools.product([4, 16], [ScalingRule.LINEAR, ScalingRule.SQUARE_ROOT])
    )


def test_the_point_that_its_re_runs_found_best_is_confirmed_by_more(make_study):
    replicates = {"seeds": 3, "top": 2, "confirm": 4}
    study = make_study(batch_sizes=[4], search={"trials": 16}, replicates=replicates)
    cohorts, results = sweep(study)
    again = [cohort for cohort in cohorts if cohort.points[0].role is Role.REPLICATE]
    assert [len(cohort.points) for cohort in again] == [6, 4]
    first, more = ([p.source.trial for p in cohort.points] for cohort in again)
    assert len(set(first)) == 2
    assert set(more) < set(first)
    steps = {source: [] for source in first}
    for result in results:
        if result.point.role is Role.REPLICATE and result.point.trial < 6:
            steps[result.point.source.trial].append(result.outcome.steps)
    assert statistics.median(steps[more[0]]) == min(map(statistics.median, steps.values()))
    seeds = [p.seed for cohort in again for p in cohort.points]
    assert len(set(seeds)) == 10
    assert sweep(study, results)[0] == []


def test_granted_seeds_go_to_the_point_whose_first_ones_are_best(make_study):
    few = make_study(batch_sizes=[4], search={"trials": 8}, replicates={"seeds": 3})
    _, results = sweep(few)
    more = few.with_grants([Grant(batch_size=4, trials=16, seeds=9)])
    cohorts, results = sweep(more, results)
    again = [cohort.points for cohort in cohorts if cohort.role is Role.REPLICATE]
    steps = {}
    for r in results:
        if r.point.role is Role.REPLICATE:
            steps.setdefault(r.point.source.trial, []).append(r.outcome.steps)
    # the faster one that the search has found since is run again as often as the other was
    assert list(map(len, again)) == [3, 6]
    best = min(steps, key=lambda trial: statistics.median(steps[trial][:3]))
    wanted = dict.fromkeys(steps, 3) | {best: 9}
    assert {trial: len(found) for trial, found in steps.items()} == wanted
    assert sweep(more, results)[0] == []
