import json
from pathlib import Path

import pytest
from ray.tune.search import Searcher

from analysis.tables.folder import ResultsFolder
from study.engine.cohort import failed
from study.orchestration.actor import SAVED, UNWRITTEN
from study.orchestration.progress import Progress
from study.orchestration.searcher import PerBatchSearch
from study.records import Cohort, Point, Status
from study.search.journal import Journal
from study.search.queue import CohortQueue
from study.storage.parts import Parts, part_name, read_part, write_part


def searching(folder, study, recorded=()):
    """Return the queue of a study and what hands its cohorts to Ray Tune."""
    queue, journal = CohortQueue(study, recorded), Journal(Path(folder.base) / "optuna.log")
    return queue, PerBatchSearch(Parts(folder, study), queue, journal, Progress(study))


@pytest.fixture
def searcher(make_study, tmp_path):
    """Return a searcher with one cohort handed out, its queue and its empty folder."""
    study, folder = make_study(search={"trials": 8}), ResultsFolder.at(tmp_path)
    queue, searcher = searching(folder, study)
    points = json.loads(searcher.suggest("first")["cohort"])["points"]
    assert [point["trial"] for point in points] == [0, 1, 2, 3]
    return searcher, queue, folder


def test_a_worker_that_died_costs_its_batch_size_only(searcher):
    searcher, queue, _ = searcher
    searcher.on_trial_complete("first", error=True)
    assert searcher.errors == [
        "the worker died in cohort 0 at batch size 4; run the same `sweep` to train it again"
    ]
    assert {standing.batch_size for standing in queue.standings() if standing.waiting} == {16}


def test_a_cohort_that_was_saved_at_a_stop_is_no_loss(searcher):
    searcher, queue, _ = searcher
    searcher.close()
    searcher.on_trial_complete("first", {"reached": 0, "notes": ["saved"], SAVED: True})
    assert (searcher.errors, searcher.notes) == ([], ["saved"])
    assert queue.empty
    assert searcher.suggest("second") == Searcher.FINISHED


def test_a_run_ends_after_so_many_cohorts_and_another_goes_on(searcher, monkeypatch):
    searcher, queue, _ = searcher
    monkeypatch.setattr("study.orchestration.searcher.COHORTS_PER_RUN", 2)
    assert searcher.suggest("second") != Searcher.FINISHED
    assert searcher.suggest("third") == Searcher.FINISHED
    assert searcher.needs_another_run()
    assert searcher.suggest("third") is None  # both batch sizes wait for their first cohorts
    assert not searcher.needs_another_run()
    queue.stop()
    for name in ("first", "second"):
        searcher.on_trial_complete(name, error=True)
    assert searcher.suggest("third") == Searcher.FINISHED
    assert not searcher.needs_another_run()


def test_a_part_that_cannot_be_read_stops_the_sweep(searcher):
    searcher, queue, folder = searcher
    folder.write(part_name(4, 0), b"half a file")
    searcher.on_trial_complete("first")
    (error,) = searcher.errors
    assert error.startswith("the sweep stopped: ")
    assert "b00004-c000.parquet must have its digest beside it" in error
    assert queue.empty


def test_a_part_that_could_not_be_written_stops_the_sweep_and_is_told_once(searcher):
    searcher, queue, _ = searcher
    searcher.suggest("second")
    for name in ("first", "second"):
        searcher.on_trial_complete(name, {"reached": 0, UNWRITTEN: "no space left; free some"})
    assert searcher.errors == ["the sweep stopped: no space left; free some"]
    assert queue.empty
    assert searcher.suggest("third") == Searcher.FINISHED


def test_a_journal_that_cannot_be_written_stops_the_sweep(searcher, make_study):
    searcher, queue, folder = searcher
    cohort = CohortQueue(make_study(search={"trials": 8}), []).take()
    write_part(folder, make_study(), failed(cohort, "no"), "here")
    (Path(folder.base) / "optuna.log").unlink(missing_ok=True)
    (Path(folder.base) / "optuna.log").mkdir()
    searcher.on_trial_complete("first")
    (error,) = searcher.errors
    assert error.startswith("the sweep stopped: the results folder must be writable")
    assert "Is a directory" in error
    assert queue.empty


@pytest.mark.parametrize(("batch_sizes", "stopped"), [([4], [True]), ([4, 16, 64], [False, True])])
def test_a_sweep_stops_when_its_first_batch_sizes_only_fail(
    make_study, tmp_path, batch_sizes, stopped
):
    study, folder = make_study(batch_sizes=batch_sizes), ResultsFolder.at(tmp_path)
    queue, searcher = searching(folder, study)
    for number, expected in enumerate(stopped):
        handed = json.loads(searcher.suggest(str(number))["cohort"])
        cohort = Cohort(**handed | {"points": tuple(Point(**p) for p in handed["points"])})
        write_part(folder, study, failed(cohort, "RuntimeError: no"), "here")
        searcher.on_trial_complete(str(number))
        assert queue.empty is expected
    assert searcher.errors == [
        "the sweep stopped: every trial of the first cohorts failed: RuntimeError: no"
    ]


@pytest.mark.parametrize(("began", "over"), [(None, False), (0.0, False), (60.0, True)])
def test_a_cohort_that_took_too_long_has_failed(make_study, tmp_path, monkeypatch, began, over):
    study = make_study(search={"trials": 8}, compute={"cohort_minutes": 1})
    folder = ResultsFolder.at(tmp_path)
    queue, searcher = searching(folder, study)
    searcher.suggest("first")
    now = 1000.0
    monkeypatch.setattr("study.orchestration.searcher.time.monotonic", lambda: now)
    if began is not None:
        searcher.on_trial_result("first", {"reached": 0, "notes": [], "done": False})
        now += began
    searcher.on_trial_complete("first", error=True)
    assert bool(searcher.errors) is not over
    assert folder.exists(part_name(4, 0)) is over
    if over:
        results = read_part(folder, part_name(4, 0), study)
        assert {(r.outcome.status, r.message) for r in results} == {
            (Status.FAILED, "the cohort trained for longer than compute.cohort_minutes = 1")
        }
        assert {s.batch_size for s in queue.standings() if s.waiting} == {4, 16}


def test_what_became_of_checkpoints_is_passed_on(searcher):
    searcher, _, _ = searcher
    searcher.on_trial_complete("first", {"notes": ["a", "b"]})
    assert searcher.notes == ["a", "b"]
