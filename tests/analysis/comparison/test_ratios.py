"""Ratios of examples to target: from known steps, and with an interval that covers."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from analysis.comparison.compare import compare
from analysis.comparison.ratios import (
    _ratio,
    example_ratio_sentences,
    example_ratios,
    example_ratios_table,
)

ONE, OTHER = {4: 400, 16: 100, 64: 50, 256: 50}, {4: 300, 16: 50, 64: 10, 256: None}


@pytest.fixture
def pair(made, monkeypatch):
    monkeypatch.setattr("analysis.report.summary.find_goals", lambda study: ())
    studies = {"a": made(ONE, trials=4), "b": made(OTHER, trials=4)}
    config = studies["b"].config | {"optimizer": "muon"}
    return studies | {"b": replace(studies["b"], config=config)}


def test_examples_are_compared_where_both_reached_the_target(pair):
    comparison = compare(pair)
    table = example_ratios(comparison)
    assert table["ratio"].tolist() == pytest.approx([0.75, 0.5, 0.2])
    assert table["low"].isna().all()  # fewest steps have no interval
    assert example_ratios_table(comparison).to_numpy().tolist() == [
        ["4", "0.75x"], ["16", "0.50x"], ["64", "0.20x"],
    ]  # fmt: skip
    (sentence,) = example_ratio_sentences(comparison)
    assert sentence.endswith("to optimizer = nesterov: 0.75x at B = 4 and 0.20x at B = 64.")


@pytest.mark.parametrize(
    "changes", [{"optimizer": "nesterov"}, {"workload": "mnist-mlp"}, {"race": {"target": 0.1}}]
)
def test_other_studies_have_no_ratio(pair, changes):
    config = pair["b"].config
    config |= changes | {"race": config["race"] | changes.get("race", {})}
    comparison = compare(pair | {"b": replace(pair["b"], config=config)})
    assert example_ratios(comparison).empty
    assert not list(example_ratio_sentences(comparison))


@pytest.mark.parametrize(("recipes", "rows"), [("ab", 3), ("b", 0)])
def test_recipes_have_ratios_among_themselves(pair, recipes, rows, monkeypatch):
    config = pair["a"].config  # of one optimizer
    pair = {name: replace(study, name=name, config=config) for name, study in pair.items()}
    monkeypatch.setattr(
        "analysis.comparison.ratios.follows_rule", lambda study: study.name in recipes
    )
    assert len(example_ratios(compare(pair))) == rows


def test_the_interval_covers_the_true_ratio():
    generator = np.random.default_rng(0)
    covered = []
    for _ in range(1000):
        spans = []
        for center, spread in ((1.0, 0.3), (1.5, 0.1)):
            logs = center + spread * generator.standard_normal(5)
            half = stats.t.ppf(0.975, 4) * logs.std(ddof=1) / np.sqrt(5)
            spans.append(tuple(np.exp(logs.mean() + np.array([0, -half, half]))))
        _, low, high = _ratio(*spans)
        covered.append(low < np.exp(1.0 - 1.5) < high)
    assert 0.935 < np.mean(covered) < 0.985
