"""The engine on a GPU; skipped where there is none."""

import numpy as np
import pytest
import torch

from study.capture import CapturedStep
from study.ensemble import GradientLanes, TrainingRule
from study.optimizers import OPTIMIZERS
from study.packed import PackedNetworks
from study.training import load

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


def lanes_on(device, workload, batch_size=16):
    training = load(workload, torch.device(device))
    seeds = [1, 2, 3, 4]
    rule = TrainingRule(
        optimizer=OPTIMIZERS["nesterov"],
        batch_size=batch_size,
        hyperparameters={"lr": np.geomspace(0.01, 0.3, 4), "momentum": np.full(4, 0.5)},
    )
    return GradientLanes(training, PackedNetworks(training, seeds), rule, seeds)


def test_a_gpu_trains_as_the_cpu_does(training):
    workload = training().workload
    here, there = lanes_on("cpu", workload), lanes_on("cuda", workload)
    for steps in (1, 5, 20):
        np.testing.assert_allclose(there.advance(steps), here.advance(steps), rtol=1e-3)
    there.keep(np.array([True, False, False, True]))
    here.keep(np.array([True, False, False, True]))
    np.testing.assert_allclose(there.advance(5), here.advance(5), rtol=1e-3)
    np.testing.assert_allclose(there.measure(), here.measure(), rtol=1e-3)


def test_a_captured_step_starts_from_the_state_it_was_given():
    state = torch.zeros(3, device="cuda")

    def step(by):
        state.add_(by)
        return state.sum()

    captured = CapturedStep(step, [torch.ones(3, device="cuda")], [state])
    assert state.tolist() == [0, 0, 0]
    captured(torch.full((3,), 2.0, device="cuda"))
    assert captured(torch.ones(3, device="cuda")).item() == 9.0
