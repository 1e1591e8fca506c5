from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.errors import AnalysisError
from analysis.measures.first_trials import equal_trials, first_trials
from analysis.measures.scaling_rules import scaling_rules
from analysis.measures.targets import search_trials, steps_to_target
from analysis.page.searches import near_best
from analysis.tables.schema import STATUSES

HYPERPARAMETERS = {"lr", "momentum"}


def with_trials(study, trials):
    return replace(study, trials=trials.reset_index(drop=True))


def edited(study, rows, **columns):
    trials = study.trials.copy()
    for name, value in columns.items():
        trials.loc[rows, name] = value
    return with_trials(study, trials)


def test_fewest_steps_with_the_trial_that_took_them(study):
    table = steps_to_target(study)
    assert table["batch_size"].tolist() == [2, 4, 8, 16, 32, 64, 128, 256, 512, 1024]
    assert table["steps"].tolist() == [600, 335, 198, 91, 49, 35, 32, 30, 22, 19]
    assert set(table["trial"]) == {3}
    first = study.trials[(study.trials["batch_size"] == 2) & (study.trials["trial"] == 3)].iloc[0]
    row = table.iloc[0]
    assert (row["lr"], row["momentum"]) == (first["lr"], first["momentum"])
    assert row["effective_lr"] == pytest.approx(first["lr"] / (1 - first["momentum"]))
    assert row["examples"] == 1200
    assert row["steps_before"] == first["steps_before"] < 600


def test_counts(study):
    table = steps_to_target(study)
    statuses = [status for status in STATUSES if status in table]
    assert (table[statuses].sum(axis=1) == table["trials"]).all()
    assert (table["trials"] == 16).all()
    row = table[table["batch_size"] == 64].iloc[0]
    group = study.trials[study.trials["batch_size"] == 64]
    assert {status: row[status] for status in statuses} == {
        status: (group["status"] == status).sum() for status in statuses
    }
    assert row["stopped_at"] == group["stopped_at"].max()
    assert row["best_error"] == group["best_error"].min()


def test_a_batch_size_that_missed_has_nulls(made):
    table = steps_to_target(made({2: None, 4: 100}))
    missed = table.iloc[0]
    for name in ("steps", "steps_before", "trial", "lr", "effective_lr", "examples"):
        assert missed[name] is pd.NA
    assert missed["reached"] == 0
    assert missed["stopped_at"] == 20_000
    assert table["steps"].dtype == pd.Int64Dtype()


def test_ties_go_to_the_lower_trial_number(study):
    tied = study.trials["batch_size"].eq(8) & study.trials["trial"].isin([9, 5])
    table = steps_to_target(edited(study, tied, status="reached", steps=198, steps_before=197))
    assert table.set_index("batch_size").loc[8, "trial"] == 3
    lower = study.trials["batch_size"].eq(8) & study.trials["trial"].isin([9, 1])
    table = steps_to_target(edited(study, lower, status="reached", steps=198, steps_before=197))
    assert table.set_index("batch_size").loc[8, "trial"] == 1


@pytest.mark.parametrize("column", ["lr", "best_error"])
def test_nan_is_never_the_minimum(study, column):
    study = edited(study, study.trials["trial"].eq(0), **{column: np.nan})
    table = steps_to_target(study)
    assert table["steps"].tolist()[:2] == [600, 335]
    assert table["best_error"].notna().all()


def test_only_search_trials_count(study):
    again = study.trials[study.trials["trial"] == 3].assign(role="replicate", steps=1, trial=99)
    study = with_trials(study, pd.concat([study.trials, again]))
    assert steps_to_target(study)["steps"].tolist()[0] == 600
    assert (search_trials(study)["role"] == "search").all()


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 1000), repeated=st.integers(0, 40))
def test_row_order_and_repeated_rows_change_nothing(study, seed, repeated):
    trials = pd.concat([study.trials, study.trials.head(repeated)])
    shuffled = replace(
        study,
        trials=trials.sample(frac=1, random_state=seed).reset_index(drop=True),
        curves=study.curves.sample(frac=1, random_state=seed).reset_index(drop=True),
    )
    for target in (None, 0.2):
        pd.testing.assert_frame_equal(
            steps_to_target(shuffled, target), steps_to_target(study, target)
        )


@settings(max_examples=15, deadline=None)
@given(targets=st.tuples(st.floats(0.05, 1.0), st.floats(0.05, 1.0)))
def test_a_looser_target_never_takes_more_steps(study, targets):
    tight, loose = sorted(targets)
    tight_table, loose_table = steps_to_target(study, tight), steps_to_target(study, loose)
    assert (loose_table["steps"] <= tight_table["steps"]).all()
    assert (loose_table["reached"] >= tight_table["reached"]).all()


def test_a_looser_target_is_looked_up_in_the_curves(study):
    table = steps_to_target(study, 0.2).set_index("batch_size")
    for size in (2, 64, 1024):
        curves = study.curves[study.curves["batch_size"] == size]
        hits = curves[(curves["val_error"] < 0.2) & (curves["step"] >= 1)]
        winner = hits.sort_values(["step", "trial"]).iloc[0]
        own = curves[curves["trial"] == winner["trial"]]["step"]
        assert table.loc[size, "steps"] == winner["step"]
        assert table.loc[size, "trial"] == winner["trial"]
        assert table.loc[size, "steps_before"] == own[own < winner["step"]].max()


def test_below_the_target_is_strict_and_after_the_start(made):
    study = made({2: 100})
    curve = study.curves[study.curves["trial"] == 3]
    value = float(curve.loc[curve["step"] == 40, "val_error"].iloc[0])
    at = search_trials(study, value).set_index("trial")
    assert at.loc[3, "steps"] > 40
    assert at.loc[3, "steps_before"] == 40
    everywhere = steps_to_target(study, 100.0).iloc[0]
    assert (everywhere["steps"], everywhere["steps_before"]) == (1, 0)


def test_crossing_counts_however_the_trial_ended_unless_it_failed(made):
    study = made({2: 100}, trials=12)
    study = edited(study, study.trials["trial"].eq(3), status="failed", steps=None)
    raced = search_trials(study).set_index("trial")["status"]
    loose = search_trials(study, 0.89).set_index("trial")["status"]
    assert {"capped", "diverged"} & set(raced)
    assert (loose.drop(3) == "reached").all()
    assert loose[3] == "failed"


def test_the_raced_target_yields_the_recorded_steps(study):
    pd.testing.assert_frame_equal(steps_to_target(study, 0.05), steps_to_target(study))


@pytest.mark.parametrize(
    ("momentum", "lr"), [(False, True), (True, False)], ids=["no momentum", "no lr"]
)
def test_effective_learning_rate_of_other_searches(study, momentum, lr):
    gone = [name for name, kept in (("momentum", momentum), ("lr", lr)) if not kept]
    table = steps_to_target(with_trials(study, study.trials.drop(columns=gone)))
    assert "effective_lr" not in table
    assert HYPERPARAMETERS & set(table.columns) == HYPERPARAMETERS - set(gone)


@pytest.mark.parametrize(
    "told", [{"optimizer": "muon"}, {"optimizer": "mine.py:Mine", "normalized_momentum": True}]
)
def test_a_momentum_that_adds_nothing_gives_no_effective_learning_rate(study, told):
    other = replace(study, config={**study.config, **told})
    assert "effective_lr" in steps_to_target(study)
    assert "effective_lr" not in steps_to_target(other)
    assert "effective_lr" in set(near_best(study)["hyperparameter"])
    assert "effective_lr" not in set(near_best(other)["hyperparameter"])
    assert "lr / (1 - momentum)" not in set(scaling_rules(other, steps_to_target(other))["rate"])


def test_a_tighter_target_is_refused(study):
    with pytest.raises(
        AnalysisError, match=r"not be below the one raced to, 0\.05, got 0\.01: trials.*sweep"
    ):
        steps_to_target(study, 0.01)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6), target=st.sampled_from([0.3, 0.31, 0.35, 0.5, 0.7, 0.9, 2.0]))
def test_a_race_decides_every_target_from_its_own_up(small_races, seed, target):
    full, raced = small_races(seed)
    columns = ["batch_size", "steps", "steps_before", "role", "trial", "examples"]
    pd.testing.assert_frame_equal(
        steps_to_target(raced, target)[columns], steps_to_target(full, target)[columns]
    )


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10**6), targets=st.tuples(st.floats(0.01, 1), st.floats(0.01, 1)))
def test_without_a_race_any_target_is_looked_up(small_races, mixed_up, seed, targets):
    full, _ = small_races(seed)
    tight, loose = (steps_to_target(full, target) for target in sorted(targets))
    assert (loose["reached"] >= tight["reached"]).all()
    assert loose["steps"][tight["steps"].notna()].notna().all()
    assert (loose["steps"] <= tight["steps"]).fillna(True).all()
    assert (tight["reached"].gt(0) == tight["steps"].notna()).all()
    assert (tight["trial"].notna() == tight["steps"].notna()).all()
    again = steps_to_target(mixed_up(full, seed), sorted(targets)[0])
    pd.testing.assert_frame_equal(again, tight)


@pytest.mark.parametrize("target", [np.nan, np.inf])
def test_a_target_is_a_finite_number(study, target):
    with pytest.raises(AnalysisError, match=f"must be a finite number, got {target}"):
        steps_to_target(study, target)


def test_an_empty_study_is_refused(study):
    with pytest.raises(AnalysisError, match="at least one search trial, got none in made; run"):
        steps_to_target(with_trials(study, study.trials.head(0)))


def test_the_first_trials_by_number(study):
    first = search_trials(first_trials(study, 5))
    assert first.groupby("batch_size")["trial"].apply(list).tolist() == [[0, 1, 2, 3, 4]] * 10
    table = steps_to_target(first_trials(study, 5))
    assert set(table["trials"]) == {5}
    assert table["steps"].tolist() == steps_to_target(study)["steps"].tolist()  # trial 3 is in
    pd.testing.assert_frame_equal(steps_to_target(first_trials(study, 16)), steps_to_target(study))


def test_a_trial_capped_by_a_dropped_one_is_a_miss(made):
    study = made({4: 100})
    capped = study.trials[(study.trials["status"] == "capped") & (study.trials["trial"] < 3)]
    assert len(capped)
    row = steps_to_target(first_trials(study, 3)).iloc[0]
    reached = study.trials[(study.trials["trial"] < 3) & (study.trials["status"] == "reached")]
    assert row["steps"] is pd.NA if reached.empty else row["steps"] == reached["steps"].min()
    only = with_trials(
        study, study.trials[study.trials["status"].ne("reached") | (study.trials["trial"] == 3)]
    )
    row = steps_to_target(first_trials(only, 3)).iloc[0]
    assert row["steps"] is pd.NA
    assert row["stopped_at"] == 150


@pytest.mark.parametrize("target", [None, 0.2])
def test_fewer_trials_never_take_fewer_steps(study, target):
    last = steps_to_target(study, target)["steps"]
    for first in range(15, 0, -1):
        steps = steps_to_target(first_trials(study, first), target)["steps"]
        assert (steps.fillna(10**9) >= last.fillna(10**9)).all()
        last = steps


def test_only_searches_count_as_equal(made):
    study = made({4: 100, 8: 60})
    more = study.trials[study.trials["batch_size"] == 4].assign(role="extension", steps=1)
    fewer = study.trials.drop(study.trials.index[-3:])
    uneven = with_trials(study, pd.concat([fewer, more, study.trials.head(5)]))
    assert equal_trials(study) == 16
    assert equal_trials(uneven) == 13
    table = steps_to_target(first_trials(uneven, 13))
    assert table["trials"].tolist() == [13, 13]
    assert table["steps"].tolist() == [100, 60]
    assert set(first_trials(uneven, 13).trials["role"]) == {"search"}


def test_replicates_are_dropped_with_their_source(made):
    study = made({4: 100})
    source = {"source_batch_size": 4, "source_role": "search"}
    again = study.trials.head(2).assign(role="replicate", source_trial=[3, 9], **source)
    study = with_trials(study, pd.concat([study.trials, again]))
    kept = first_trials(study, 5).trials
    assert kept[kept["role"] == "replicate"]["source_trial"].tolist() == [3]


@pytest.mark.parametrize("first", [0, 17])
def test_first_trials_are_limited_by_the_batch_size_with_fewest(study, first):
    fewer = study.trials.drop(study.trials.index[(study.trials["batch_size"] == 8)][:2])
    with pytest.raises(AnalysisError, match=f"every batch size, 14 at B = 8, got {first}; take"):
        first_trials(with_trials(study, fewer), first)


def test_first_trials_of_no_trial_are_refused(study):
    empty = with_trials(study, study.trials.head(0))
    assert equal_trials(empty) == 0
    with pytest.raises(AnalysisError, match="no trial at all, got 1"):
        first_trials(empty, 1)
