"""A worker reports how far it is while it trains."""

import itertools

import pytest

from analysis.tables.folder import ResultsFolder
from study.orchestration import worker as working
from study.orchestration.worker import Worker
from study.records import Lap
from study.search.queue import CohortQueue


@pytest.fixture
def reports(monkeypatch, make_study, training, tmp_path):
    """Return the reports of a worker on its first two cohorts."""
    monkeypatch.setattr(working, "_LAP_SECONDS", 0.0)
    study, said = make_study(), []
    worker = Worker(
        folder=ResultsFolder.at(tmp_path),
        resolved=study,
        trainable=training(),
        report_lap=said.append,
    )
    queue = CohortQueue(study, [])
    for _ in range(2):
        worker.train(queue.take(), "here")
    return said


def test_a_worker_reports_how_far_each_cohort_is(reports):
    sizes = [None if lap is None else lap.batch_size for lap in reports]
    assert [size for size, _ in itertools.groupby(sizes)] == [4, None, 16, None]
    laps = [lap for lap in reports if isinstance(lap, Lap)]
    assert laps[0].share == 0
    assert max(lap.share for lap in laps) == 1
    assert laps[1].steps_per_second > 0
    assert all(lap.loss is None or lap.loss > 0 for lap in laps)
