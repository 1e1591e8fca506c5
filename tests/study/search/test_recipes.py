"""Recipes: the arithmetic of the rules, and what is run when."""

import math
import random
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from analysis.tables.folder import ResultsFolder
from analysis.tables.schema import EXPONENTS
from study.engine.stopping_rules import StoppingRules, measured_steps
from study.errors import StudyError
from study.optimizers.schedules import SCHEDULES, lr_factor
from study.orchestration.progress import Progress
from study.orchestration.signals import Stop
from study.orchestration.sweep import Sweep
from study.planning.cost import estimates, probe
from study.planning.resolve import resolve
from study.records import Outcome, Role, ScalingRule, Source, Status
from study.search.queue import CohortQueue
from study.search.recipes import SCALINGS, recipe_points
from study.storage.consolidate import consolidate
from study.storage.parts import Parts, write_part
from study.storage.study_folder import open_folder
from tests.study.search import made_searches
from tests.study.search.made_searches import key, reached

BLOBS = f"{Path(__file__).parents[2] / 'blobs.py'}:Blobs"
LINEAR = {"rule": "linear", "base": 16}


def outcome(size, point):
    """The best learning rate is 0.03 everywhere; trial 4 of a search, far off, is lucky."""
    lucky = point.role is Role.SEARCH and point.trial == 4
    away = abs(math.log(point.values["lr"] / 0.03))
    steps = 60 if lucky else 5 + round(800 / size * (1 + away + point.seed % 97 / 970))
    return reached(steps)


trained = partial(made_searches.trained, ends=outcome)
sweep = partial(made_searches.sweep, ends=outcome)


@pytest.fixture
def make_recipe(make_study):
    """Return a study of batch sizes 4 to 64 that tunes at 16; keywords change its keys."""

    def make(**changes):
        data = {
            "mode": "recipe",
            "recipe": LINEAR | changes.pop("recipe", {}),
            "batch_sizes": [4, 16, 32, 64],
            "replicates": {"seeds": 3} | changes.pop("replicates", {}),
        }
        return make_study(**data | changes)

    return make


@pytest.fixture
def base(make_recipe):
    """Return a trial of the base, number 5: lr 0.1, momentum 0.9, a warm-up without effect."""
    first = trained(CohortQueue(make_recipe(), []).take())[0]
    values = {"lr": 0.1, "momentum": 0.9, "warmup_epochs": 5.0, "warmup_factor": 1.0}
    return replace(first, point=replace(first.point, trial=5, values=values))


@pytest.mark.parametrize(
    ("rule", "factors"),
    [
        ("linear", {4: 0.25, 32: 2.0, 64: 4.0}),
        ("square-root", {4: 0.5, 32: math.sqrt(2), 64: 2.0}),
        ("same", {4: 1.0, 32: 1.0, 64: 1.0}),
    ],
)
def test_a_rule_scales_the_learning_rate_and_nothing_else(make_recipe, base, rule, factors):
    study = make_recipe(recipe={"rule": rule})
    for size, factor in factors.items():
        points = recipe_points(study, size, base)
        assert [point.trial for point in points] == [0, 1, 2]
        assert len({point.seed for point in points}) == 3
        for point in points:
            others = {"momentum": 0.9, "warmup_epochs": 5.0, "warmup_factor": 1.0}
            assert point.values == others | {"lr": pytest.approx(0.1 * factor)}
            assert point.source == Source(16, Role.SEARCH, 5, ScalingRule(rule))
            assert point.role is Role.RECIPE


def test_the_sde_rule_scales_rate_averages_and_eps(make_recipe, base):
    averages = {"beta1": {"low": 0.8, "high": 0.95}, "beta2": 0.99}
    study = make_recipe(optimizer="adam", recipe={"rule": "sde"}, search={"space": averages})
    values = {"lr": 0.1, "beta1": 0.9, "beta2": 0.99, "eps": 1e-8}
    (point, *_) = recipe_points(study, 64, replace(base, point=replace(base.point, values=values)))
    scaled = {"lr": 0.2, "beta1": 0.6, "beta2": 0.96, "eps": 5e-9}
    assert point.values == pytest.approx(scaled)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"optimizer": "adam"},
            "beta1 must be at least 0.75 for the rule 'sde' up to a batch",
        ),
        ({}, "optimizer must have beta1 and beta2 for the rule 'sde', got one without beta1; choo"),
    ],
)
def test_the_sde_rule_is_refused_where_it_cannot_be_followed(changes, message):
    recipe = {"mode": "recipe", "recipe": {"rule": "sde", "base": 16}, "batch_sizes": [16, 64]}
    with pytest.raises(StudyError, match=message):
        resolve({"workload": BLOBS} | recipe | changes)


@pytest.mark.parametrize("rule", ["same", "square-root", "sde"])
def test_a_half_life_in_examples_stays_the_same_under_every_rule(make_recipe, base, rule):
    space = {"beta1_half_life": 200.0, "beta2_half_life": {"low": 1e3, "high": 1e5}}
    study = make_recipe(optimizer="adamw", recipe={"rule": rule}, search={"space": space})
    values = {"lr": 0.1, "beta1_half_life": 200.0, "beta2_half_life": 22_170.0, "eps": 1e-8}
    point = replace(base.point, values=values)
    for size in (4, 64):
        scaled = recipe_points(study, size, replace(base, point=point))[0].values
        assert scaled["beta2_half_life"] == 22_170.0
        assert scaled["beta2"] == pytest.approx(0.999 ** (size / 32), rel=1e-6)
        assert scaled["beta1"] == pytest.approx(0.5 ** (size / 200))


def test_the_rules_are_those_that_the_analysis_knows():
    assert set(SCALINGS) == set(ScalingRule)
    for name, power in EXPONENTS.items():
        assert SCALINGS[ScalingRule(name)].powers == {"lr": power}


@pytest.mark.parametrize("rule", ["linear", "square-root"])
def test_the_warm_up_starts_at_the_bases_learning_rate(make_recipe, base, rule):
    study = make_recipe(recipe={"rule": rule, "warmup_epochs": 5})
    for size in (4, 32, 64):
        values = recipe_points(study, size, base)[0].values
        warm = {n: np.array([v]) for n, v in values.items() if n.startswith("warmup")}
        factor = lr_factor(SCHEDULES["constant"], 200, 90 / size, warm)
        start = values["lr"] * warm["warmup_factor"][0]
        assert start == pytest.approx(min(0.1, values["lr"]))
        rates = [values["lr"] * factor(step)[0] for step in range(200)]
        assert rates[0] >= start
        assert (np.diff(rates) >= 0).all()
        last = math.ceil(5 * 90 / size)
        assert rates[last] == pytest.approx(values["lr"])
        if size > 16:
            assert rates[last - 2] < values["lr"]


def test_at_the_base_the_warm_up_changes_no_step():
    warm = {"warmup_epochs": np.array([5.0]), "warmup_factor": np.array([1.0])}
    factor = lr_factor(SCHEDULES["constant"], 100, 10.0, warm)
    assert {factor(step)[0] for step in range(100)} == {1.0}


def test_lambs_untuned_rule_is_its_papers(make_study):
    study, _ = resolve({
        "workload": BLOBS, "optimizer": "lamb", "mode": "recipe", "recipe": {"rule": "lamb"},
        "batch_sizes": [8, 64],
    })  # fmt: skip
    for size, share in {512: 1 / 320, 1024: 1 / 160, 32_768: 1 / 5, 65_536: 2 / 5}.items():
        (point, *_) = recipe_points(study, size, None)
        assert point.values["lr"] == pytest.approx(5e-3 * math.sqrt(size / 32_768))
        assert point.values["warmup_fraction"] == pytest.approx(share)
        assert point.values["beta1"] == 0.9
        assert point.source == Source(32_768, None, None, ScalingRule.LAMB)
    assert recipe_points(study, 10**6, None)[0].values["warmup_fraction"] == 1.0
    cohorts, results = sweep(study)
    assert {(c.batch_size, c.role) for c in cohorts} == {(8, Role.RECIPE), (64, Role.RECIPE)}
    assert len(results) == 2 * 5


def test_the_base_is_tuned_first_and_the_point_its_replicates_confirm_is_scaled(make_recipe):
    study = make_recipe(replicates={"top": 3})
    cohorts, results = sweep(study)
    first = [cohort.batch_size for cohort in cohorts].index(4)
    assert all(c.batch_size == 16 and c.role is not Role.RECIPE for c in cohorts[: first - 2])
    assert {c.role for c in cohorts if c.batch_size != 16} == {Role.RECIPE}
    again = [r for r in results if r.point.role is Role.REPLICATE]
    medians = {
        trial: np.median(
            [r.outcome.steps or np.inf for r in again if r.point.source.trial == trial]
        )
        for trial in {r.point.source.trial for r in again}
    }
    scaled = {r.point.source.trial for r in results if r.point.role is Role.RECIPE}
    assert scaled == {min(medians, key=medians.get)}
    assert 4 in medians  # the fastest of the search, which was but lucky
    assert scaled != {4}
    alone = sweep(make_recipe(replicates={"seeds": 0}))[1]
    assert {r.point.source.trial for r in alone if r.point.role is Role.RECIPE} == {4}
    assert sum(r.point.role is Role.RECIPE for r in alone) == 3


@pytest.mark.parametrize("at_once", [2, 5])
def test_the_cohorts_do_not_depend_on_how_many_run_at_once(make_recipe, at_once):
    study = make_recipe(search={"extend": 1}, replicates={"seeds": 6})
    alone, _ = sweep(study)
    assert len([c for c in alone if c.role is Role.RECIPE]) == 2 * 3  # six seeds, four lanes
    for seed in range(3):
        together, _ = sweep(study, at_once=at_once, order=random.Random(seed))
        assert sorted(together, key=key) == sorted(alone, key=key)


def test_a_stopped_sweep_goes_on_to_the_same_trials_from_any_of_its_parts(make_recipe):
    study = make_recipe(replicates={"seeds": 6})
    whole, results = sweep(study)
    of_base = [r for r in results if r.batch_size == 16]
    rest = [r for r in results if r.batch_size != 16]
    for seed in range(6):
        lost = set(random.Random(seed).sample(sorted({key_of(r) for r in rest}), 3))
        recorded = of_base + [r for r in rest if key_of(r) not in lost]
        again, _ = sweep(study, recorded)
        assert {(c.batch_size, c.number) for c in again} == lost
        assert all(cohort in whole for cohort in again)
    for cut in range(1, len(whole)):
        _, recorded = sweep(study, stop_after=cut)
        again, both = sweep(study, recorded)
        assert all(cohort in whole for cohort in again)
        assert sorted(r.point.seed for r in both) == sorted(r.point.seed for r in results)


def key_of(result):
    return result.batch_size, result.cohort


def test_a_batch_size_added_later_takes_the_same_point(make_recipe):
    _, results = sweep(make_recipe(batch_sizes=[4, 16]))
    cohorts, both = sweep(make_recipe(), results)
    assert {c.batch_size for c in cohorts} == {32, 64}
    assert len({r.point.source for r in both if r.point.role is Role.RECIPE}) == 1


def test_the_search_of_a_base_does_not_grow(make_recipe, tmp_path):
    study = make_recipe()
    folder = ResultsFolder.at(tmp_path)
    open_folder(folder, study)
    for change in ({"search": {"trials": 9}}, {"replicates": {"seeds": 9}}):
        with pytest.raises(StudyError, match="may only add batch sizes to it, got .* = 9 where"):
            open_folder(folder, make_recipe(**change))
    assert open_folder(folder, make_recipe(batch_sizes=[8, 16])).batch_sizes == (4, 8, 16, 32, 64)


def test_a_base_that_misses_leaves_nothing_to_scale(make_recipe, tmp_path):
    missed = Outcome(
        status=Status.EXHAUSTED, steps=None, steps_before=None, stopped_at=200, best_error=0.5
    )
    study, folder = make_recipe(), ResultsFolder.at(tmp_path / "study")
    cohorts, _ = sweep(study, ends=lambda size, point: missed)
    assert {cohort.batch_size for cohort in cohorts} == {16}
    open_folder(folder, study)
    for cohort in cohorts:
        write_part(folder, study, trained(cohort, ends=lambda size, point: missed))
    (error,) = Sweep(folder, study, None).run(None, Stop()).errors
    assert error.startswith(
        "no trial reached the target at batch size 16, so the linear scaling rule"
    )
    queue = CohortQueue(study, [])
    queue.lose(queue.take())
    assert not queue.without_base  # a lost cohort is run again, which may yet find a point


def test_runs_of_a_rule_are_held_to_nothing_but_the_budget(make_recipe):
    study = make_recipe()
    rules = StoppingRules.for_role(Role.RECIPE, study, 32, 10)
    assert (rules.cap, rules.after_reaching(7).cap) == (math.inf, math.inf)
    slow = lambda size, point: (  # noqa: E731
        outcome(size, point) if size == 16 else reached(3 if point.trial == 0 else 150)
    )
    _, results = sweep(study, ends=slow)
    there = [r.outcome for r in results if r.batch_size == 32]
    assert [(o.status, o.steps) for o in there] == [(Status.REACHED, s) for s in (3, 150, 150)]


def test_parts_keep_the_rule_and_tables_have_no_box_where_nothing_was_searched(
    make_recipe, tmp_path
):
    study, folder = make_recipe(), ResultsFolder.at(tmp_path / "study")
    open_folder(folder, study)
    cohorts, results = sweep(study)
    for cohort in cohorts:
        write_part(folder, study, trained(cohort))
    recorded = {(r.batch_size, r.point.role, r.point.trial): r for r in Parts(folder, study)}
    assert len(recorded) == len(results)
    for result in results:
        again = recorded[result.batch_size, result.point.role, result.point.trial]
        assert again.point == result.point
    assert (tmp_path / "study" / "parts" / "b00032-s000.parquet").exists()
    consolidate(Parts(folder, study))
    progress = Progress(study, Parts(folder, study))
    assert [(row.done, row.trials) for row in progress.rows()] == [(3, 3), (6, 6), (3, 3), (3, 3)]


def test_an_untuned_rule_is_kept_without_a_trial_that_it_came_from(make_study, tmp_path):
    space = {"lr": 5e-3, "momentum": 0.9, "warmup_fraction": 0.2}
    study = make_study(mode="recipe", recipe={"rule": "lamb"}, search={"space": space})
    folder = ResultsFolder.at(tmp_path / "study")
    open_folder(folder, study)
    (cohort, *_), _ = sweep(study)
    write_part(folder, study, trained(cohort))
    assert next(iter(Parts(folder, study))).point == cohort.points[0]


def test_a_plan_counts_the_runs_of_the_rule(make_recipe, training):
    study = make_recipe(batch_sizes=[16, 32], race={"to": "budget"})
    probes = [probe(study, training(), size, seconds=0.02) for size in study.batch_sizes]
    searched, followed = estimates(study, probes)
    points = 1 + len(list(measured_steps(StoppingRules.for_search(study, 32, None))))
    assert followed.seconds == pytest.approx(1 * probes[1].seconds(200, points))
    assert searched.seconds == pytest.approx(9 / 4 * probes[0].seconds(200, points))
