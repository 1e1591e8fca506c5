"""The engine on a GPU; skipped without one."""

import numpy as np
import pytest
import torch

from study.config.space import Range
from study.engine.data_order import DataOrder
from study.engine.lanes import GradientLanes, UpdateSettings
from study.engine.networks.cuda_graph import CapturedStep
from study.engine.networks.packed import PackedNetworks
from study.engine.networks.training import load
from study.optimizers import OPTIMIZERS

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


def lanes_on(device, workload, optimizer="nesterov", batch_size=16):
    known = {n: entry.default for n, entry in OPTIMIZERS[optimizer].hyperparameters.items()}
    middle = {n: d.at(0.5) if isinstance(d, Range) else d for n, d in known.items()}
    values = {name: np.full(4, value) for name, value in middle.items()}
    training = load(workload, torch.device(device))
    seeds = [1, 2, 3, 4]
    settings = UpdateSettings(
        optimizer=OPTIMIZERS[optimizer],
        batch_size=batch_size,
        hyperparameters=values | {"lr": values["lr"] * np.geomspace(0.3, 3.0, 4)},
    )
    order = DataOrder(seeds, len(training.data.train.inputs), batch_size, training.device)
    return GradientLanes(training, PackedNetworks(training, seeds), settings, order)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_gpu_trains_like_the_cpu(training, optimizer):
    workload = training().workload
    cpu, gpu = (lanes_on(device, workload, optimizer) for device in ("cpu", "cuda"))
    for steps in (1, 5, 20):
        np.testing.assert_allclose(gpu.advance(steps), cpu.advance(steps), rtol=1e-3)
    gpu.keep(np.array([True, False, False, True]))
    cpu.keep(np.array([True, False, False, True]))
    np.testing.assert_allclose(gpu.advance(5), cpu.advance(5), rtol=1e-3)
    np.testing.assert_allclose(gpu.measure(), cpu.measure(), rtol=1e-3)


def test_a_captured_step_starts_from_the_given_state():
    state = torch.zeros(3, device="cuda")

    def step(by):
        state.add_(by)
        return state.sum()

    captured = CapturedStep(step, [torch.ones(3, device="cuda")], [state])
    assert state.tolist() == [0, 0, 0]
    captured(torch.full((3,), 2.0, device="cuda"))
    assert captured(torch.ones(3, device="cuda")).item() == 9.0


def test_captured_lanes_resume_bit_for_bit(training):
    workload = training().workload
    full, begun, again = (lanes_on("cuda", workload) for _ in range(3))
    for lanes in (full, begun):
        lanes.advance(7)
        lanes.keep(np.array([True, False, False, True]))
        lanes.advance(4)
    again.restore(begun.state())
    assert np.array_equal(again.advance(9), full.advance(9))
    assert torch.equal(again.parameters, full.parameters)
