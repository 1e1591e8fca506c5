import json
from dataclasses import asdict

import pytest
from ray.tune.search import Searcher

from study.config.study import ResolvedStudy
from study.orchestration.tuner import PerBatchSearch
from study.orchestration.worker import Report
from study.search.queue import CohortQueue


class Dispatch:
    """Hands out the cohorts of a study, and notes what comes back."""

    def __init__(self, study: ResolvedStudy) -> None:
        self.queue = CohortQueue(study, [])
        self.came = []

    def ended(self, cohort, report, began):
        self.came.append((cohort, report, began))
        self.queue.lose(cohort)


@pytest.fixture
def dispatch(make_study):
    """Return the cohorts of a study with two batch sizes."""
    return Dispatch(make_study(search={"trials": 8}))


def test_cohorts_travel_as_text_and_come_back_with_their_report(dispatch):
    searcher = PerBatchSearch(dispatch)
    points = json.loads(searcher.suggest("first")["cohort"])["points"]
    assert [point["trial"] for point in points] == [0, 1, 2, 3]
    report = Report(reached=2, notes=("a", "b"))
    searcher.on_trial_complete("first", asdict(report) | {"done": True, "time_total_s": 1.0})
    ((cohort, came, began),) = dispatch.came
    assert (cohort.batch_size, came, began) == (4, report, None)


def test_a_worker_that_died_reports_nothing_but_when_it_began(dispatch):
    searcher = PerBatchSearch(dispatch)
    searcher.suggest("first")
    searcher.on_trial_result("first", asdict(Report()) | {"done": False})
    searcher.on_trial_complete("first", error=True)
    ((_, came, began),) = dispatch.came
    assert came is None
    assert began > 0


def test_a_run_ends_after_a_number_of_cohorts_and_another_continues(dispatch, monkeypatch):
    searcher = PerBatchSearch(dispatch)
    assert searcher.suggest("first") != Searcher.FINISHED
    monkeypatch.setattr("study.orchestration.tuner.COHORTS_PER_RUN", 2)
    assert searcher.suggest("second") != Searcher.FINISHED
    assert searcher.suggest("third") == Searcher.FINISHED
    assert searcher.needs_another_run()
    assert searcher.suggest("third") is None  # both batch sizes wait for their first cohorts
    assert not searcher.needs_another_run()
    dispatch.queue.stop()
    for name in ("first", "second"):
        searcher.on_trial_complete(name, error=True)
    assert searcher.suggest("third") == Searcher.FINISHED
    assert not searcher.needs_another_run()
