from dataclasses import replace

import numpy as np
import pytest

from analysis.fitting.tuning_gap import MIN_COMMON
from analysis.measures.targets import steps_to_target
from analysis.search_quality.tuning import ADAPTIVE, NO_TUNING, tuning_of


def gaps_of(study):
    found = tuning_of(study, steps_to_target(study))
    return found.gaps, found.missing


def test_every_batch_size_that_reached_has_a_gap(made):
    gaps, missing = gaps_of(made({2: 600, 8: 200, 32: None, 128: 40}))
    assert list(gaps) == [2, 8, 128]
    assert missing == ""


def test_more_trials_make_a_smaller_gap(made):
    few, many = (gaps_of(made({8: 200}, trials=trials))[0][8.0] for trials in (8, 128))
    assert many.excess(0.95) < few.excess(0.95)


def test_a_single_trial_leaves_the_gap_open(made):
    study = made({8: 200}, trials=4)
    one = replace(study, trials=study.trials[study.trials["trial"] == 3])
    assert gaps_of(one)[0][8.0].excess(0.5) > gaps_of(study)[0][8.0].excess(0.5) > 0.5
    assert gaps_of(one)[0][8.0].excess(0.95) > 100


def test_the_gap_is_that_of_the_best_point_wherever_it_came_from(study):
    trials = study.trials.copy()
    winner = trials["batch_size"].eq(16) & trials["trial"].eq(3)
    better = trials[winner].assign(role="warm", trial=0, steps=82, steps_before=80)
    other = replace(
        study, trials=type(trials)(trials.to_dict("records") + better.to_dict("records"))
    )
    after, before = gaps_of(other)[0][16.0], gaps_of(study)[0][16.0]
    assert 1 + after.excess(0.5) < (1 + before.excess(0.5)) * 91 / 82


@pytest.mark.parametrize(
    ("change", "reason"),
    [({"adaptive": True}, ADAPTIVE), ({"search": {"space": {"lr": 0.1}}}, NO_TUNING)],
    ids=["adaptive", "nothing searched"],
)
def test_if_the_trials_do_not_show_the_gap_a_reason_is_given(study, change, reason):
    assert gaps_of(replace(study, config={**study.config, **change})) == ({}, reason)


def searched_by(study, sampler):
    search = study.config["search"] | {"sampler": sampler}
    learned = replace(study, config={**study.config, "adaptive": True, "search": search})
    return gaps_of(learned)[0]


def test_trials_of_tpe_show_the_gap_like_even_ones(study):
    found, even = searched_by(study, "tpe"), gaps_of(study)[0]
    assert [found[size].excess(0.5) for size in even] == [gap.excess(0.5) for gap in even.values()]


def test_trials_that_crowd_have_a_common_and_less_certain_gap(study):
    found, even = searched_by(study, "shared"), gaps_of(study)[0]
    least = np.expm1(0.9 * MIN_COMMON * len(study.space))  # between two of the grid
    for size, gap in even.items():
        assert found[size].common
        assert found[size].excess(0.95) > gap.excess(0.95)
        assert found[size].excess(0.05) > max(least, gap.excess(0.05) / 4)
    assert searched_by(study, "gp") == {}


def test_batch_sizes_that_only_points_from_elsewhere_reached_are_named(study):
    trials = study.trials.copy()
    trials.loc[trials["batch_size"].isin([16, 32]), "role"] = "warm"
    gaps, reason = gaps_of(replace(study, trials=trials))
    assert gaps == {}
    assert reason.endswith("at B = 16, 32")
