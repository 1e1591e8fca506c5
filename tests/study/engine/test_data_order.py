import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from study.engine.data_order import DataOrder

CPU = torch.device("cpu")


@given(st.integers(1, 12), st.integers(1, 30), st.integers(1, 4))
def test_batches_cover_each_epoch_exactly(examples, batch_size, lanes):
    order = DataOrder(range(lanes), examples, batch_size, CPU)
    batches = [order.next() for _ in range(3 * examples)]
    assert all(batch.shape == (lanes, batch_size) for batch in batches)
    stream = torch.cat(batches, dim=1)
    for start in range(0, 3 * batch_size * examples, examples):
        epoch = stream[:, start : start + examples].sort(dim=1).values
        assert torch.equal(epoch, torch.arange(examples).expand(lanes, -1))


def test_the_batches_of_a_lane_do_not_depend_on_other_lanes():
    alone = DataOrder([5], 10, 3, CPU)
    together = DataOrder([4, 5, 6], 10, 3, CPU)
    for step in range(20):
        if step == 7:
            together.keep(np.array([1, 2]))
        lane = 1 if step < 7 else 0
        assert torch.equal(alone.next()[0], together.next()[lane])


def test_epochs_are_reshuffled():
    order = DataOrder([0], 50, 50, CPU)
    assert not torch.equal(order.next(), order.next())
