import dataclasses

import pandas as pd
import pytest

from analysis.measures.scaling_rules import scaling_rule_sentences, scaling_rules
from analysis.measures.targets import steps_to_target


def with_rates(made, rate, searched=("lr",)):
    """Return a study whose winners have learning rate `rate(batch size)` and momentum 0.9."""
    study = made({4: 400, 16: 100, 64: 25}, searched=searched)
    trials = study.trials.copy()
    winners = trials["trial"] == 3
    trials.loc[winners, "lr"] = trials.loc[winners, "batch_size"].map(rate)
    return dataclasses.replace(study, trials=trials)


@pytest.mark.parametrize(
    ("rate", "exact", "other"),
    [
        (lambda size: 0.001 * size, "linear", "square-root"),
        (lambda size: 0.01 * size**0.5, "square-root", "linear"),
    ],
)
def test_the_scaling_rule_that_holds_lands_on_the_optimum(made, rate, exact, other):
    study = with_rates(made, rate)
    rules = scaling_rules(study, steps_to_target(study)).set_index("rule")
    assert rules.loc[exact, "lr_ratio"].tolist() == pytest.approx([1.0] * 4)
    growth = rules.loc[other, "batch_size"] / rules.loc[other, "source_batch_size"]
    expected = growth ** (-0.5 if other == "square-root" else 0.5)
    assert rules.loc[other, "lr_ratio"].tolist() == pytest.approx(expected.tolist())
    assert not rules["ran"].any()
    assert "at worst 2.0" in " ".join(scaling_rule_sentences(rules.reset_index()))


def warm_row(study, size, rule, steps):
    row = study.trials[study.trials["batch_size"] == size].iloc[0].to_dict()
    reached = steps is not None
    return row | {
        "role": "warm",
        "trial": 0 if rule == "linear" else 1,
        "source_batch_size": 4,
        "source_role": "search",
        "source_trial": 3,
        "rule": rule,
        "status": "reached" if reached else "capped",
        "steps": steps,
        "steps_before": steps and steps - 1,
    }


def test_a_scaling_rule_that_was_run_has_a_cost_in_steps(made):
    study = with_rates(made, lambda size: 0.001 * size)
    warm = [warm_row(study, 16, "linear", 120), warm_row(study, 16, "square-root", None)]
    trials = pd.concat([study.trials, pd.DataFrame(warm).astype(study.trials.dtypes)])
    study = dataclasses.replace(study, trials=trials)
    rules = scaling_rules(study, steps_to_target(study))
    ran = rules[rules["ran"]]
    assert ran["steps_ratio"].tolist()[0] == pytest.approx(1.2)
    assert ran["steps_ratio"].isna().tolist() == [False, True]
    linear, root = scaling_rule_sentences(rules)
    assert "took 1.2 times the tuned steps" in linear
    assert "none of the runs reached the target in time" in root


@pytest.mark.parametrize(
    ("name", "value", "searched", "expected"),
    [
        ("beta2", lambda size: 0.999 ** (size / 4), "beta2_half_life", {"half-life": 0.0}),
        ("beta2", lambda size: 0.99, "beta2", {"half-life": -1.0, "same-beta2": 0.0}),
        ("weight_decay", lambda size: size / 40, "weight_decay_time", {"decay-time": 0.0}),
    ],
)
def test_rules_of_averages_and_decay_land_where_they_hold(made, name, value, searched, expected):
    study = with_rates(made, lambda size: 0.1, searched=("lr",))
    study.trials[name] = study.trials["batch_size"].map(value)
    study.config["search"]["space"][searched] = dict(study.space["lr"])
    rules = scaling_rules(study, steps_to_target(study))
    for rule, power in expected.items():
        rows = rules[rules["rule"] == rule]
        growth = rows["batch_size"] / rows["source_batch_size"]
        assert rows["lr_ratio"].tolist() == pytest.approx((growth**power).tolist())
        assert f"The {rule} scaling rule" in " ".join(scaling_rule_sentences(rows))


def test_without_a_searched_learning_rate_there_is_nothing_to_compare(made):
    study = made(searched=("momentum",))
    rules = scaling_rules(study, steps_to_target(study))
    assert rules.empty
    assert scaling_rule_sentences(rules) == ()
