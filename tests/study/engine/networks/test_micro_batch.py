import pytest
import torch

from study.engine.networks.micro_batch import MicroBatch

SHORTAGES = [
    torch.OutOfMemoryError("CUDA out of memory"),
    RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 4 bytes."),
    RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"),
    MemoryError(),
]


@pytest.mark.parametrize("shortage", SHORTAGES, ids=lambda error: type(error).__name__)
def test_a_micro_batch_halves_until_it_fits_and_keeps_its_size(shortage):
    sizes = []

    def work(size):
        sizes.append(size)
        if size > 5:
            raise shortage
        return size

    micro_batch = MicroBatch(37)
    assert [micro_batch.run(work) for _ in range(2)] == [5, 5]
    assert sizes == [37, 19, 10, 5, 5]


def test_the_minimum_size_is_not_halved():
    micro_batch = MicroBatch(8, minimum=4)
    with pytest.raises(MemoryError, match="none left"):
        micro_batch.run(lambda size: (_ for _ in ()).throw(MemoryError("none left")))
    assert micro_batch.size == 4


def test_other_failures_are_raised():
    micro_batch = MicroBatch(8)
    with pytest.raises(RuntimeError, match="shapes differ"):
        micro_batch.run(lambda size: (_ for _ in ()).throw(RuntimeError("shapes differ")))
    assert micro_batch.size == 8
