import json
from dataclasses import replace

import pytest

from analysis.fitting.critical import SEEDS, TUNING
from analysis.report.record import summary_record
from analysis.report.summary import analyze
from analysis.report.tuning import COMMON, tuning_record, tuning_sentences


@pytest.fixture(scope="module")
def record(analyzed):
    return json.loads(json.dumps(summary_record(analyzed)))


def test_gaps_are_in_record_and_words(record):
    (gaps,) = tuning_sentences(record["tuning"])
    assert gaps in record["sentences"]
    assert gaps.startswith("The best points found take an estimated ")
    assert [row["batch_size"] for row in record["tuning"]["excess"]] == sorted(
        row["batch_size"] for row in record["table"]
    )


def test_only_large_gaps_ask_for_trials(record):
    rows = record["tuning"]["excess"]
    calm = {**record["tuning"], "excess": [row | {"median": 0.02} for row in rows]}
    assert "search.trials" not in tuning_sentences(calm)[0]
    one = [rows[0] | {"median": 0.5}, *calm["excess"][1:]]
    text = tuning_sentences({**calm, "excess": one})[0]
    assert text.endswith("at B = 2 the searches are under-tuned: run more trials (search.trials).")


def test_a_reason_stands_in_for_the_numbers():
    tuning = {"missing": "nothing was tuned", "excess": []}
    assert tuning_sentences(tuning) == ("No interval covers under-tuning: nothing was tuned.",)


def test_a_common_gap_is_in_the_interval_of_b_crit_alone(study, record):
    search = study.config["search"] | {"sampler": "shared"}
    learned = replace(study, config={**study.config, "adaptive": True, "search": search})
    said = json.loads(json.dumps(summary_record(analyze(learned))))
    assert COMMON in said["sentences"]
    b_crit = said["critical_batch_sizes"]["b_crit"]
    seeds, tuning = b_crit["parts"][SEEDS], b_crit["parts"][TUNING]
    assert b_crit["note"] == ""
    assert tuning["low"] < seeds["low"]
    assert tuning["high"] > seeds["high"]
    assert said["fits"] != record["fits"]  # of the points found, not of the best there are


def test_without_fits_there_is_nothing():
    assert tuning_record(None) is None
