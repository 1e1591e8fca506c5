import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from analysis.measures.batch_plan import BatchPlan
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


def test_a_plan_sets_the_batch_of_each_step_also_after_a_restart():
    plan = BatchPlan(((0, 2), (3, 5)))
    order, plain = DataOrder([7], 11, 99, CPU, plan), DataOrder([7], 11, 1, CPU)
    before = [order.next() for _ in range(2)]
    again = DataOrder([7], 11, 99, CPU, plan)
    again.restore(order.state())
    batches = before + [again.next() for _ in range(4)]
    assert [batch.shape[1] for batch in batches] == [2, 2, 2, 5, 5, 5]
    assert torch.equal(torch.cat(batches, 1), torch.cat([plain.next() for _ in range(21)], 1))
