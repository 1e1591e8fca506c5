import dataclasses

import numpy as np
import pandas as pd
import pytest

from analysis.measures.replicates import (
    all_have_replicates,
    fitted_points,
    replicates,
    representative_runs,
    unbiased_runs,
    with_replicates,
)
from analysis.measures.targets import steps_to_target
from analysis.report.record import sentences
from analysis.report.seeds import replicate_sentences
from analysis.report.summary import analyze
from analysis.report.write import readable_table

STEPS = {4: 400, 16: 100, 64: 40, 256: 30}


def run(study, size, trial, steps, **changes):
    """Return a replicate of the winner, trial 3; None for one that was capped at 170 steps."""
    row = study.trials[study.trials["batch_size"] == size].iloc[3].to_dict()
    reached = steps is not None
    return row | {
        "role": "replicate",
        "trial": trial,
        "source_batch_size": size,
        "source_role": "search",
        "source_trial": 3,
        "rule": "same",
        "status": "reached" if reached else "capped",
        "steps": steps,
        "steps_before": steps and steps - 1,
        "stopped_at": steps or 170,
    } | changes  # fmt: skip


def replicated(made, runs):
    """Return a study with these steps of fresh seeds by batch size."""
    study = made(STEPS)
    rows = [
        again if isinstance(again, dict) else run(study, size, number, again)
        for size, some in runs.items()
        for number, again in enumerate(some)
    ]
    more = pd.DataFrame(rows).astype(study.trials.dtypes)
    return dataclasses.replace(study, trials=pd.concat([study.trials, more], ignore_index=True))


FULL = {
    4: [420, 500, 610, 450, 480],
    16: [100, 130, 150, None, 140],
    64: [44, None, None, 90, None],
    256: [33, 31, 30, 36],
}


@pytest.fixture
def table(made):
    """A table with replicates at every batch size."""
    study = replicated(made, FULL)
    return with_replicates(steps_to_target(study), study).set_index("batch_size", drop=False)


def test_the_median_counts_a_miss_as_slower_than_any_hit(table):
    assert table["steps"].tolist() == list(STEPS.values())
    assert table.loc[4, "steps_median"] == 480
    assert table.loc[16, "steps_median"] == 140
    assert table.loc[256, "steps_median"] == pytest.approx(np.sqrt(31 * 33))
    assert pd.isna(table.loc[64, "steps_median"])
    assert table.loc[64, "median_bound"] == 170
    assert table["seeds"].tolist() == [5, 5, 5, 4]
    assert table["seeds_missed"].tolist() == [0, 1, 3, 0]
    assert (table["replicate_of"] == "search 3").all()


def test_the_interval_is_the_t_interval_without_misses(table):
    logs = np.log(FULL[4])
    half = 2.776 * logs.std(ddof=1) / np.sqrt(5)  # t quantile 0.975 of 4 degrees, printed table
    # of the middles of brackets one step wide
    assert table.loc[4, "low"] == pytest.approx(np.exp(logs.mean() - half), rel=2e-3)
    assert table.loc[4, "high"] == pytest.approx(np.exp(logs.mean() + half), rel=2e-3)
    assert table.loc[16, "high"] > 150


def test_the_fit_takes_the_medians_and_a_missed_one_as_a_bound(table):
    assert all_have_replicates(table)
    points = fitted_points(table)
    assert points.steps.tolist() == pytest.approx([480, 140, 170, np.sqrt(31 * 33)])
    assert points.missed.tolist() == [False, False, True, False]
    assert points.before.tolist() == pytest.approx([479, 139, 170, np.sqrt(30 * 32)])
    assert table["median_before"].tolist()[:2] == [479, 139]


def test_the_fit_takes_the_minima_where_a_batch_size_has_no_replicates(made):
    study = replicated(made, {4: FULL[4]})
    table = with_replicates(steps_to_target(study), study)
    assert not all_have_replicates(table)
    assert fitted_points(table).steps.tolist() == list(STEPS.values())
    words = replicate_sentences(table, planned=True)[-1]
    assert words.startswith("B = 16, 64, 256: no replicates, so the fits use the fewest steps")
    assert "run `sweep` again" in words


def test_a_miss_at_a_lower_cap_counts_for_those_that_took_longer(made):
    runs = {size: [40] * 3 for size in STEPS} | {4: [None, None, 300, 320, 340, 400]}
    study = replicated(made, runs)
    assert replicates(study)["steps_median"][0] == pytest.approx(np.sqrt(340 * 400))
    granted = study.config | {"granted": [{"batch_size": 4, "trials": 8, "seeds": 6}]}
    found = replicates(dataclasses.replace(study, config=granted))
    assert found["steps_median"].tolist() == pytest.approx([np.sqrt(320 * 340), 40, 40, 40])
    # nothing else changes where no miss lies below the median
    usual = dataclasses.replace(replicated(made, FULL), config=granted)
    pd.testing.assert_frame_equal(replicates(usual), replicates(replicated(made, FULL)))


def test_a_run_that_diverged_early_counts_as_the_longest_miss(made):
    study = made(STEPS)
    broke = run(study, 4, 2, None, status="diverged", stopped_at=3)
    crashed = run(study, 4, 3, None, status="failed", stopped_at=0)
    study = replicated(made, {4: [420, None, broke, crashed]})
    row = replicates(study).iloc[0]
    assert (row["seeds"], row["seeds_missed"]) == (3, 2)
    assert row["median_bound"] == 170
    assert pd.isna(row["low"])


def of_points(study, *points):
    """Return replicates of several points at batch size 4, given the steps of each one's seeds."""
    return [
        run(study, 4, 10 * source + seed, steps, source_trial=source)
        for source, some in enumerate(points)
        for seed, steps in enumerate(some)
    ]


def test_the_better_of_several_points_counts(made):
    rows = of_points(made(STEPS), [420, 500, 610], [300, 310, 320])
    row = replicates(replicated(made, {4: rows})).iloc[0]
    assert (row["replicate_of"], row["steps_median"], row["seeds"]) == ("search 1", 310, 3)


def test_a_seed_does_not_choose_the_point_that_it_counts_for(made):
    # the last seed of each point is lucky: it counts only where the others find its point best
    rows = of_points(made(STEPS), [400, 402, 100], [401, 399, 500])
    counted = representative_runs(replicated(made, {4: rows}))
    assert sorted(counted["steps"]) == [400, 402, 500]


def test_seeds_beyond_those_of_the_other_points_did_not_choose(made):
    rows = of_points(made(STEPS), [300, 310, 305, 380, 390, 400], [420, 430, 410])
    row = replicates(replicated(made, {4: rows})).iloc[0]
    assert (row["replicate_of"], row["steps_median"], row["seeds"]) == ("search 0", 390, 3)


def test_only_later_seeds_count_for_points_with_more_seeds_than_others(made):
    rejected = [[90, 420], [100, 430]]
    survivors = [[80, 81, 300, 310, 320], [70, 75, 400, 410, 420]]
    row = replicates(replicated(made, {4: of_points(made(STEPS), *rejected, *survivors)})).iloc[0]
    assert (row["replicate_of"], row["steps_median"], row["seeds"]) == ("search 2", 310, 3)


def test_a_point_with_a_seed_that_failed_was_not_rejected(made):
    rows = of_points(made(STEPS), [420, 500, 610], [300, 310])
    row = replicates(replicated(made, {4: rows})).iloc[0]
    assert (row["replicate_of"], row["seeds"]) == ("search 1", 2)


@pytest.mark.parametrize(("points", "confirm"), [(3, 0), (3, 5), (2, 0)])
def test_no_winners_curse_among_identical_points(points, confirm):
    rng = np.random.default_rng(0)
    found, least = [], []
    for _ in range(150):
        logs = 0.2 * rng.standard_normal((points, 5))
        best = int(np.median(logs, axis=1).argmin())
        least.append(np.median(logs, axis=1).min())
        more = 0.2 * rng.standard_normal(confirm)
        rows = [
            {
                "batch_size": 4,
                "replicate_of": f"search {point}",
                "trial": seed,
                "steps": np.exp(log),
            }
            for point, some in enumerate(logs)
            for seed, log in enumerate([*some, *(more if point == best else [])])
        ]
        found.append(np.median(np.log(unbiased_runs(pd.DataFrame(rows))["steps"].to_numpy())))
    assert np.mean(least) < -0.05
    assert abs(np.mean(found)) < 0.025


def test_from_six_seeds_on_the_interval_assumes_no_distribution(made):
    many = [100, 101, 102, 103, 104, 300, 301, 302, 303, 304]
    study = replicated(made, {4: many, 16: [90, 95, 100, 110, 120]})
    table = with_replicates(steps_to_target(study), study)
    row = table.iloc[0]
    assert (row["low"], row["high"]) == pytest.approx((100, 303))  # from where the bracket begins
    assert row["low"] < row["steps_median"] < row["high"]
    told = " ".join(replicate_sentences(table, planned=True))
    assert "Intervals of medians over fewer than 6 seeds assume log-normal steps" in told


def test_an_interval_that_ends_at_the_median_does_not_end_before_it_by_rounding(made):
    study = replicated(made, {4: [26] * 4 + [28] * 26})
    row = with_replicates(steps_to_target(study), study).iloc[0]
    assert row["steps_median"] == pytest.approx(28)
    assert row["low"] <= row["steps_median"] <= row["high"]


def test_replicates_never_lower_the_minimum(made):
    study = replicated(made, {4: [12, 13, 14]})
    assert steps_to_target(study)["steps"].tolist() == list(STEPS.values())


def test_sentences_and_table_show_the_bias_of_the_minimum(made):
    analysis = analyze(replicated(made, FULL))
    words = " ".join(replicate_sentences(analysis.table, planned=True))
    assert "(4 to 5 at each batch size that has them) take 1.20 times the fewest steps" in words
    assert (
        "at most 1.40 times, at B = 16; half or more of them missed the target at B = 64" in words
    )
    assert "than all that reached it: 1 of 5 at B = 16, 3 of 5 at B = 64." in words
    assert {
        "The fits use the medians over fresh seeds, corrected for the gap that each search leaves.",
        "B = 64: half or more of the fresh seeds missed the target, so their median is more "
        "than 170 steps.",
    } <= {*sentences(analysis)}
    shown = readable_table(analysis)
    assert shown["median"].tolist() == ["480", "140", "> 170", "32"]
    assert analysis.fit.points.missed.tolist() == [False, False, True, False]


def test_a_study_without_replicates_says_so(analyzed):
    (words,) = replicate_sentences(analyzed.table, planned=False)
    assert "biased low, by an unknown factor; set replicates.seeds" in words
    (words,) = replicate_sentences(analyzed.table, planned=True, failed=True)
    assert "those that were run failed" in words


def test_an_end_that_seeds_do_not_bound_is_null(made):
    analysis = analyze(replicated(made, FULL | {64: [40, 50, 60, None, None]}))
    row = analysis.table.set_index("batch_size").loc[64]
    assert (row["interval"], pd.isna(row["high"])) == ("no upper bound", True)
    shown = readable_table(analysis).set_index("B").loc["64"]
    assert shown["95% CI"] == f"> {row['low']:.0f}"
    told = "Interval of the median over fresh seeds at B = 64: no upper bound."
    assert told in sentences(analysis)


def test_at_another_target_the_fit_uses_the_searches_again(made):
    study = replicated(made, FULL)
    table = with_replicates(steps_to_target(study, 0.2), study, 0.2)
    assert table["seeds"].isna().all()
    assert not all_have_replicates(table)
