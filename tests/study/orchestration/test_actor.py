import torch

from analysis.tables.folder import ResultsFolder
from study.engine.fingerprint import fingerprint
from study.orchestration.actor import received, refusal, shared_data
from study.storage import provenance
from workloads.registry import resolve


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


def test_a_worker_whose_model_is_another_refuses_to_train(tmp_path, shared_training):
    folder = ResultsFolder.at(tmp_path)
    provenance.record_start(folder, {}, {"workload": fingerprint(shared_training())})
    assert refusal(shared_training(), folder, "here") is None
    found = refusal(shared_training("batch norm"), folder, "here")
    assert "on here other number of parameters 67, recorded with 51" in found
    assert "install the same files on all machines" in found
