import torch

from study.orchestration.actor import received, shared_data, shared_form
from workloads.registry import resolve


def test_data_arrive_as_they_were_sent(training):
    made = training("measured")
    arrays = shared_data(made)
    for array in arrays:
        array.flags.writeable = False  # as in Ray's object store
    there = received(arrays, shared_form(made))
    for sent, got in zip(
        [t for split in made.data.splits.values() for t in split],
        [t for split in there.splits.values() for t in split],
        strict=True,
    ):
        assert torch.equal(sent, got)
        assert sent.dtype is got.dtype


def test_own_dynamics_have_no_data_to_send():
    assert shared_data(resolve("noisy-quadratic")) is None
    assert received(None, None) is None
