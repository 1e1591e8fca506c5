"""Steps until the mean over seeds is below the target, on curves that are known."""

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from analysis.measures.mean_target import _first_below, mean_records, mean_sentences

STEPS = (0, 10, 20, 30)


def with_seeds(study, curves):
    """Return a study with replicates at a batch size of 4, whose errors after step 0 are given."""
    first = study.trials[(study.trials["batch_size"] == 4) & (study.trials["trial"] == 3)]
    origin = {"source_batch_size": 4, "source_role": "search", "source_trial": 3, "rule": "same"}
    trials, rows = [study.trials], [study.curves]
    for seed, errors in enumerate(curves):
        key = {"batch_size": 4, "role": "replicate", "trial": seed}
        row = first.iloc[0].to_dict() | key | origin | {"status": "exhausted", "stopped_at": 30}
        trials.append(pd.DataFrame([row]).astype(study.trials.dtypes))
        curve = pd.DataFrame({"step": STEPS[: len(errors) + 1], "val_error": [0.9, *errors]})
        rows.append(curve.assign(**key, val_loss=0.5, train_loss=0.5, seconds=0.0))
    return replace(study, trials=pd.concat(trials), curves=pd.concat(rows)[study.curves.columns])


@pytest.fixture
def budgeted(made):
    return made({4: 90, 16: 40, 64: 20}, to="budget", trials=4)


def test_the_mean_passes_once_it_is_far_enough_below_for_its_spread(budgeted):
    # at step 10 the mean is below 0.05, and not by the test: t is 1.5 standard errors
    study = with_seeds(budgeted, [(0.08, 0.04, 0.01), (0.01, 0.042, 0.02), (0.03, 0.044, 0.02)])
    (row,) = mean_records(study, study.target)
    assert (row["batch_size"], row["seeds"], row["steps"], row["examples"]) == (4, 3, 20, 80)
    assert row["mean"] == pytest.approx(0.042)
    assert row["p_value"] == pytest.approx(0.0101, abs=2e-4)
    (sentence,) = mean_sentences([row], 0.05, "error")
    assert "below 0.05 (a one-sided t-test over the fresh seeds, p < 0.05 at" in sentence
    assert "from step 20 at B = 4" in sentence
    assert mean_records(study, 0.06) == []


def test_after_a_seed_has_diverged_no_step_passes(budgeted):
    study = with_seeds(budgeted, [(0.08,), (0.01, 0.042, 0.02), (0.03, 0.044, 0.02)])
    (row,) = mean_records(study, 0.05)
    assert row["steps"] is None
    (sentence,) = mean_sentences([row], 0.05, "error")
    assert re.fullmatch(
        "At B = 4 the mean error is below 0.05 .a one-sided .* at no step.", sentence
    )


def test_imported_runs_that_end_at_the_target_have_no_mean(budgeted):
    study = with_seeds(budgeted, [(0.08, 0.04), (0.01, 0.042, 0.02), (0.03, 0.044, 0.02)])
    study.trials.loc[study.trials["status"] == "exhausted", "stopped_at"] = range(10, 40, 10)
    assert len(mean_records(study, 0.05)) == 1
    stopped = study.trials.copy()
    stopped.loc[stopped["stopped_at"] == 10, "steps"] = 10
    assert not mean_records(replace(study, trials=stopped), 0.05)


def test_a_race_to_the_target_has_no_mean(made):
    study = with_seeds(made({4: 90, 16: 40}, trials=4), [(0.01,) * 3] * 3)
    assert mean_records(study, 0.05) == []


def test_a_mean_at_the_target_passes_one_look_in_twenty():
    generator = np.random.default_rng(0)
    looks = 0.05 + 0.01 * generator.standard_normal((2000, 5))
    passed = [_first_below(pd.DataFrame([look], index=[1]), 0.05)[0] is not None for look in looks]
    assert 0.035 < np.mean(passed) < 0.065
