import json

import pytest

from analysis.folder import ResultsFolder
from study.cohorts import CohortQueue
from study.journal import Journal
from study.parts import part_name, write_part
from study.records import Cohort, Point
from study.sweep import PerBatchSearch
from study.worker import _failed as failed


@pytest.fixture
def searcher(make_study, tmp_path):
    """Gives a searcher with one cohort handed out, its queue and its empty folder."""
    study, folder = make_study(search={"trials": 8}), ResultsFolder.at(tmp_path)
    queue = CohortQueue(study, [])
    searcher = PerBatchSearch(folder, study, queue, Journal(tmp_path / "optuna.log"))
    points = json.loads(searcher.suggest("first")["cohort"])["points"]
    assert [point["trial"] for point in points] == [0, 1, 2, 3]
    return searcher, queue, folder


def test_a_worker_that_died_costs_its_batch_size_only(searcher):
    searcher, queue, _ = searcher
    searcher.on_trial_complete("first", error=True)
    assert searcher.errors == [
        "the worker died, or could not write its part, in cohort 0 at batch size 4; "
        "`sweep` again runs it again"
    ]
    assert {standing.batch_size for standing in queue.standings() if standing.waiting} == {16}


def test_a_part_that_cannot_be_read_stops_the_sweep(searcher):
    searcher, queue, folder = searcher
    folder.write(part_name(4, 0), b"half a file")
    searcher.on_trial_complete("first")
    (error,) = searcher.errors
    assert error.startswith("the sweep stopped: a part must be a whole parquet file")
    assert queue.empty


@pytest.mark.parametrize(("batch_sizes", "stopped"), [([4], [True]), ([4, 16, 64], [False, True])])
def test_a_sweep_stops_when_its_first_batch_sizes_only_fail(
    make_study, tmp_path, batch_sizes, stopped
):
    study, folder = make_study(batch_sizes=batch_sizes), ResultsFolder.at(tmp_path)
    queue = CohortQueue(study, [])
    searcher = PerBatchSearch(folder, study, queue, Journal(tmp_path / "optuna.log"))
    for number, expected in enumerate(stopped):
        handed = json.loads(searcher.suggest(str(number))["cohort"])
        cohort = Cohort(**handed | {"points": tuple(Point(**p) for p in handed["points"])})
        write_part(folder, study, failed(cohort, "RuntimeError: no"), "here")
        searcher.on_trial_complete(str(number))
        assert queue.empty is expected
    assert searcher.errors == [
        "every trial of the first cohorts failed, the sweep stopped: RuntimeError: no"
    ]
