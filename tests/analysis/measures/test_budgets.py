import math

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.measures.batch_plan import BatchPlan
from analysis.measures.budgets import (
    Budget,
    Unit,
    best_batch_size_sentences,
    best_errors,
    budget_sentence,
    choose_budgets,
)
from analysis.tables.study import json_rows

SOME = [Budget(unit=unit, amount=n) for unit in Unit for n in (1, 2, 5, 9, 17, 30, 40, 160, 1000)]
CELL = ["unit", "budget", "batch_size"]
SEEDS = st.integers(0, 10**6)


def least(study, size, steps):
    """Return the lowest error within so many steps by a loop over all trials."""
    trials = study.trials[
        (study.trials["batch_size"] == size) & (study.trials["status"] != "failed")
    ]
    curves = study.curves
    return min(
        (
            float(error)
            for trial in trials["trial"]
            for step, error in curves[(curves["batch_size"] == size) & (curves["trial"] == trial)][
                ["step", "val_error"]
            ].to_numpy()
            if 1 <= step <= steps
        ),
        default=math.nan,
    )


PLAN = BatchPlan(((0, 32),))


def test_steps_within_a_budget():
    assert Budget(unit=Unit.STEPS, amount=100).steps(PLAN) == 100
    assert Budget(unit=Unit.EXAMPLES, amount=100).steps(PLAN) == 3
    assert Budget(unit=Unit.EXAMPLES, amount=31).steps(PLAN) == 0


@settings(max_examples=6, deadline=None)
@given(seed=SEEDS)
def test_errors_agree_with_a_loop_over_all_trials(small_races, seed):
    for study in small_races(seed):
        table = best_errors(study, SOME)
        for row in table.itertuples():
            amount = row.budget if row.unit == "steps" else row.budget // row.batch_size
            assert row.steps == amount >= 1
            assert row.best_error == least(study, row.batch_size, amount)
        cells = len(SOME) * study.trials["batch_size"].nunique()
        none = sum(
            b.steps(BatchPlan(((0, size),))) < 1
            for b in SOME
            for size in study.trials["batch_size"].unique()
        )
        assert len(table) == cells - none


@settings(max_examples=10, deadline=None)
@given(seed=SEEDS)
def test_exact_errors_are_those_of_trials_that_ran_to_the_budget(small_races, seed):
    full, raced = small_races(seed)
    both = best_errors(raced, SOME).merge(best_errors(full, SOME), on=CELL, suffixes=("", "_full"))
    exact = both[both["exact"]]
    assert (exact["best_error"] == exact["best_error_full"]).all()
    assert (both["best_error"] >= both["best_error_full"]).all()
    # up to the fewest steps to target everything is exact
    fewest = raced.trials.groupby("batch_size")["steps"].min()
    early = both["steps"] <= both["batch_size"].map(fewest).fillna(0)
    assert both["exact"][early].all()


@settings(max_examples=10, deadline=None)
@given(seed=SEEDS)
def test_a_larger_budget_never_has_a_larger_best_error(small_races, seed):
    for study in small_races(seed):
        table = best_errors(study, SOME)
        for _, cells in table.groupby(["unit", "batch_size"]):
            assert cells["best_error"].is_monotonic_decreasing
            assert cells["exact"].is_monotonic_decreasing


@settings(max_examples=6, deadline=None)
@given(seed=SEEDS)
def test_row_order_and_repeated_rows_change_nothing(small_races, mixed_up, seed):
    for study in small_races(seed):
        again = mixed_up(study, seed)
        pd.testing.assert_frame_equal(best_errors(again, SOME), best_errors(study, SOME))
        assert choose_budgets(again) == choose_budgets(study)


def test_beyond_the_step_budget_nothing_is_exact(small_races):
    full, _ = small_races(1)
    table = best_errors(full, [Budget(unit=Unit.STEPS, amount=n) for n in (40, 41)])
    assert table.groupby("budget")["exact"].all().to_dict() == {40: True, 41: False}


def test_a_failed_trial_has_no_best_error(small_races):
    full, _ = small_races(2)
    size = int(full.trials["batch_size"].iloc[0])
    full.trials.loc[full.trials["batch_size"] == size, "status"] = "failed"
    assert size not in set(best_errors(full, SOME)["batch_size"])


@settings(max_examples=20, deadline=None)
@given(seed=SEEDS)
def test_chosen_budgets_rise_and_the_largest_is_exact_at_three_batch_sizes(small_races, seed):
    for study in small_races(seed):
        budgets = choose_budgets(study)
        table = best_errors(study, budgets)
        for unit in Unit:
            amounts = [budget.amount for budget in budgets if budget.unit is unit]
            assert amounts == sorted(set(amounts))
            assert 1 <= len(amounts) <= 4
            largest = table[(table["unit"] == unit) & (table["budget"] == amounts[-1])]
            sizes = study.trials["batch_size"].nunique()
            beyond = sizes - len(largest)  # batch sizes of which one step is more than the budget
            assert largest["exact"].sum() + beyond >= min(3, sizes)


def test_chosen_budgets_are_four_times_the_one_before(study):
    budgets = choose_budgets(study)
    assert [b.amount for b in budgets] == [3, 12, 48, 190, 120, 480, 1900, 7600]


def rows_of(errors, exact=True):
    budget = {"unit": "examples", "budget": 4000}
    return [
        budget | {"batch_size": size, "best_error": error, "exact": exact}
        for size, error in errors.items()
    ]


@pytest.mark.parametrize(
    ("errors", "expected"),
    [
        (
            {2: 0.3, 4: 0.205, 8: 0.2, 16: 0.21, 32: 0.25, 64: 0.201},
            "0.2, is at B = 8; B = 4 to 16 come within 5% of it.",
        ),
        (
            {2: 0.2, 4: 0.205, 8: 0.3},
            "0.2, is at B = 2; B = 2 to 4 come within 5% of it (the smallest measured).",
        ),
        ({2: 0.4, 4: 0.2, 8: 0.3}, "0.2, is at B = 4; no neighbor comes within 5% of it."),
    ],
)
def test_the_best_batch_size_has_an_interval_of_neighbors_as_good(errors, expected):
    (sentence,) = best_batch_size_sentences(rows_of(errors), "error")
    assert sentence == f"Within 4,000 examples the lowest error, {expected}"
    assert best_batch_size_sentences(rows_of(errors, exact=False), "error") == []
    (in_tokens,) = best_batch_size_sentences(rows_of(errors), "error", tokens=32)
    assert in_tokens.startswith("Within 4,000 examples (128,000 tokens) the lowest error")
    assert " tokens); " in in_tokens


def test_records_are_plain(study):
    row = json_rows(best_errors(study, choose_budgets(study)))[0]
    assert row == {
        "unit": "steps",
        "budget": 3,
        "batch_size": 2,
        "steps": 3,
        "best_error": pytest.approx(row["best_error"]),
        "exact": True,
    }


def test_the_sentence_names_the_setting_for_exact_errors(small_races):
    full, raced = small_races(0)
    assert '`race.to = "budget"` in the study file' in budget_sentence(raced)
    assert "Every trial ran to its budget" in budget_sentence(full)
