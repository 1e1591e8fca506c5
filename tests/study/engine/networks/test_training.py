"""Lanes train as plain torch does, whatever the workload does besides computing."""

import copy
import random

import numpy as np
import pytest
import torch

from study.engine.data_order import DataOrder
from study.engine.lanes import GradientLanes, UpdateSettings
from study.engine.networks.looped import LoopedNetwork
from study.engine.networks.packed import PackedNetworks
from study.engine.networks.training import fresh_model, load
from study.optimizers import optimizer_named
from tests import strange, strange_gradients, strange_losses
from tests.blobs import Blobs
from workloads.builtin.classification import DigitsCNN
from workloads.errors import WorkloadError
from workloads.examination import loading
from workloads.randomness import forked, seed_all

CPU = torch.device("cpu")
SEED, BATCH, RATE, STEPS = 3, 8, 0.2, 25


def lanes_of(loaded, make, seeds=(SEED,)):
    settings = UpdateSettings(
        optimizer=optimizer_named("sgd"),
        batch_size=BATCH,
        hyperparameters={"lr": np.full(len(seeds), RATE)},
    )
    order = DataOrder(list(seeds), len(loaded.data.train.inputs), BATCH, CPU)
    return GradientLanes(loaded, make(loaded), settings, order)


def plain(loaded):
    """Train one model as a user would, by torch.optim alone; return its parameters."""
    model = fresh_model(loaded, SEED).train()
    optimizer = torch.optim.SGD(model.parameters(), lr=RATE)
    order = DataOrder([SEED], len(loaded.data.train.inputs), BATCH, CPU)
    for _ in range(STEPS):
        batch = loaded.batch(order.next()[0])
        optimizer.zero_grad()
        loaded.workload.loss(model, batch).backward()
        optimizer.step()
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


@pytest.mark.parametrize(
    "kind",
    [
        strange.blobs_of(strange.Counting),
        strange.blobs_of(strange.CountingInAList),
        strange.blobs_of(strange.OwnGenerator),
        strange.ClassInModel,
        strange.Resetting,
        strange.Penalized,
        strange.Keywords,
        strange_losses.GradientPenalty,
        strange_losses.SparseRows,
        strange_losses.OneElement,
    ],
    ids=lambda kind: kind.__name__,
)
def test_a_looped_lane_trains_as_plain_torch_with_measurements_in_between(kind):
    loaded = load(kind(), CPU)
    lanes = lanes_of(loaded, lambda loaded: LoopedNetwork(loaded, SEED))
    for _ in range(STEPS):
        lanes.advance(1)
        lanes.measure()
    torch.testing.assert_close(lanes.parameters[0], plain(loaded))


@pytest.mark.parametrize("lanes", [1, 2])
@pytest.mark.parametrize(
    "kind",
    [
        strange.Resetting,
        strange.Penalized,
        strange.Keywords,
        strange_gradients.HeldTeacher,
        DigitsCNN,
    ],
)
def test_a_packed_lane_trains_as_plain_torch(kind, lanes):
    loaded = load(kind(), CPU)
    seeds = tuple(range(SEED, SEED + lanes))
    lanes = lanes_of(loaded, lambda loaded: PackedNetworks(loaded, seeds), seeds)
    lanes.advance(STEPS)
    assert np.isfinite(lanes.measure()).all()
    torch.testing.assert_close(lanes.parameters[0], plain(loaded), rtol=1e-4, atol=1e-5)


def test_a_frozen_copy_that_the_model_writes_into_is_resumed():
    loaded = load(strange_gradients.Teacher(), CPU)
    whole, ended, resumed = (
        lanes_of(loaded, lambda loaded: LoopedNetwork(loaded, SEED)) for _ in range(3)
    )
    whole.advance(STEPS)
    ended.advance(5)
    resumed.restore(copy.deepcopy(ended.state()))
    resumed.advance(STEPS - 5)
    np.testing.assert_array_equal(resumed.measure(), whole.measure())


@pytest.mark.parametrize("kind", [strange.NumpyNoise, strange.PythonNoise])
def test_draws_from_global_generators_follow_the_trial_seed(kind):
    loaded = load(strange.blobs_of(kind)(), CPU)
    ends = []
    for disturbed in (False, True):
        first, second = (
            lanes_of(loaded, lambda loaded, seed=seed: LoopedNetwork(loaded, seed))
            for seed in (SEED, SEED + 1)
        )
        for _ in range(5):
            first.advance(1)
            if disturbed:  # what others do in the same process must not matter
                second.advance(2)
                with forked(CPU):
                    seed_all(11)
        ends.append(first.parameters)
    assert torch.equal(*ends)


def test_an_output_that_the_loss_writes_into_is_not_what_the_error_sees():
    written, clean = (load(kind(), CPU) for kind in (strange.WritesIntoOutputs, strange.Blobs))
    both = [
        lanes_of(loaded, lambda loaded: LoopedNetwork(loaded, SEED)).measure()
        for loaded in (written, clean)
    ]
    np.testing.assert_array_equal(*both)


@pytest.mark.parametrize("pack", [1, 4])
def test_a_whole_measure_is_of_all_examples_at_once_for_any_number_of_lanes(pack, monkeypatch):
    monkeypatch.setitem(
        __import__("study.engine.evaluation", fromlist=["x"]).EXAMPLES_PER_EVALUATION, "cpu", 7
    )
    loaded = load(strange.WholeRootMeanSquare(), CPU)
    seeds = tuple(range(SEED, SEED + pack))
    lanes = lanes_of(loaded, lambda loaded: PackedNetworks(loaded, seeds), seeds)
    _, errors = lanes.measure()
    for seed, error in zip(seeds, errors, strict=True):
        model = fresh_model(loaded, seed).eval()
        with torch.no_grad():
            whole = loaded.workload.error(model, loaded.data.validation)
        assert error == pytest.approx(float(whole), rel=1e-6)


def test_validation_examples_written_into_late_end_the_training():
    class LateWriter(strange.Blobs):
        measured = 0

        def error(self, model, data):
            if self.measured > 2:
                data.inputs.add_(1)
            return super().error(model, data)

    workload = LateWriter()
    loaded = load(workload, CPU)
    lanes = lanes_of(loaded, lambda loaded: LoopedNetwork(loaded, SEED))
    lanes.measure()
    workload.measured = 3
    with pytest.raises(WorkloadError, match="validation examples must not change"):
        lanes.measure()


def test_the_trained_parameters_must_not_change_during_a_trial():
    lanes = lanes_of(load(strange_losses.ThawingLate(), CPU), lambda made: LoopedNetwork(made, 1))
    lanes.advance(10)
    with pytest.raises(WorkloadError, match="what is trained must stay the same through a trial"):
        lanes.advance(1)


def test_an_error_that_is_no_fraction_is_refused_when_it_is_measured():
    loaded = load(strange_losses.BelowZero(), CPU)
    lanes = lanes_of(loaded, lambda loaded: PackedNetworks(loaded, (1, 2)), (1, 2))
    lanes.advance(100)
    with pytest.raises(WorkloadError, match=r"error must lie in \[0, 1\], got -0"):
        lanes.measure()


class Shifted(Blobs):
    """Data that differ from call to call, by a number that no seed of torch's sets."""

    def __init__(self, draw):
        self._draw = draw

    def data(self):
        data = super().data()
        data.train.inputs.add_(self._draw())
        return data


@pytest.mark.parametrize(
    ("draw", "within"),
    [
        (lambda: np.random.default_rng().normal(), 0.0),  # seen by its seed, however long it takes
        (lambda: random.Random().gauss(), 60.0),
    ],
)
def test_data_without_a_seed_are_refused(draw, within, monkeypatch):
    monkeypatch.setattr(loading, "_QUICK_SECONDS", within)
    with pytest.raises(WorkloadError, match="two calls of data.* different train tensors"):
        load(Shifted(draw), CPU)
