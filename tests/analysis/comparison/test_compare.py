import io
import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from analysis.comparison.compare import compare
from analysis.comparison.report import (
    check_destination,
    comparison_markdown,
    comparison_record,
    fits_table,
    print_comparison,
    steps_table,
    write_comparison,
)
from analysis.comparison.sentences import comparison_sentences
from analysis.errors import AnalysisError
from analysis.tables.folder import ResultsFolder

SIZES = (2, 4, 8, 16, 32, 64, 128, 256)
WHERE = {"a": "results/a", "b": "results/b"}


def curve(s_min, b_crit, sizes=SIZES):
    """Steps along a hyperbola, off it by 4% up and down in turn."""
    return {
        size: round(s_min * (1 + b_crit / size) * (1 + 0.04 * (-1) ** place))
        for place, size in enumerate(sizes)
    }


@pytest.fixture(scope="module", autouse=True)
def one_target():
    """Skip the other targets, which a comparison does not use: they take half the time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("analysis.report.summary.find_goals", lambda study: ())
        yield


@pytest.fixture(scope="module")
def made(made):
    """Return the maker of studies, with as few trials as have a winner, of an adaptive search.

    Under-tuning, which so few trials leave large, is then in no interval.
    """

    def make(*args, **options):
        study = made(*args, **{"trials": 4} | options)
        return replace(study, config={**study.config, "adaptive": True})

    return make


@pytest.fixture(scope="module")
def pair(made):
    """Return two studies: the first misses one batch size, the second has 4 times its b_crit."""
    second = made(curve(40, 160, (*SIZES[1:], 512)))
    return {
        "a": made({**curve(40, 40), 2: None}, max_steps=1000),
        "b": replace(second, config={**second.config, "optimizer": "adam"}),
    }


@pytest.fixture(scope="module")
def comparison(pair):
    return compare(pair)


def text_of(comparison):
    return "\n".join(comparison_sentences(comparison))


def again(study, factor=1.2):
    """Return a study with three replicates of each batch size's best trial added."""
    best = study.trials[study.trials["steps"].notna()].sort_values("steps")
    rows = []
    for size, group in best.groupby("batch_size"):
        source = group.iloc[0]
        for seed, share in enumerate((0.9, 1.0, 1.1)):
            steps = round(source["steps"] * factor * share)
            rows.append(
                source.to_dict()
                | {"role": "replicate", "trial": seed, "batch_size": size, "steps": steps}
                | {"steps_before": steps - 1, "stopped_at": steps, "source_batch_size": size}
                | {"source_role": "search", "source_trial": source["trial"], "status": "reached"}
            )
    extra = pd.DataFrame(rows).astype(study.trials.dtypes.to_dict())
    return replace(study, trials=pd.concat([study.trials, extra], ignore_index=True))


def test_table_has_a_row_for_each_study_and_batch_size(comparison):
    table = comparison.table
    assert table["study"].tolist() == ["a"] * 8 + ["b"] * 8
    first = table[table["study"] == "a"].set_index("batch_size")
    assert first["missed"].tolist() == [True] + [False] * 7
    assert first.loc[2, "bound"] == 20_000
    assert pd.isna(first.loc[2, "compared"])
    assert (first["examples"] == first.index * first["steps"]).dropna().all()
    assert first.loc[4:, "compared"].tolist() == first.loc[4:, "steps"].tolist()


def test_steps_are_normalised_at_the_smallest_size_that_all_reached(comparison):
    to = comparison.normalisation
    assert (to.batch_size, to.measured) == (4, True)
    there = comparison.table[comparison.table["batch_size"] == 4]
    assert there["normalised"].tolist() == [1.0, 1.0]
    reached = comparison.table[~comparison.table["missed"]]
    divisors = reached["study"].map(dict(to.by)).astype(float)
    assert np.allclose(reached["normalised"].astype(float), reached["compared"] / divisors)
    assert "relative to each study's own at B = 4" in text_of(comparison)


def test_without_a_common_size_steps_are_relative_to_the_curves(made):
    found = compare(
        {"a": made(curve(40, 40, (2, 4, 8, 16))), "b": made(curve(40, 40, (32, 64, 128)))}
    )
    to = found.normalisation
    assert (to.batch_size, to.measured) == (32, False)
    assert to.by["a"] == pytest.approx(float(found.studies[0].fit.predict(32)))
    assert "each study's hyperbola at B = 32" in text_of(found)
    assert "no steps to compare directly" in text_of(found)


def test_without_a_fit_nothing_is_normalised_or_tested(made):
    found = compare({"a": made(curve(40, 40)), "b": made({512: 40, 1024: None})})
    assert found.equality is None
    assert found.ratios == ()
    assert found.table["normalised"].isna().all()
    text = text_of(found)
    assert "Steps are not normalized" in text
    assert "No fit, hence no b_crit, for" in text
    json.dumps(comparison_record(found), allow_nan=False)
    assert "| - |" in comparison_markdown(found)


def test_equal_steps_are_told_as_such(made):
    found = compare({"a": made({64: 40, 512: 40}), "b": made({64: 40, 512: 60})})
    assert "in all studies, a and b need the fewest steps, 40." in text_of(found)
    assert fits_table(found).empty


def test_b_crit_is_compared(comparison):
    (ratio,) = comparison.ratios
    assert (ratio.over, ratio.under) == ("b", "a")
    assert ratio.estimate.low < 4 < ratio.estimate.high
    assert comparison.equality.significant
    text = text_of(comparison)
    assert "b_crit of optimizer = adam is 4." in text
    assert "times that of optimizer = nesterov (95% interval" in text
    assert "The difference in b_crit is significant" in text
    assert "At B = 256, the largest batch size that reached the target in all studies, " in text
    assert "in all studies, optimizer = nesterov needs the fewest steps" in text
    assert "optimizer = nesterov missed the target at B = 2 (lowest error 0.06" in text
    assert "Every batch size of every study reaches error < 0.061: --target 0.061" in text
    assert (
        "No curve explains the miss of optimizer = nesterov at B = 2, so the fit leaves it out."
        in text
    )


def test_the_larger_b_crit_is_named_first_whatever_the_order(pair):
    found = compare({"b": pair["b"], "a": pair["a"]})
    assert found.ratios[0].estimate.value < 1
    assert "b_crit of optimizer = adam is 4." in text_of(found)


def test_under_tuning_is_in_the_ratio_or_named(comparison, pair):
    text = "Intervals and test do not cover under-tuning of optimizer = nesterov and optimizer = ad"
    assert text in text_of(comparison)
    even = {n: replace(s, config={**s.config, "adaptive": False}) for n, s in pair.items()}
    wider = compare(even)
    assert "not cover under-tuning" not in text_of(wider)
    for study, other in zip(wider.studies, comparison.studies, strict=True):
        assert study.b_crit.low < other.b_crit.low


def test_under_tuning_of_a_shared_search_is_only_in_the_interval(made):
    study = made(curve(40, 40), trials=64)
    search = study.config["search"] | {"sampler": "shared"}
    shared = replace(study, config={**study.config, "adaptive": True, "search": search})
    said = text_of(compare({"a": shared, "b": shared}))
    assert "Ratio and test do not cover under-tuning of " in said
    assert "Intervals and test" not in said


def test_equal_studies_do_not_differ_significantly(made):
    found = compare({"a": made(curve(40, 40)), "b": made(curve(44, 40))})
    assert not found.equality.significant
    assert [study.label for study in found.studies] == ["a", "b"]
    assert "No significant difference in b_crit" in text_of(found)


def test_an_unidentified_b_crit_is_named(made):
    perfect = made({size: round(4000 / size) for size in (2, 4, 8, 16, 32)})
    both = compare({"wide": made(curve(40, 40)), "b": perfect, "c": perfect})
    text = text_of(both)
    assert "b: The plateau is not identified by the hyperbola fit: b_crit_hyperbola > " in text
    assert "b_crit is not compared: it is identified in fewer than two studies" in text
    assert both.equality is None
    assert both.ratios == ()
    assert "p = " not in text


def test_only_studies_that_identify_b_crit_are_compared(made):
    perfect = made({size: round(4000 / size) for size in (2, 4, 8, 16, 32)})
    studies = {"a": made(curve(40, 40)), "open": perfect, "b": made(curve(40, 160))}
    found, without = compare(studies), compare({"a": studies["a"], "b": studies["b"]})
    assert found.equality == without.equality
    assert found.ratios == without.ratios
    assert "open is left out of the comparison of b_crit" in text_of(found)


def test_medians_where_all_have_them_else_the_fewest(made):
    first, second = made(curve(40, 40)), made(curve(40, 160))
    both = compare({"a": again(first), "b": again(second)})
    assert both.medians
    assert both.table["compared"].equals(both.table["steps_median"].rename("compared"))
    mixed = compare({"a": again(first), "b": second})
    assert not mixed.medians
    assert mixed.table["compared"].tolist() == mixed.table["steps"].tolist()
    alone = compare({"a": first, "b": second})
    assert mixed.studies[0].fit.s_min == alone.studies[0].fit.s_min
    assert mixed.ratios == alone.ratios
    assert "a has medians over fresh seeds, but some studies or batch sizes lack them" in text_of(
        mixed
    )


def test_unequal_trials_are_named_or_made_equal(made):
    studies = {"a": made(curve(40, 40), trials=8), "b": made(curve(40, 160), trials=4)}
    text = text_of(compare(studies))
    assert "Trials at each batch size: 8 (search.trials = 8) and 4 (search.trials = 4)" in text
    assert "4 trials at each batch size" in text_of(compare(studies, equal_trials=True))


def test_different_targets_and_workloads_are_named(made):
    other = made(curve(40, 160), target=0.1)
    studies = {
        "a": made(curve(40, 40)),
        "b": replace(other, config={**other.config, "workload": "x"}),
    }
    text = text_of(compare(studies))
    assert "different targets, 0.05 (workload = digits-mlp) and 0.1 (workload = x)" in text
    assert "different workloads" in text
    assert "different targets" not in text_of(compare(studies, target=0.1))


def test_other_validation_data_are_named(made):
    one = made(curve(40, 40))
    data = [{"train": "a", "validation": digest} for digest in "bc"]
    studies = {digests["validation"]: replace(one, data=digests) for digests in data}
    text = text_of(compare(studies))
    assert "different validation data" in text
    assert "different training data" not in text


def test_different_quantities_are_refused(made):
    first = made(curve(40, 40))
    with pytest.raises(AnalysisError, match=r"one quantity, got error \(a\), loss \(b\)"):
        compare({"a": first, "b": made(curve(40, 40), quantity="loss")})


def test_tables_show_misses_as_bounds(comparison):
    steps = steps_table(comparison).set_index("B")
    assert steps.loc["2"].tolist() == ["> 20000", "-"]
    assert steps.loc["4", "optimizer = adam"].endswith(" (1)")
    fits = fits_table(comparison).set_index("")
    assert fits.loc["b_crit", "optimizer = adam"].startswith("16")
    assert fits.loc["B_ref (of b_20)"].tolist() == ["4", "4"]
    assert {"S_min, steps", "E_min, examples", "b_20", "spread"} <= set(fits.index)


def test_prints_tables_and_sentences(comparison):
    text = io.StringIO()
    print_comparison(comparison, Console(file=text, width=200))
    assert all(sentence in text.getvalue() for sentence in comparison_sentences(comparison))
    assert "optimizer = adam" in text.getvalue()


def test_overwrites_only_a_comparison_of_the_same_studies(comparison, tmp_path):
    folder = ResultsFolder.at(tmp_path / "new")
    check_destination(folder, WHERE)
    assert write_comparison(comparison, folder, WHERE) == ["comparison.json", "comparison.md"]
    record = json.loads(folder.read("comparison.json"))
    assert record["folders"] == WHERE
    assert len(record["table"]) == 16
    check_destination(folder, WHERE)
    with pytest.raises(
        AnalysisError, match="a comparison of results/a, results/b; choose another --to"
    ):
        check_destination(folder, {**WHERE, "c": "results/c"})
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes").write_text("mine")
    with pytest.raises(AnalysisError, match="with other files; choose another --to"):
        check_destination(ResultsFolder.at(tmp_path / "other"), WHERE)
    (tmp_path / "other" / "comparison.json").write_text("[" * 100_000)
    with pytest.raises(AnalysisError, match="with other files; choose another --to"):
        check_destination(ResultsFolder.at(tmp_path / "other"), WHERE)
