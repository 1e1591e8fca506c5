"""What a pruned trial counts for: it had not reached the target by its last step, and no more."""

from dataclasses import replace

import pandas as pd
import pytest

from analysis.archive.layout import ARCHIVED_AS, INCOMPLETE
from analysis.errors import AnalysisError
from analysis.measures.budgets import Budget, Unit, best_errors, budget_sentence
from analysis.measures.first_trials import first_trials
from analysis.measures.targets import search_trials, steps_to_target
from analysis.report.record import sentences, summary_record
from analysis.report.summary import analyze
from analysis.report.write import readable_table
from analysis.search_quality.best_of_n import search_sample

STOP = 5


def pruned(study, rows):
    """Return a study of which some trials were pruned at step 5."""
    trials, curves = study.trials.copy(), study.curves
    trials.loc[rows, ["status", "stopped_at"]] = ["pruned", STOP]
    trials.loc[rows, ["steps", "steps_before"]] = None
    keys = trials.loc[rows, ["batch_size", "trial"]].assign(cut=True)
    cut = curves.merge(keys, on=["batch_size", "trial"], how="left")["cut"].notna()
    kept = ~(cut.to_numpy() & (curves["step"] > STOP).to_numpy())
    return replace(study, trials=trials, curves=curves[kept].reset_index(drop=True))


@pytest.fixture
def half(study):
    """A study of which half of the trials at each batch size were pruned, the winner not."""
    return pruned(study, study.trials["trial"] >= 8)


def test_the_fewest_steps_are_those_of_the_trials_kept(study, half):
    found, whole = steps_to_target(half), steps_to_target(study)
    assert found["steps"].tolist() == whole["steps"].tolist()
    assert found["pruned"].tolist() == [8] * 10
    assert "pruned" not in whole


def test_where_none_reached_nothing_is_known_after_the_first_that_was_pruned(made):
    study = made({2: None, 4: 100, 8: 60, 16: 40})
    assert steps_to_target(study)["stopped_at"].iloc[0] == 20_000
    at_2 = study.trials["batch_size"].eq(2) & study.trials["trial"].isin([1, 6])
    missed = pruned(study, at_2)
    assert steps_to_target(missed)["stopped_at"].iloc[0] == STOP
    found = sentences(analyze(missed))
    assert any(f"B = 2: no trial reached the target within {STOP} steps" in s for s in found)


def test_a_pruned_trial_does_not_move_the_bound_of_the_others(study, half):
    at_2 = [trials[trials["batch_size"] == 2] for trials in map(search_trials, (study, half))]
    whole, found = map(search_sample, at_2)
    assert found.trials == whole.trials
    assert found.bound >= found.steps[-1]
    assert found.bound == pytest.approx(900, rel=0.05)  # slack x the fewest steps


def test_budgets_are_exact_up_to_the_first_that_was_pruned(half):
    budgets = [Budget(unit=Unit.STEPS, amount=amount) for amount in (STOP, STOP + 1)]
    exact = best_errors(half, budgets).groupby("budget")["exact"].all()
    assert exact.tolist() == [True, False]
    assert "Trials were pruned, so the lowest error within a budget is exact up to the step of" in (
        budget_sentence(half)
    )


def test_fewer_trials_are_refused_where_the_others_pruned_them(half):
    assert steps_to_target(first_trials(half, 16))["trials"].tolist() == [16] * 10
    assert steps_to_target(first_trials(half, 8))["trials"].tolist() == [8] * 10
    with pytest.raises(AnalysisError, match="must not split a cohort.*got 40 trials in made"):
        first_trials(half, 12)


def test_whole_cohorts_may_be_dropped(half):
    cohorts = (half.trials["trial"] // 12).astype("int64") * 12
    apart = replace(half, trials=half.trials.assign(cohort=cohorts))
    assert steps_to_target(first_trials(apart, 12))["pruned"].tolist() == [4] * 10


def test_a_summary_says_that_trials_were_pruned(analyzed, half):
    found = analyze(half)
    assert "80 of 160 trials were pruned (race.prune)" in " ".join(sentences(found))
    assert readable_table(found)["pruned"].tolist() == ["8"] * 10
    assert "pruned" not in readable_table(analyzed)
    assert not any("pruned" in sentence for sentence in sentences(analyzed))
    assert summary_record(found)["table"][0]["pruned"] == 8


def test_at_a_looser_target_a_trial_counts_that_crossed_it_before_it_was_pruned(half):
    loose = search_trials(half, target=0.2)
    crossed = loose[(loose["trial"] >= 8) & (loose["status"] == "reached")]
    assert len(crossed)
    assert (crossed["steps"] <= STOP).all()
    rest = loose[(loose["trial"] >= 8) & (loose["status"] != "reached")]
    assert set(rest["status"]) == {"pruned"}
    assert rest["steps"].isna().all()


def test_an_archive_calls_it_incomplete():
    assert ARCHIVED_AS["pruned"] == INCOMPLETE


def test_a_pruned_trial_ranks_behind_those_kept():
    rows = pd.DataFrame(
        {"status": ["reached", "pruned", "capped"], "steps": [10, None, None]}
    ).assign(stopped_at=[10, 3, 15])
    sample = search_sample(rows)
    assert (sample.steps.tolist(), sample.trials, sample.bound) == ([10.0], 3, 15.0)
