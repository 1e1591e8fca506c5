import json
from dataclasses import replace

import pytest

from analysis.fitting.critical import SEEDS, TUNING
from analysis.report.record import summary_record
from analysis.report.sentences import COMMON_GAP, _tuning_sentences, findings
from analysis.report.summary import analyze


@pytest.fixture(scope="module")
def record(analyzed):
    return json.loads(json.dumps(summary_record(analyzed)))


def test_gaps_are_in_record_and_words(record):
    (gaps,) = _tuning_sentences(record["tuning"])
    assert gaps in record["sentences"]
    assert gaps.startswith("The best points found take an estimated ")
    assert [row["batch_size"] for row in record["tuning"]["excess"]] == sorted(
        row["batch_size"] for row in record["table"]
    )


def test_only_large_gaps_ask_for_trials(record):
    rows = record["tuning"]["excess"]
    calm = {**record["tuning"], "excess": [row | {"median": 0.02} for row in rows]}
    assert "search.trials" not in next(_tuning_sentences(calm))
    one = [rows[0] | {"median": 0.5}, *calm["excess"][1:]]
    text = next(_tuning_sentences({**calm, "excess": one}))
    assert text.endswith("at B = 2 the searches are under-tuned: run more trials (search.trials).")


def test_a_reason_stands_in_for_the_numbers(record):
    found = findings({**record, "tuning": {"missing": "nothing was tuned", "excess": []}})
    assert "No interval covers under-tuning: nothing was tuned." in found["Critical batch size"]
    assert not any("of the optimum" in sentence for sentence in found["Searches"])


def test_a_common_gap_is_in_the_interval_of_b_crit_alone(study, record):
    search = study.config["search"] | {"sampler": "shared"}
    learned = replace(study, config={**study.config, "adaptive": True, "search": search})
    said = json.loads(json.dumps(summary_record(analyze(learned))))
    assert COMMON_GAP in said["sentences"]
    b_crit = said["critical_batch_sizes"]["b_crit"]
    seeds, tuning = b_crit["parts"][SEEDS], b_crit["parts"][TUNING]
    assert b_crit["note"] == ""
    assert tuning["low"] < seeds["low"]
    assert tuning["high"] > seeds["high"]
    assert said["fits"] != record["fits"]  # of the points found, not of the best there are
