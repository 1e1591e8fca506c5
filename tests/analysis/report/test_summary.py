import json
import math
from dataclasses import replace

import pytest

from analysis.errors import AnalysisError
from analysis.report.record import sentences, summary_record
from analysis.report.summary import analyze
from analysis.report.write import readable_table, summary_markdown, write_summary
from analysis.search_quality.sentences import quality_sentences
from analysis.search_quality.table import quality_table
from analysis.tables.folder import ResultsFolder

PERFECT = {4: 1600, 8: 800, 16: 400, 32: 200, 64: 100}
FEW = {4: None, 8: 300, 16: 150}
KINDS = {"all regimes": None, "no plateau": PERFECT, "too few": FEW, "none": {4: None, 8: None}}


@pytest.fixture(scope="module", params=KINDS, ids=str)
def analysis(request, made, analyzed):
    steps = KINDS[request.param]
    return analyzed if steps is None else analyze(made(steps))


def numbers(data):
    if isinstance(data, dict):
        data = list(data.values())
    if isinstance(data, list):
        return [number for item in data for number in numbers(item)]
    return [data] if isinstance(data, float) else []


def test_bundles_table_fit_and_regimes(analyzed):
    assert analyzed.fit.points.steps.tolist() == analyzed.table["steps"].tolist()
    # the brackets of the exact steps lie below them
    assert analyzed.fits.found["hyperbola"].b_crit.value == pytest.approx(60, abs=2)
    assert analyzed.b_crit.estimate.low < 60 < analyzed.b_crit.estimate.high
    assert analyzed.regimes.batch_sizes == tuple(analyzed.table["batch_size"])
    assert analyzed.title == "digits-mlp, nesterov, validation error < 0.05"


def test_a_miss_enters_the_fit_as_a_lower_bound(made):
    analysis = analyze(made({1: None, 2: 8000, 4: 4100, 8: 1990, 16: 1010, 32: None}))
    points = analysis.fit.points
    assert points.batch_sizes.tolist() == [1, 2, 4, 8, 16]
    assert points.missed.tolist() == [True, False, False, False, False]
    assert points.steps.tolist() == [20_000, 8000, 4100, 1990, 1010]
    assert analysis.reached["batch_size"].tolist() == [2, 4, 8, 16]
    assert analysis.fit.predict(1) > 15_000


def test_a_miss_that_no_curve_allows_is_left_out_and_named(made):
    analysis = analyze(made({2: None, 4: 335, 8: 198, 16: 91, 32: None}))
    assert analysis.fit.points.batch_sizes.tolist() == [4, 8, 16]
    assert analysis.left_out == (2, 32)
    assert summary_record(analysis)["left_out"] == [2, 32]
    found = [sentence for sentence in sentences(analysis) if "no trial reached" in sentence]
    assert len(found) == 2
    assert all("the fits leave it out" in sentence for sentence in found)


def test_a_batch_size_without_a_step_is_in_no_fit(made):
    study = made({1: None, 2: 8000, 4: 4100, 8: 1990})
    study.trials.loc[study.trials["batch_size"] == 1, "stopped_at"] = 0
    assert analyze(study).fit.points.batch_sizes.tolist() == [2, 4, 8]


@pytest.mark.parametrize(
    ("steps", "count"), [(FEW, "2 of 3"), ({4: None, 8: None}, "0 of 2")], ids=["two", "none"]
)
def test_too_few_points_give_a_reason_and_no_fit(made, steps, count):
    analysis = analyze(made(steps))
    assert analysis.fit is None
    assert analysis.regimes is None
    (reason,) = [sentence for sentence in sentences(analysis) if sentence.startswith("No fit")]
    assert reason.startswith(f"No fit: {count} batch sizes reached the target; a fit needs 3.")


def test_a_looser_target_is_named(study, analyzed):
    analysis = analyze(study, 0.2)
    assert analysis.target == 0.2
    assert analysis.title.endswith("validation error < 0.2")
    assert (analysis.table["steps"] <= analyzed.table["steps"]).all()


def test_a_tighter_target_is_refused(study):
    with pytest.raises(AnalysisError, match="not be below the one raced to"):
        analyze(study, 0.01)


def test_a_target_on_the_loss_is_in_the_title(made):
    analysis = analyze(made(PERFECT, quantity="loss"))
    assert analysis.quantity == "loss"
    assert "validation loss < 0.05" in analysis.title


def test_sentences_name_what_is_not_identified(made):
    found = " ".join(sentences(analyze(made(PERFECT))))
    assert "The plateau is not identified by the hyperbola fit: b_crit_hyperbola > " in found
    assert "b_20 > " in found
    assert "No plateau within the measured range" in found


def test_sentences_name_batch_sizes_that_missed(made):
    found = sentences(analyze(made({1: None, 2: 8000, 4: 4100, 8: 1990})))
    miss = [sentence for sentence in found if sentence.startswith("B = 1: no trial reached")]
    assert miss == [
        "B = 1: no trial reached the target within 20000 steps; the lowest error there is 0.06041."
    ]
    assert any("Every batch size reaches error < 0.061: " in sentence for sentence in found)


def test_sentences_give_the_number_of_trials(made):
    assert "fewest over 9 trials" in " ".join(sentences(analyze(made(PERFECT, trials=9))))


def test_record_is_finite_and_survives_json(analysis):
    record = summary_record(analysis)
    assert json.loads(json.dumps(record, allow_nan=False)) == record
    assert all(map(math.isfinite, numbers(record)))
    assert len(record["table"]) == len(analysis.table)
    assert (record["fits"] is None) == (record["regimes"] is None) == (analysis.fit is None)
    assert bool(record["critical_batch_sizes"]) == (analysis.fit is not None)


def test_record_has_the_fit(analyzed):
    record = summary_record(analyzed)
    assert list(record["fits"]) == ["hyperbola", "power", "smooth"]
    assert record["chosen"] == analyzed.fits.best.model.name
    assert record["fits"]["hyperbola"]["b_crit"] == {
        "value": analyzed.fit.b_crit.value,
        "low": analyzed.fit.b_crit.low,
        "high": analyzed.fit.b_crit.high,
        "interval": "closed",
    }
    assert record["fits"]["power"]["e_min"] is None  # its factor counts no examples
    assert record["regimes"]["of"]["2"] == "perfect scaling"
    assert record["table"][0]["steps"] == 600


def test_unknown_is_null_in_the_record(made):
    record = summary_record(analyze(made({4: None, **PERFECT, 128: None})))
    assert record["table"][-1]["steps"] is None
    assert record["fits"]["hyperbola"]["b_crit"]["high"] is None
    assert record["fits"]["hyperbola"]["s_min"]["low"] is None
    assert record["critical_batch_sizes"]["b_20"]["value"] is None
    assert record["critical_batch_sizes"]["b_20"]["low"] > 0
    assert set(record["not_fitted"]) == {"power", "smooth"}


def test_readable_table_has_a_dash_where_unknown(made):
    table = readable_table(analyze(made({2: None, 4: 335, 8: 198, 16: 91}))).set_index("B")
    unknown = ["after", "steps", "examples", "lr", "momentum", "lr/(1-m)", "regime"]
    assert (table.loc["2", unknown] == "-").all()
    assert table.loc["4", ["after", "steps", "examples"]].tolist() == ["330", "335", "1340"]
    assert not (table.loc["4"] == "-").any()
    assert "failed" not in table


def test_readable_table_counts_failures_where_there_are_any(made):
    study = made(PERFECT)
    study.trials.loc[0, "status"] = "failed"
    assert readable_table(analyze(study))["failed"].tolist() == ["1", "0", "0", "0", "0"]


def test_title_of_a_plug_in_is_its_class(made):
    study = made(PERFECT)
    config = {**study.config, "workload": "examples/spirals.py:Spirals"}
    assert analyze(replace(study, config=config)).title.startswith("Spirals, nesterov")


def test_markdown_table_is_rectangular(analysis):
    page = summary_markdown(analysis)
    first = page.split("What the batch sizes mean")[0].split("The critical batch size at")[0]
    rows = [line for line in first.splitlines() if line.startswith("|")]
    assert len(rows) == 2 * (len(analysis.table) + 2)
    for part in (rows[: len(rows) // 2], rows[len(rows) // 2 :]):
        assert len({row.count("|") for row in part}) == 1
    for sentence in sentences(analysis):
        assert f"- {sentence}" in page


def test_record_has_other_targets_and_budgets(analyzed):
    record = summary_record(analyzed)
    assert record["goals"][0]["target"] == 0.05
    assert record["goals"][0]["b_crit"].items() <= record["critical_batch_sizes"]["b_crit"].items()
    assert {row["unit"] for row in record["budgets"]} == {"steps", "examples"}


def test_markdown_has_b_crit_against_target_and_says_which_budgets_are_exact(analyzed):
    page = summary_markdown(analyzed)
    b_crit = analyzed.b_crit.estimate.text("").removeprefix(" = ")
    assert f"| 0.05 | 600 to 19 | {b_crit} |" in page
    assert "Trials stopped at the target, so" in page


def test_write_summary_returns_what_it_wrote(analysis, tmp_path):
    folder = ResultsFolder.at(tmp_path / "new")
    assert write_summary(analysis, folder) == ["summary.json", "summary.md"]
    assert json.loads(folder.read("summary.json")) == summary_record(analysis)
    assert folder.read("summary.md").decode() == summary_markdown(analysis)


def test_the_searches_are_judged(study, analyzed):
    assert analyzed.search.equals(quality_table(study))
    assert set(quality_sentences(analyzed.search)) <= set(sentences(analyzed))
    rows = summary_record(analyzed)["search"]
    assert [row["batch_size"] for row in rows] == analyzed.table["batch_size"].tolist()
    assert rows[0]["search"] == analyzed.search.loc[0, "search"]


def test_the_first_trials_only(study, analyzed):
    analysis = analyze(study, first=8)
    assert set(analysis.table["trials"]) == set(analysis.search["trials"]) == {8}
    assert "fewest over the first 8 trials at each" in " ".join(sentences(analysis))
    assert (summary_record(analysis)["first"], summary_record(analyzed)["first"]) == (8, None)


def _begun_at(study, error):
    curves = study.curves.copy()
    first = curves.index[curves["step"] == 0][0]
    curves.loc[first, "val_error"] = error
    return replace(study, curves=curves)


def test_a_target_that_an_untrained_model_meets_is_refused(made):
    study = _begun_at(made(FEW), 0.45)
    assert analyze(study, 0.3).target == 0.3
    with pytest.raises(AnalysisError, match=r"got 0\.5, which \d+ trials? of .* at step 0"):
        analyze(study, 0.5)


def test_a_trial_that_begins_below_the_raced_target_is_reported(made):
    assert any(
        "1 trial was below the target before training" in sentence
        for sentence in sentences(analyze(_begun_at(made(FEW), 0.01)))
    )


def test_a_study_in_tokens_gives_b_crit_in_examples_and_in_tokens(study):
    analysis = analyze(replace(study, config={**study.config, "tokens_per_example": 16}))
    told = [text for text in sentences(analysis) if "In tokens" in text]
    found = analysis.b_crit.estimate.times(16).text("b_crit", "tokens")
    assert told == [f"In tokens (16 per example): {found}."]
    assert not any("tokens" in text for text in sentences(analyze(study)))
