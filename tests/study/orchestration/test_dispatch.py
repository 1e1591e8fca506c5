from pathlib import Path

import pytest

from analysis.tables.folder import ResultsFolder
from study.engine.cohort import failed_results
from study.orchestration.dispatch import Dispatch
from study.orchestration.progress import Progress
from study.orchestration.worker import Report
from study.records import Status
from study.search.journal import Journal
from study.search.queue import CohortQueue
from study.storage.parts import Parts, part_name, read_part, write_part
from study.storage.study_folder import open_folder


def dispatching(folder, study):
    """Return what hands out the cohorts of a study that has begun."""
    open_folder(folder, study)
    journal = Journal(Path(folder.base) / "optuna.log")
    return Dispatch(Parts(folder, study), CohortQueue(study, []), journal, Progress(study))


@pytest.fixture
def dispatch(make_study, tmp_path):
    """Return the dispatch of a study whose folder is empty."""
    return dispatching(ResultsFolder.at(tmp_path), make_study(search={"trials": 8}))


@pytest.fixture
def cohort(dispatch):
    """Return the first cohort, handed out."""
    cohort = dispatch.queue.take()
    assert [point.trial for point in cohort.points] == [0, 1, 2, 3]
    return cohort


def test_a_worker_that_died_costs_its_batch_size_only(dispatch, cohort):
    dispatch.ended(cohort, None, None)
    assert dispatch.errors == [
        "the worker died in cohort 0 at batch size 4; run the same `sweep` again to retrain it"
    ]
    assert {s.batch_size for s in dispatch.queue.standings() if s.waiting} == {16}


def test_a_cohort_that_was_saved_at_a_stop_is_not_lost(dispatch, cohort):
    dispatch.close()
    dispatch.ended(cohort, Report(notes=("saved",), saved=True), None)
    assert (dispatch.errors, dispatch.notes) == ([], ["saved"])
    assert dispatch.queue.empty
    assert dispatch.queue.take() is None


def test_a_part_that_cannot_be_read_stops_the_sweep(dispatch, cohort, tmp_path):
    ResultsFolder.at(tmp_path).write(part_name(4, 0), b"half a file")
    dispatch.ended(cohort, Report(), None)
    (error,) = dispatch.errors
    assert error.startswith("the sweep stopped: ")
    assert "b00004-c000.parquet must have a digest file" in error
    assert dispatch.queue.empty


def test_a_part_that_could_not_be_written_stops_the_sweep_and_is_reported_once(dispatch, cohort):
    for lost in (cohort, dispatch.queue.take()):
        dispatch.ended(lost, Report(unwritten="no space left; free some"), None)
    assert dispatch.errors == ["the sweep stopped: no space left; free some"]
    assert dispatch.queue.empty
    assert dispatch.queue.take() is None


def test_a_journal_that_cannot_be_written_stops_the_sweep(dispatch, cohort, make_study, tmp_path):
    write_part(ResultsFolder.at(tmp_path), make_study(), failed_results(cohort, "no"), "here")
    (tmp_path / "optuna.log").unlink(missing_ok=True)
    (tmp_path / "optuna.log").mkdir()
    dispatch.ended(cohort, Report(), None)
    (error,) = dispatch.errors
    assert error.startswith("the sweep stopped: the results folder must be writable")
    assert "Is a directory" in error
    assert dispatch.queue.empty


def test_a_folder_that_was_moved_away_stops_the_sweep(make_study, tmp_path):
    folder, study = ResultsFolder.at(tmp_path / "here"), make_study()
    dispatch = dispatching(folder, study)
    cohort = dispatch.queue.take()
    (tmp_path / "here").rename(tmp_path / "there")
    write_part(
        folder, study, failed_results(cohort, "no"), "a worker"
    )  # which makes the folder anew
    dispatch.ended(cohort, Report(), None)
    assert not dispatch.in_place()  # as before the tables are written; told once
    (error,) = dispatch.errors
    assert f"got no study in {tmp_path / 'here'}; move it back" in error


@pytest.mark.parametrize(("batch_sizes", "stopped"), [([4], [True]), ([4, 16, 64], [False, True])])
def test_a_sweep_stops_when_its_first_batch_sizes_only_fail(
    make_study, tmp_path, batch_sizes, stopped
):
    study, folder = make_study(batch_sizes=batch_sizes), ResultsFolder.at(tmp_path)
    dispatch = dispatching(folder, study)
    for expected in stopped:
        cohort = dispatch.queue.take()
        write_part(folder, study, failed_results(cohort, "RuntimeError: no"), "here")
        dispatch.ended(cohort, Report(), None)
        assert dispatch.queue.empty is expected
    assert dispatch.errors == [
        "the sweep stopped: every trial of the first cohorts failed: RuntimeError: no"
    ]


@pytest.mark.parametrize(("began", "over"), [(None, False), (1000.0, False), (940.0, True)])
def test_a_cohort_that_took_too_long_has_failed(make_study, tmp_path, monkeypatch, began, over):
    study = make_study(search={"trials": 8}, compute={"cohort_minutes": 1})
    folder = ResultsFolder.at(tmp_path)
    dispatch = dispatching(folder, study)
    monkeypatch.setattr("study.orchestration.dispatch.time.monotonic", lambda: 1000.0)
    dispatch.ended(dispatch.queue.take(), None, began)
    assert bool(dispatch.errors) is not over
    assert folder.exists(part_name(4, 0)) is over
    if over:
        results = read_part(folder, part_name(4, 0), study)
        assert {(r.outcome.status, r.message) for r in results} == {
            (Status.FAILED, "the cohort trained for longer than compute.cohort_minutes = 1")
        }
        assert {s.batch_size for s in dispatch.queue.standings() if s.waiting} == {4, 16}
