"""Packed equals looped equals torch.optim.SGD run alone on the same batches."""

import numpy as np
import pytest
import torch

from study.batching import DataOrder
from study.eager import EagerNetwork
from study.ensemble import EXAMPLES_PER_EVALUATION, Ensemble, GradientLanes, TrainingRule
from study.optimizers import OPTIMIZERS
from study.packed import PackedNetworks, why_not_packed
from study.training import fresh_model
from workloads.workload import Examples

SEEDS = [11, 12, 13]
LR = np.array([0.3, 0.05, 0.01])
MOMENTUM = np.array([0.0, 0.5, 0.95])
TORCH_FORM = {
    "sgd": lambda m: {},
    "heavy-ball": lambda m: {"momentum": m},
    "nesterov": lambda m: {"momentum": m, "nesterov": m > 0},
}


def packed(training, seeds):
    return PackedNetworks(training, seeds)


def looped(training, seeds):
    return EagerNetwork(training, *seeds)


def lanes_of(training, networks, optimizer="nesterov", batch_size=7, **changes):
    rule = TrainingRule(
        optimizer=OPTIMIZERS[optimizer],
        batch_size=batch_size,
        hyperparameters={"lr": LR, "momentum": MOMENTUM},
        **changes,
    )
    size = len(SEEDS) if networks is packed else 1
    packs = [slice(start, start + size) for start in range(0, len(SEEDS), size)]
    return Ensemble(
        [
            GradientLanes(training, networks(training, SEEDS[pack]), rule.of(pack), SEEDS[pack])
            for pack in packs
        ]
    )


def trained_alone(training, lane, optimizer, batch_size, steps):
    model = fresh_model(training, SEEDS[lane])
    keywords = TORCH_FORM[optimizer](float(MOMENTUM[lane]))
    theirs = torch.optim.SGD(model.parameters(), lr=float(LR[lane]), **keywords)
    train = training.data.train
    order = DataOrder([SEEDS[lane]], len(train.inputs), batch_size, training.device)
    for _ in range(steps):
        indices = order.next()[0]
        theirs.zero_grad()
        batch = Examples(train.inputs[indices], train.targets[indices])
        training.workload.loss(model, batch).backward()
        theirs.step()
    return torch.cat([p.detach().flatten() for p in model.parameters()])


@pytest.mark.parametrize("networks", [packed, looped])
@pytest.mark.parametrize("optimizer", TORCH_FORM)
@pytest.mark.parametrize("batch_size", [1, 7, 90])
def test_lanes_train_as_torch_does_alone(training, networks, optimizer, batch_size):
    made = training()
    lanes = lanes_of(made, networks, optimizer, batch_size)
    lanes.advance(60)
    for lane in range(len(SEEDS)):
        alone = trained_alone(made, lane, optimizer, batch_size, 60)
        torch.testing.assert_close(lanes.parameters[lane], alone, rtol=2e-3, atol=2e-5)


def test_packed_and_looped_measure_the_same_curves(training):
    made = training()
    together, apart = lanes_of(made, packed), lanes_of(made, looped)
    for steps in (1, 2, 5, 20):
        np.testing.assert_allclose(together.advance(steps), apart.advance(steps), rtol=1e-4)
        for ours, theirs in zip(together.measure(), apart.measure(), strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-4)


@pytest.mark.parametrize(
    ("kind", "networks"),
    [
        ("plain", packed),
        ("plain", looped),
        ("batch norm", looped),
        ("dropout", looped),
    ],
)
def test_a_lane_trains_the_same_whoever_is_dropped(training, kind, networks):
    made = training(kind)
    whole, cut = lanes_of(made, networks), lanes_of(made, networks)
    whole.advance(10)
    cut.advance(4)
    cut.keep(np.array([True, False, True]))
    cut.advance(6)
    torch.testing.assert_close(cut.parameters, whole.parameters[[0, 2]], rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("networks", [packed, looped])
def test_a_schedule_scales_each_lanes_rate(training, networks):
    made = training()
    still = lanes_of(made, networks, lr_factor=lambda step: np.array([0.0, 1.0, 0.0]))
    start = still.parameters.clone()
    still.advance(3)
    still.keep(np.array([False, True, True]))
    still.advance(2)
    free = lanes_of(made, networks)
    free.advance(5)
    torch.testing.assert_close(still.parameters[0], free.parameters[1], rtol=1e-5, atol=1e-7)
    assert torch.equal(still.parameters[1], start[2])


def test_evaluation_in_chunks_is_the_mean_over_all_examples(training, monkeypatch):
    made = training()
    whole = lanes_of(made, packed).measure()
    monkeypatch.setitem(EXAMPLES_PER_EVALUATION, "cpu", 20)
    chunked = lanes_of(made, packed).measure()
    np.testing.assert_allclose(whole, chunked, rtol=1e-6)


@pytest.mark.parametrize(
    ("kind", "reason"),
    [("plain", None), ("batch norm", "running_mean"), ("dropout", "vmap refuses it")],
)
def test_what_cannot_be_packed_says_why(training, kind, reason):
    why = why_not_packed(training(kind))
    assert why == reason if reason is None else reason in why


def test_building_a_model_leaves_the_global_generator_alone(training):
    made = training()
    before = torch.get_rng_state()
    first, second = fresh_model(made, 3), fresh_model(made, 3)
    assert torch.equal(before, torch.get_rng_state())
    assert torch.equal(first[0].weight, second[0].weight)
