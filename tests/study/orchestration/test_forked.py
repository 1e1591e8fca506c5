import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch

from analysis.tables.folder import ResultsFolder
from study.engine.cohort import failed_results
from study.orchestration.dispatch import Dispatch
from study.orchestration.forked import ForkedWorkers
from study.orchestration.progress import Progress
from study.orchestration.signals import Stop
from study.orchestration.worker import Report, Worker
from study.records import Lap
from study.search.journal import Journal
from study.search.queue import CohortQueue
from study.storage.parts import Parts, write_part
from study.storage.study_folder import open_folder

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forked workers are for Linux")


@dataclass(frozen=True, kw_only=True)
class Acting(Worker):
    """Acts on a cohort in place of training it, and records what the act returned."""

    act: Callable[[Worker, int], object]

    def train(self, cohort, node):
        said = self.act(self, cohort.batch_size)
        if said == "saved":
            return Report(saved=True, notes=("saved",))
        write_part(self.folder, self.resolved, failed_results(cohort, str(said)), node)
        return Report(notes=(str(said),))


@pytest.fixture
def forked(make_study, tmp_path):
    """Return what gives the forked workers of a study that act in their way, and its dispatch."""

    def make(act, stop=None, workers=2, **settings):
        study, folder = make_study(**settings), ResultsFolder.at(tmp_path)
        open_folder(folder, study)
        parts, queue = Parts(folder, study), CohortQueue(study, [])
        dispatch = Dispatch(parts, queue, Journal(tmp_path / "optuna.log"), Progress(study))
        dispatch._any_ran = True  # failures are what is recorded here
        worker = Acting(
            folder=folder,
            resolved=study,
            trainable=None,
            device="cpu",
            stopping=lambda: False,
            act=act,
        )
        return ForkedWorkers(dispatch, worker, workers, stop or Stop()), dispatch

    return make


def never():
    return False


def test_every_cohort_is_trained_by_a_process_with_one_thread_that_signals_do_not_end(forked):
    def act(worker, batch_size):
        print("nothing of this is seen")
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            os.kill(os.getpid(), number)
            assert signal.getsignal(number) is not signal.SIG_IGN
        return f"{os.getpid()} {torch.get_num_threads()}"

    workers, dispatch = forked(act, search={"trials": 16})
    assert not workers.run(never)
    assert dispatch.errors == []
    assert dispatch.queue.empty
    assert len(dispatch.notes) == 2 * 16 / 4
    processes, threads = zip(*(note.split() for note in dispatch.notes), strict=True)
    assert str(os.getpid()) not in processes
    assert 1 <= len(set(processes)) <= 2
    assert set(threads) == {"1"}


def test_nothing_is_printed_into_the_output_of_the_sweep(forked, capfd):
    def act(worker, batch_size):
        print("out")
        os.write(2, b"err")

    workers, _ = forked(act)
    workers.run(never)
    assert capfd.readouterr() == ("", "")


def test_a_worker_that_dies_costs_its_batch_size_and_another_continues(forked):
    def act(worker, batch_size):
        if batch_size == 4:
            os.kill(os.getpid(), signal.SIGKILL)
        return "trained"

    workers, dispatch = forked(act, workers=1, search={"trials": 8})
    assert not workers.run(never)
    assert dispatch.errors == [
        "the worker died in cohort 0 at batch size 4; run the same `sweep` again to retrain it"
    ]
    assert dispatch.notes == ["trained", "trained"]


def wait_for(worker):
    deadline = time.monotonic() + 30
    while not worker.stopping():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return "saved"


def test_a_stop_lets_cohorts_save_themselves(forked):
    stop = Stop()
    workers, dispatch = forked(lambda worker, _: wait_for(worker), stop)

    def leave():
        stop._signal = signal.SIGINT
        return False

    assert not workers.run(leave)
    assert dispatch.errors == []
    assert dispatch.notes == ["saved", "saved"]


def test_a_stop_does_not_wait_for_cohorts_that_cannot_be_saved(forked, monkeypatch):
    monkeypatch.setattr("study.orchestration.forked.SAVING_SECONDS", 0.2)
    stop = Stop()
    workers, dispatch = forked(lambda *_: time.sleep(600), stop)
    stop_soon = iter([None, None, signal.SIGTERM])

    def leave():
        stop._signal = next(stop_soon, signal.SIGTERM)
        return False

    assert not workers.run(leave)
    assert dispatch.errors == []


def test_cohorts_left_for_ray_are_saved_silently(forked):
    workers, dispatch = forked(lambda worker, _: wait_for(worker))
    assert workers.run(lambda: True)
    assert (dispatch.errors, dispatch.notes) == ([], [])


def test_workers_report_how_far_their_cohorts_are(forked):
    def act(worker, batch_size):
        worker.report_lap(Lap(batch_size=batch_size, share=0.5, loss=None, steps_per_second=1.0))
        return wait_for(worker)

    workers, _ = forked(act)
    assert workers.laps() == []
    assert workers.run(lambda: len(workers.laps()) == 2)
    assert {lap.batch_size for lap in workers.laps()} <= {4, 16}
