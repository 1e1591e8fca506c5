import pytest
import torch
from ray.experimental import internal_kv

from analysis.tables.folder import ResultsFolder
from study.engine.fingerprint import fingerprint
from study.orchestration import actor, tuner
from study.orchestration.actor import Board, received, refusal, shared_data
from study.orchestration.signals import Stop
from study.orchestration.tuner import Ending
from study.records import Lap
from study.storage import provenance
from workloads.registry import resolve

LAP = Lap(batch_size=16, share=0.5, loss=None, steps_per_second=2.0)


def test_data_arrive_as_they_were_sent(training):
    made = training("measured")
    arrays, form = shared_data(made)
    for array in arrays:
        array.flags.writeable = False  # as in Ray's object store
    there = received(arrays, form)
    for sent, got in zip(
        [t for split in made.data.splits.values() for t in split],
        [t for split in there.splits.values() for t in split],
        strict=True,
    ):
        assert torch.equal(sent, got)
        assert sent.dtype is got.dtype


def test_own_dynamics_have_no_data_to_send():
    assert shared_data(resolve("noisy-quadratic")) == (None, None)
    assert received(None, None) is None


def test_a_worker_with_another_model_refuses_to_train(tmp_path, shared_training):
    folder = ResultsFolder.at(tmp_path)
    provenance.record_start(folder, {}, {"workload": fingerprint(shared_training())})
    assert refusal(shared_training(), folder, "here") is None
    found = refusal(shared_training("batch norm"), folder, "here")
    assert "here got number of parameters 67, recorded with 51" in found
    assert "install the same files on all machines" in found


def test_a_worker_that_cannot_load_the_workload_says_why(tmp_path, make_study, monkeypatch):
    monkeypatch.setattr(actor.ray, "get_gpu_ids", list)  # which would start Ray
    monkeypatch.setattr(actor, "this_node", lambda: "here")
    there = make_study().as_data() | {"workload": "lost.py:Net"}
    job = {"folder": ResultsFolder.at(tmp_path), "resolved": there, "board": Board()}
    worker = actor.RaceTrainable.__new__(actor.RaceTrainable)
    worker.setup({}, **job, data=None, form=None, data_dir=None)
    ended = worker.step()
    assert ended["done"]
    assert "load the workload, here got WorkloadError: " in ended["unwritten"]
    assert "lost.py" in ended["unwritten"]


@pytest.fixture
def store(monkeypatch):
    """Return the keys in a store like that of Ray."""
    keys = {}

    def delete(prefix, del_by_prefix, namespace):
        for key in [key for key in keys if key.startswith(prefix)]:
            del keys[key]

    store = {
        "put": lambda key, value, namespace: keys.update({key: value}),
        "list": lambda prefix, namespace: [key for key in keys if key.startswith(prefix)],
        "get": lambda key, namespace: keys[key],
        "exists": lambda key, namespace: key in keys,
        "del": delete,
    }
    for name, function in store.items():
        monkeypatch.setattr(internal_kv, f"_internal_kv_{name}", function)
    return keys


def test_the_board_shows_the_last_report_of_each_worker(store):
    board, other = Board(), Board()
    first, second = board.reporter(), board.reporter()
    first(LAP)
    second(LAP)
    first(None)
    other.reporter()(LAP)
    assert board.laps() == [LAP]
    board.clear()
    assert (board.laps(), other.laps()) == ([], [LAP])


def test_a_stop_hands_out_no_more_cohorts_and_reaches_the_workers(store, monkeypatch):
    class Dispatch:
        closed = False

        def close(self):
            self.closed = True

    monkeypatch.setattr(actor, "_POLL_SECONDS", 0)
    stop, own, other, dispatch = Stop(), Board(), Board(), Dispatch()
    ending = Ending(stop, own, dispatch)
    assert not (ending.stop_all())
    assert not (dispatch.closed)
    assert not (own.stopping())
    stop._signal = 2
    assert not ending.stop_all()  # cohorts have time to be saved
    assert dispatch.closed
    assert own.stopping()
    assert not other.stopping()
    monkeypatch.setattr(tuner, "SAVING_SECONDS", -1)
    assert ending.stop_all()
    own.clear()
    assert not store


def test_a_worker_asks_only_now_and_then_whether_to_stop(store):
    board = Board()
    assert not board.stopping()
    board.stop()
    assert not board.stopping()  # the last look was a moment ago


def test_without_ray_the_board_is_empty_and_reporting_is_harmless(monkeypatch):
    def lost(key, namespace):
        raise ConnectionError

    monkeypatch.setattr(internal_kv, "_internal_kv_exists", lost)
    board = Board()
    board.reporter()(LAP)
    assert board.laps() == []
    assert not board.stopping()  # a Ray that ends is no request
