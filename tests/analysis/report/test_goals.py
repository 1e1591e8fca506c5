import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.measures.targets import steps_to_target
from analysis.report.goals import (
    MAX_TARGETS,
    MIN_STEPS,
    choose_targets,
    find_goals,
    goal_records,
    goals_table,
)

SIZES = tuple(2**k for k in range(4, 14))
SEEDS = st.integers(0, 10**6)


def true_b_crit(error):
    return 20 * error**-0.8


def true_steps(size, error):
    """Return steps to an error, a hyperbola in batch size for each error."""
    return 10 * error**-1.5 * (1 + true_b_crit(error) / size)


@pytest.fixture(scope="module")
def known(made):
    """A study of one trial per batch size, nothing searched, with the curves of `true_steps`."""
    errors = np.geomspace(0.9, 0.02, 4000)
    study = made(dict.fromkeys(SIZES, 100), trials=1, searched=())
    fewest = [math.ceil(true_steps(size, 0.05)) for size in SIZES]
    trials = study.trials.assign(status="reached", steps=fewest, stopped_at=fewest)
    curves = []
    for size in SIZES:
        last = int(true_steps(size, 0.049))
        steps = np.unique(np.concatenate([[0], np.geomspace(1, last, 3000).round()])).astype(int)
        error = np.exp(
            np.interp(np.log(steps + 1e-9), np.log(true_steps(size, errors)), np.log(errors))
        )
        at = {"batch_size": size, "role": "search", "trial": 0}
        curves.append(pd.DataFrame(at | {"step": steps, "val_error": error}))
    return replace(study, trials=trials, curves=pd.concat(curves, ignore_index=True))


def test_b_crit_of_each_target_is_recovered(known):
    goals = find_goals(known)
    assert len(goals) == MAX_TARGETS
    assert goals[0].target == 0.05
    assert goals[-1].target > 0.3
    for goal in goals:
        assert goal.b_crit.value == pytest.approx(true_b_crit(goal.target), rel=0.05)
        assert goal.b_crit.identified


def test_tables_are_those_of_each_target(study):
    for goal in find_goals(study):
        expected = steps_to_target(study, goal.target)
        pd.testing.assert_frame_equal(goal.table[expected.columns], expected)
        assert goal.fits.best.points.steps.tolist() == goal.table["steps"].tolist()


def test_chosen_targets_of_a_race(study):
    targets = choose_targets(study)
    assert targets[0] == study.target
    assert list(targets) == sorted(set(targets))
    assert all(float(f"{target:.2g}") == target for target in targets)
    fewest = [steps_to_target(study, target)["steps"].min() for target in targets]
    assert all(steps >= MIN_STEPS for steps in fewest)
    # one digit looser and some batch size would need fewer
    assert steps_to_target(study, targets[-1] + 0.01)["steps"].min() < MIN_STEPS


@settings(max_examples=6, deadline=None)
@given(seed=SEEDS)
def test_a_looser_target_never_takes_more_steps(small_races, seed):
    for study in small_races(seed):
        targets = choose_targets(study)
        assert len(targets) <= MAX_TARGETS
        tables = [steps_to_target(study, target) for target in targets]
        for tight, loose in zip(tables, tables[1:], strict=False):
            assert loose["steps"][tight["steps"].notna()].notna().all()
            assert (loose["steps"] <= tight["steps"]).fillna(True).all()
            assert (loose["steps"].dropna() >= MIN_STEPS).all()
        if targets and not study.raced:
            # the tightest that every batch size reached
            assert tables[0]["steps"].notna().all()


@settings(max_examples=3, deadline=None)
@given(seed=SEEDS)
def test_row_order_and_repeated_rows_change_nothing(made, mixed_up, seed):
    study = made({4: 335, 16: 91, 64: 35}, trials=5)
    assert goal_records(find_goals(mixed_up(study, seed))) == goal_records(find_goals(study))


def test_a_study_of_too_few_steps_has_no_other_targets(made):
    study = made({64: 4, 128: 3, 256: 3})
    assert choose_targets(study) == ()
    assert find_goals(study) == ()


def test_a_study_without_a_race_needs_no_target_of_its_own(small_races):
    full, _ = small_races(0)
    config = {**full.config, "race": {"to": "budget", "max_steps": 40}}
    assert choose_targets(replace(full, config=config)) == choose_targets(full)


def test_an_error_of_zero_is_not_a_target(small_races):
    full, _ = small_races(0)
    assert full.curves.groupby("batch_size")["val_error"].min().eq(0).all()
    targets = choose_targets(full)
    assert 0 < targets[0] < 0.05
    assert len(targets) == MAX_TARGETS


def test_the_table_names_misses_and_missing_fits(made):
    goals = find_goals(made({2: None, 4: 335, 8: 198}))
    assert goals[0].fits is None
    assert goal_records(goals)[0]["b_crit"] is None
    assert goal_records(goals)[0]["table"][0]["steps"] is None
    row = goals_table(goals).iloc[0].tolist()
    assert row[1:] == ["335 to 198, 1 missed", "no fit: fewer than 3 batch sizes reached it"]
