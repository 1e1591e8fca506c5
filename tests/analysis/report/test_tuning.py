import json

import pytest

from analysis.report.record import summary_record
from analysis.report.tuning import tuning_record, tuning_sentences


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
    assert tuning_sentences(tuning) == ("Under-tuning is in no interval: nothing was tuned.",)


def test_without_fits_there_is_nothing():
    assert tuning_record(None) is None
