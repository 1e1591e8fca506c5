"""The verdict says the numbers of the summary, and never more than the data do."""

from dataclasses import replace

import pytest

from analysis.fitting.estimates import Interval
from analysis.page.verdict import verdict_of, with_cost


@pytest.fixture(scope="module")
def record(page):
    return page.studies[0].summary


def with_b_crit(record, value, low, high, interval):
    ends = {"value": value, "low": low, "high": high, "interval": str(interval)}
    critical = record["critical_batch_sizes"]
    b_crit = critical["b_crit"] | ends
    return record | {"critical_batch_sizes": critical | {"b_crit": b_crit}}


@pytest.mark.parametrize(
    ("estimate", "headline", "reason"),
    [
        ((69, 58, 114, Interval.CLOSED), "Use a batch size of about 69 (58–114)", "95% interval"),
        ((55, 7, 4310, Interval.CLOSED), "between 7.0 and 4310", "too wide to name one batch size"),
        ((2000, 1500, 3000, Interval.CLOSED), "about 2000 (1500–3000)", "outside the batch sizes"),
        ((None, 484, None, Interval.NO_UPPER), "at least 484", "still fall at B = 256"),
        ((None, None, 3.1, Interval.NO_LOWER), "below 3.1", "from B = 4 on"),
        ((None, None, None, Interval.OPEN), "do not determine", "between B = 4 and 256"),
    ],
)
def test_the_headline_follows_what_the_data_bound(record, estimate, headline, reason):
    verdict = verdict_of(with_b_crit(record, *estimate))
    assert headline in verdict.headline
    assert reason in verdict.reasons[0]


def test_the_nearest_batch_size_has_its_steps(record):
    verdict = verdict_of(with_b_crit(record, 60, 20, 90, Interval.CLOSED))
    assert "B = 64 is the nearest: error < 0.05 after 35 steps" in verdict.reasons[-1]


def test_searches_that_still_fall_are_counted(record):
    searches = [row | {"search": "settled", "gain": 0.01} for row in record["search"]]
    assert "5 of 5 searches are settled." in verdict_of(record | {"search": searches}).certainty
    searches[0] |= {"search": "still falling", "gain": 0.17}
    assert "up to 17% more steps" in verdict_of(record | {"search": searches}).certainty[-1]


def test_without_a_fit_no_batch_size_is_named(attacked):
    verdict = attacked.studies[0].verdict
    assert verdict.headline == "No batch size can be recommended yet"
    assert verdict.reasons[0].startswith("No fit: 2 of 3 batch sizes reached the target")


def test_where_steps_were_timed_the_fastest_batch_size_comes_first(page, cost):
    verdict = page.studies[0].verdict
    assert verdict.headline.startswith("On one device, use a batch size of 64")
    assert verdict.reasons[0].startswith("Fastest on one device: B = 64, ")
    assert verdict.reasons[0] in page.studies[0].cost_sentences
    assert "critical batch size" in " ".join(verdict.reasons)


def test_without_a_time_to_target_the_steps_alone_decide(record, cost):
    verdict = verdict_of(record)
    assert with_cost(verdict, replace(cost, rows=())) == verdict


@pytest.mark.parametrize("fitted", [True, False])
def test_an_unfinished_study_says_so_first(record, fitted):
    sentences = ["Unfinished: at least 8 trials are missing.", "No fit: too few."]
    found = record | {"sentences": sentences} | ({} if fitted else {"fits": None})
    assert verdict_of(found).certainty[0] == sentences[0]


def test_times_beside_other_programs_name_no_batch_size(record, cost):
    (first, *others), verdict = cost.costs.rows, verdict_of(record)
    disturbed = replace(cost.costs, rows=(replace(first, cores_lacking=0.9), *others))
    verdict_now = with_cost(verdict, replace(cost, costs=disturbed))
    assert verdict_now.headline == verdict.headline
    assert "other programs took up to 0.9 cores" in verdict_now.reasons[-1]
