from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from analysis.measures.first_trials import first_trials
from analysis.measures.targets import steps_to_target
from analysis.search_quality.best_of_n import SearchVerdict, search_sample
from analysis.search_quality.sentences import quality_sentences
from analysis.search_quality.table import quality_table, readable_quality
from analysis.tables.schema import BOX_COLUMNS


def with_trials(study, trials):
    return replace(study, trials=trials.reset_index(drop=True))


def with_sampler(study, sampler, **config):
    search = {**study.config["search"], "sampler": sampler}
    return replace(study, config={**study.config, "search": search, **config})


def test_one_row_per_batch_size(study):
    quality, steps = quality_table(study), steps_to_target(study)
    assert quality["batch_size"].tolist() == steps["batch_size"].tolist()
    for name in ("steps", "steps_before", "trials", "reached", "diverged"):
        assert quality[name].tolist() == steps[name].tolist()
    row = quality.iloc[0]
    assert row["bracket"] == pytest.approx((600 - row["steps_before"]) / 600)
    assert row["half"] == 8
    group = study.trials[study.trials["batch_size"] == 2]
    assert row["gain"] == search_sample(group).gain
    assert row["search"] == search_sample(group).verdict
    assert row["diverged_share"] == (group["status"] == "diverged").mean()


def test_a_batch_size_without_a_hit_has_nulls_and_is_unknown(made):
    row = quality_table(made({2: None, 4: 100})).iloc[0]
    for name in ("steps", "steps_before", "bracket", "gain", "warm_gain"):
        assert row[name] is pd.NA
    assert row["search"] == "unknown"
    assert row["half_reach"] == 0


def test_another_target_is_judged_by_the_curves(study):
    loose = quality_table(study, 0.2)
    assert (loose["reached"] >= quality_table(study)["reached"]).all()
    assert loose["steps"].tolist() == steps_to_target(study, 0.2)["steps"].tolist()


def test_points_from_other_batch_sizes_are_not_in_the_sample(made):
    study = made({4: 100, 8: 60})
    warm = study.trials[study.trials["trial"].eq(3) & study.trials["batch_size"].eq(4)]
    warm = warm.assign(role="warm", steps=80, steps_before=79, stopped_at=80)
    both = quality_table(with_trials(study, pd.concat([study.trials, warm])))
    alone = quality_table(study)
    assert both["gain"].tolist() == alone["gain"].tolist()
    assert both["trials"].tolist() == [16, 16]
    assert both.loc[0, "steps"] == 80
    assert both.loc[0, "warm_gain"] == pytest.approx(100 / 80 - 1)
    assert both.loc[0, "search"] == "still falling"
    assert both["warm_gain"].isna().tolist() == [False, True]
    assert "B = 4: still falling: the search took 25% more steps than a point taken from" in (
        " ".join(quality_sentences(both))
    )


def test_a_search_with_warm_trials_only_is_unknown(made):
    study = made({4: 100})
    row = quality_table(with_trials(study, study.trials.assign(role="warm"))).iloc[0]
    assert (row["trials"], row["search"], row["box"]) == (0, "unknown", "unknown")
    assert row["steps"] == 100
    assert row["diverged_share"] is pd.NA


@pytest.mark.parametrize("sampler", ["tpe", "a-sampler-of-the-user"])
def test_an_adaptive_search_is_never_settled(study, sampler):
    quality = quality_table(with_sampler(study, sampler, adaptive=True))
    assert quality["gain"].isna().all()
    assert set(quality["search"]) == {"unknown"}
    assert quality["looked"].str.match(r"lr [\d.e-]+( to|, momentum|$)").all()
    sentences = quality_sentences(quality)
    assert "trials of an adaptive sampler cannot show" in sentences[0]
    assert "the first half of the trials took" in sentences[1].lower()


@pytest.mark.parametrize("config", [{}, {"adaptive": False}], ids=["absent", "false"])
def test_other_searches_are_judged_by_their_sample(study, config):
    quality = quality_table(with_sampler(study, "a-sampler-of-the-user", **config))
    assert {"settled", "still falling"} <= set(quality["search"])


def landscape(study, optimum, values, points, race, size=8):
    """Replace the trials by a simulated search of 64 trials with a known optimum."""
    places = points(64, 2, 5)
    steps, errors = race(np.log(100) + 8 * ((places - optimum) ** 2).sum(1))
    hit = np.isfinite(steps)
    rows = pd.concat([study.trials.head(1)] * 64, ignore_index=True)
    rows = rows.assign(batch_size=size, trial=range(64), **values(places), best_error=errors)
    rows["status"] = np.where(hit, "reached", "capped")
    rows["steps"] = pd.array(np.where(hit, np.ceil(np.nan_to_num(steps)), 0), "Int64")
    rows["steps"] = rows["steps"].where(hit)
    rows["steps_before"] = rows["steps"] - 1
    rows["stopped_at"] = rows["steps"].fillna(10_000)
    return replace(study, trials=rows)


def widened(study, size=8):
    rows = [
        (size, region, "lr", low, high, "log")
        for region, low, high in ((0, 1e-4, 1.0), (1, 1.0, 100.0))
    ]
    rows.append((size, 0, "momentum", 0.0, 0.999, "reverse-log"))
    return replace(study, boxes=pd.DataFrame(rows, columns=list(BOX_COLUMNS)))


def test_edges_are_those_of_the_box_that_was_searched(study, box, values, points, race):
    config = {**study.config, "search": {**study.config["search"], "space": box}}
    study = replace(landscape(study, (1.0, 0.5), values, points, race), config=config)
    assert quality_table(study)["edges"].tolist() == ["lr high"]
    assert quality_table(study)["box"].tolist() == ["edge"]
    assert quality_table(widened(study))["edges"].tolist() == [""]
    # the first trials are of the study's own box, not the widened one
    assert quality_table(first_trials(widened(study), 64))["edges"].tolist() == ["lr high"]


def test_momentum_is_not_widened_below_zero(study, box, values, points, race):
    config = {**study.config, "search": {**study.config["search"], "space": box}}
    study = replace(landscape(study, (0.5, -0.1), values, points, race), config=config)
    assert quality_table(study)["edges"].tolist() == [""]


@pytest.mark.parametrize("searched", [("lr",), ("momentum",), ()])
def test_other_spaces(made, searched):
    quality = quality_table(made({4: 100, 8: 60}, searched=searched))
    assert set(quality["search"]) <= set(SearchVerdict)
    assert not quality["walls"].str.contains("effective_lr").any()


def test_row_order_and_repeated_rows_change_nothing(study):
    trials = pd.concat([study.trials, study.trials.head(30)]).sample(frac=1, random_state=1)
    pd.testing.assert_frame_equal(quality_table(with_trials(study, trials)), quality_table(study))


def test_readable_table_has_a_dash_where_unknown(made):
    shown = readable_quality(quality_table(made({2: None, 4: 100}))).set_index("B")
    assert (shown.loc["2", ["bracket", "gain of last doubling", "edges"]] == "-").all()
    assert shown.loc["4", "bracket"].endswith("%")
    assert shown.map(lambda cell: isinstance(cell, str)).all(axis=None)
