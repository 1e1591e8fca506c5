"""What a page shows is what was computed."""

import json
from dataclasses import replace

import numpy as np
import pytest

from analysis.comparison.compare import compare
from analysis.cost.record import cost_record
from analysis.measures.diagnostics import diagnostic_sentences
from analysis.measures.federated import batch_axis, steps_axis
from analysis.page.record import Page, Records, StudyPage, page_record, thinned_sentences
from analysis.page.rendering import ROOM
from analysis.page.searches import BEST, POINTS, Room, near_best
from analysis.report.record import summary_record
from analysis.search_quality.best_of_n import best_of_n, search_sample
from tests.analysis.made_diagnostics import diagnosed


@pytest.fixture(scope="module")
def shown(page):
    return json.loads(json.dumps(page_record(page, ROOM), allow_nan=False))["studies"][0]


def test_the_page_holds_the_summary(shown, analysis):
    assert shown["summary"] == json.loads(json.dumps(summary_record(analysis)))


def test_the_page_holds_the_cost(shown, cost):
    assert shown["cost"] == json.loads(json.dumps(cost_record(cost)))


def test_diagnoses_are_sentences_and_a_table(page):
    study = page.studies[0]
    assert study.diagnoses == diagnostic_sentences(diagnosed())
    [table] = study.diagnostic_tables
    assert table.rows.columns.tolist() == ["quantity", "B = 16", "B = 64", "B = 256"]
    rows = {name: cells for name, *cells in table.rows.itertuples(index=False)}
    assert rows["eigenvalue, 1"] == ["4", "16", "64"]
    assert rows["noise scale, euclidean"] == ["50", "50", "50"]  # at the end


def test_the_first_view_is_the_analysis(shown, analysis):
    view, summary = shown["views"][0], shown["summary"]
    assert view["rows"] == summary["table"]
    assert view["critical"] == summary["critical_batch_sizes"]
    assert view["chosen"] == summary["chosen"]
    assert view["bounds"] == [[1024, summary["table"][-1]["stopped_at"], True]]
    for name, curve in view["fits"].items():
        fit = analysis.fits[name]
        assert curve["steps"] == pytest.approx(fit.predict(np.array(view["at"])), rel=1e-3)


def test_a_comparison_names_its_units(study):
    federated = {"clients": 8, "local_steps": 4, "shards": "iid"}
    rounds = replace(study, config={**study.config, "federated": federated})
    comparison = compare({"plain": study, "rounds": rounds})
    pages = [StudyPage.of(one.analysis, one.label, Records()) for one in comparison.studies]
    record = page_record(Page(studies=pages, comparison=comparison), ROOM)["comparison"]
    assert record["units"] == {"plain": "steps", "rounds": "rounds"}
    configs = [study.config, rounds.config]
    assert record["steps_axis"] == steps_axis(configs)
    assert record["batch_axis"] == batch_axis(configs)


def test_every_batch_size_is_on_the_curves(shown):
    view = shown["views"][0]
    assert {row["batch_size"] for row in view["rows"]} <= {*view["at"]}


def test_the_other_views_are_the_goals(shown):
    goals = [goal for goal in shown["summary"]["goals"] if goal["target"] != 0.05]
    views = shown["views"][1:]
    assert [view["target"] for view in views] == [goal["target"] for goal in goals]
    for view, goal in zip(views, goals, strict=True):
        assert [row["steps"] for row in view["rows"]] == [row["steps"] for row in goal["table"]]
        assert (view["critical"] or {"b_crit": None})["b_crit"] is None or {
            key: view["critical"]["b_crit"][key] for key in goal["b_crit"]
        } == goal["b_crit"]


def test_the_trials_are_those_of_the_search(shown, analysis):
    trials = analysis.study.trials
    for search in shown["searches"]:
        own = trials[trials["batch_size"] == search["batch_size"]]
        assert search["trial"] == own["trial"].tolist()
        assert search["point"]["lr"] == pytest.approx(own["lr"].tolist(), rel=1e-3)
        assert len(search["status"]) == len(search["steps"]) == len(shown["views"])
        assert search["of"] == len(own)


def test_best_of_n_is_a_part_of_the_whole_curve(shown, analysis):
    trials = analysis.study.trials
    curve = best_of_n(search_sample(trials[trials["batch_size"] == 64])).set_index("n")
    found = next(one for one in shown["searches"] if one["batch_size"] == 64)["best_of_n"][0]
    assert [n for n, _, _ in found][-1] == 24
    for n, steps, reach in found:
        assert steps == pytest.approx(curve.loc[n, "steps"], rel=1e-3)
        assert reach == pytest.approx(curve.loc[n, "reach"], rel=1e-3)


def test_curves_keep_their_ends(shown, analysis):
    curves = analysis.study.curves
    search = shown["searches"][0]
    for place, steps, errors in zip(*search["curves"].values(), strict=True):
        own = curves[(curves["batch_size"] == 4) & (curves["trial"] == search["trial"][place])]
        assert len(steps) == len(errors) <= POINTS + 1
        assert np.cumsum(steps)[[0, -1]].tolist() == own["step"].iloc[[0, -1]].tolist()
        assert errors[-1] == pytest.approx(own["val_error"].iloc[-1], rel=1e-3)


def test_a_thinned_page_keeps_the_best_and_says_so(page, analysis):
    record = page_record(page, Room(trials=5 * 12, curves=5 * 11))
    sentences = thinned_sentences(record)
    assert "60 of 120 trials" in sentences[0]
    assert sentences[1].startswith("55 training curves")
    for search in record["studies"][0]["searches"]:
        own = analysis.study.trials.query(f"batch_size == {search['batch_size']}")
        fastest = own.dropna(subset="steps").nsmallest(BEST, "steps")["trial"]
        assert {*fastest} <= {*search["trial"]}
        assert len(search["trial"]) == 12


def test_a_whole_page_says_nothing_of_thinning(page):
    assert thinned_sentences(page_record(page, ROOM)) == []


def test_near_best_covers_all_trials_within_a_tenth(analysis):
    found = near_best(analysis.study).set_index(["batch_size", "hyperparameter"])
    trials = analysis.study.trials.query("batch_size == 16 and status == 'reached'")
    near = trials[trials["steps"] <= 1.1 * 91]
    row = found.loc[(16, "lr")]
    assert (row["low"], row["high"]) == (near["lr"].min(), near["lr"].max())
    assert row["best"] == trials.loc[trials["steps"].idxmin(), "lr"]
    assert row["trials"] == len(near)
    assert 1024 not in found.index.get_level_values(0)
