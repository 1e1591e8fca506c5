"""A study of a recipe: one point on fresh seeds everywhere, and its cost compared with tuning."""

import dataclasses

import pandas as pd
import pytest

from analysis.comparison.compare import compare
from analysis.comparison.ratios import rule_costs, rule_costs_table
from analysis.comparison.report import comparison_markdown, comparison_record
from analysis.comparison.sentences import comparison_sentences
from analysis.errors import AnalysisError
from analysis.figures import FIGURES
from analysis.figures.drawing.kind import write_all
from analysis.figures.one_study.search import search_data
from analysis.measures.budgets import Budget, Unit, best_errors
from analysis.measures.recipes import follows_rule, recipe_runs
from analysis.measures.targets import steps_to_target
from analysis.report.record import sentences
from analysis.report.summary import analyze
from analysis.report.write import summary_markdown
from analysis.tables.folder import ResultsFolder

BASE = 16
STEPS = {16: [120, 100, 140], 64: [45, 40, 60], 256: [30, 33, None], 1024: [None, None, 20]}
RECIPE = {"rule": "linear", "base": BASE, "warmup_epochs": 5.0}


def runs(study, steps, source=("search", 3)):
    """Return trials and curves with these steps on fresh seeds; None for a miss at 500 steps."""
    first = study.trials[study.trials["trial"] == 3].iloc[0].to_dict()
    rows, curves = [], []
    for size, several in steps.items():
        role, rule = ("replicate", "same") if size == BASE else ("recipe", "linear")
        for number, count in enumerate(several):
            last = count or 500
            key = {"batch_size": size, "role": role, "trial": number}
            rows.append(first | key | {
                "lr": 0.1 * size / BASE,
                "source_batch_size": BASE, "source_role": source[0], "source_trial": source[1],
                "rule": rule, "status": "reached" if count else "exhausted",
                "steps": count, "steps_before": count and count - 1, "stopped_at": last,
                "best_error": 0.04 if count else 0.3,
            })  # fmt: skip
            error = [0.9, 0.3, 0.04 if count else 0.3]
            curve = pd.DataFrame({"step": [0, 5, last], "val_error": error, "val_loss": error})
            curves.append(curve.assign(**key, train_loss=0.5, seconds=0.0))
    return pd.DataFrame(rows).astype(study.trials.dtypes), pd.concat(curves)


@pytest.fixture(scope="module")
def recipe(made):
    """A recipe with base 16, with replicates of another point there too."""
    study = made({BASE: 90})
    trials, curves = runs(study, STEPS)
    others, _ = runs(study, {BASE: [60, 70]}, source=("search", 5))
    others = others.assign(trial=others["trial"] + 3)
    return dataclasses.replace(
        study,
        config=study.config | {"mode": "recipe", "recipe": RECIPE},
        trials=pd.concat([study.trials, trials, others], ignore_index=True),
        curves=pd.concat([study.curves, curves], ignore_index=True),
    )


@pytest.fixture(scope="module")
def tuned(made):
    study = made({16: 90, 64: 30, 256: 20, 1024: 10}, trials=4)
    return dataclasses.replace(study, config=study.config | {"mode": "search"})


def test_every_batch_size_is_represented_by_fresh_seeds_of_one_point(recipe, tuned):
    assert follows_rule(recipe)
    assert not follows_rule(tuned)
    kept = recipe_runs(recipe).trials
    assert len(kept) == 12
    assert set(kept["source_trial"]) == {3}
    table = steps_to_target(recipe).set_index("batch_size")
    assert table["steps"].tolist() == [100, 40, 30, 20]
    assert table["trials"].tolist() == [3] * 4
    assert table["lr"].tolist() == pytest.approx([0.1, 0.4, 1.6, 6.4])


def test_without_replicates_the_trial_that_found_the_point_represents_the_base(recipe):
    less = recipe.trials[recipe.trials["role"] != "replicate"]
    alone = dataclasses.replace(recipe, trials=less)
    assert "B = 16 has no fresh seeds, only the trial that found" in " ".join(
        sentences(analyze(alone))
    )
    table = steps_to_target(alone).set_index("batch_size")
    assert (table.loc[BASE, "trials"], table.loc[BASE, "steps"]) == (1, 90)
    assert table.loc[64, "trials"] == 3


def test_medians_are_used_at_any_target(recipe):
    table = analyze(recipe).table.set_index("batch_size")
    assert table["steps_median"].tolist()[:3] == pytest.approx([120, 45, 33])
    assert pd.isna(table.loc[1024, "steps_median"])
    assert table["seeds_missed"].tolist() == [0, 0, 1, 2]
    loose = analyze(recipe, 0.5).table.set_index("batch_size")
    assert loose["steps_median"].tolist() == pytest.approx([5] * 4)


def test_sentences_warn_that_a_scaling_rule_was_not_tuned(recipe, tmp_path):
    analysis = analyze(recipe)
    words = " ".join(sentences(analysis))
    assert (
        "Only B = 16 was tuned: all numbers are for one point, the one found there, scaled" in words
    )
    assert "linear scaling rule with 5 epochs of warm-up and run with fresh seeds" in words
    assert "of the search (median)" not in words
    assert "rule from a neighboring batch size" not in words
    assert "2 of 3 at B = 1024" in words
    assert analysis.title == "digits-mlp, nesterov, linear rule, validation error < 0.05"
    assert analysis.search["batch_size"].tolist() == [BASE]
    assert "linear rule" in summary_markdown(analysis)
    star = search_data(analysis).query("best")
    assert (star["batch_size"].tolist(), star["trial"].tolist()) == ([BASE], [3])
    written = write_all(FIGURES, analysis, ResultsFolder.at(tmp_path))
    assert {"steps_vs_batch.png", "search.png"} <= set(written)
    assert "metaparameters.png" not in written


def test_a_scaling_rule_that_never_ran_is_reported(recipe):
    base = recipe.trials[recipe.trials["role"] == "search"]
    words = " ".join(sentences(analyze(dataclasses.replace(recipe, trials=base))))
    assert "No run of the linear scaling rule with 5 epochs of warm-up is recorded" in words


def test_a_published_point_needs_no_search(recipe):
    trials = recipe.trials[recipe.trials["role"] == "recipe"].assign(
        source_batch_size=32_768, source_role=None, source_trial=pd.NA, rule="lamb"
    )
    config = recipe.config | {"recipe": {"rule": "lamb", "warmup_epochs": 0.0}}
    analysis = analyze(dataclasses.replace(recipe, trials=trials, config=config))
    assert analysis.table["batch_size"].tolist() == [64, 256, 1024]
    assert analysis.search.empty
    assert "Nothing was tuned: all numbers are for one point, published" in " ".join(
        sentences(analysis)
    )
    assert search_data(analysis).empty


def test_errors_within_budgets_are_those_of_the_recipe_runs(recipe):
    table = best_errors(recipe, [Budget(unit=Unit.STEPS, amount=10)])
    assert table["best_error"].tolist() == [0.3] * 4


def test_equal_trials_are_refused(recipe):
    with pytest.raises(
        AnalysisError, match="needs a study that tunes all batch sizes, got the recipe"
    ):
        analyze(recipe, first=2)


@pytest.fixture(scope="module")
def compared(recipe, tuned):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("analysis.report.summary.find_goals", lambda study: ())
        other = dataclasses.replace(tuned, config=tuned.config | {"optimizer": "lars"})
        yield compare({"other": other, "tuned": tuned, "rule": recipe})


def test_a_scaling_rule_is_compared_with_the_tuned_study_of_its_optimizer(compared):
    costs = rule_costs(compared)
    assert (set(costs["study"]), set(costs["tuned"])) == ({"rule"}, {"tuned"})
    # the tuned study has no medians, so all are compared by the fewest steps
    assert costs["ratio"].tolist() == pytest.approx([100 / 90, 40 / 30, 30 / 20, 20 / 10])
    assert rule_costs_table(compared).iloc[:, 1].tolist() == [
        "1.11x",
        "1.33x",
        "1.50x",
        "2.00x",
    ]
    assert "1.50 times at B = 256" in " ".join(comparison_sentences(compared))
    assert "--equal-trials" not in " ".join(comparison_sentences(compared))
    assert "Steps of each scaling rule relative to the tuned study" in comparison_markdown(compared)
    assert len(comparison_record(compared)["rule_costs"]) == 4


def test_a_miss_where_tuning_succeeds_is_reported(recipe, tuned):
    missed = {**STEPS, 1024: [None, None, None]}
    trials, _ = runs(recipe, {1024: missed[1024]})
    others = recipe.trials[recipe.trials["batch_size"] != 1024]
    changed = dataclasses.replace(recipe, trials=pd.concat([others, trials], ignore_index=True))
    found = compare({"tuned": tuned, "rule": changed})
    assert rule_costs_table(found).iloc[-1].tolist() == ["1024", "missed"]
    assert "misses the target, which tuning reaches, at B = 1024" in " ".join(
        comparison_sentences(found)
    )


def test_a_scaling_rule_is_not_compared_with_another_workload(recipe, tuned):
    other = dataclasses.replace(tuned, config=tuned.config | {"workload_options": {"hidden": [64]}})
    found = compare({"tuned": other, "rule": recipe})
    assert rule_costs(found).empty
    assert "Steps of each scaling rule" not in comparison_markdown(found)
