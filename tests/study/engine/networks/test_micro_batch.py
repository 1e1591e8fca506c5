import pytest
import torch

from study.engine.networks.micro_batch import Portion

SHORTAGES = [
    torch.OutOfMemoryError("CUDA out of memory"),
    RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 4 bytes."),
    RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"),
    MemoryError(),
]


@pytest.mark.parametrize("shortage", SHORTAGES, ids=lambda error: type(error).__name__)
def test_a_portion_halves_until_it_fits_and_stays_there(shortage):
    asked = []

    def work(size):
        asked.append(size)
        if size > 5:
            raise shortage
        return size

    portion = Portion(37)
    assert [portion.fitting(work) for _ in range(2)] == [5, 5]
    assert asked == [37, 19, 10, 5, 5]


def test_the_least_portion_fails_for_good():
    portion = Portion(8, least=4)
    with pytest.raises(MemoryError, match="none left"):
        portion.fitting(lambda size: (_ for _ in ()).throw(MemoryError("none left")))
    assert portion.size == 4


def test_another_failure_is_not_taken_for_a_shortage():
    portion = Portion(8)
    with pytest.raises(RuntimeError, match="shapes differ"):
        portion.fitting(lambda size: (_ for _ in ()).throw(RuntimeError("shapes differ")))
    assert portion.size == 8
