import torch

from study.orchestration.actor import received, shared_data
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
