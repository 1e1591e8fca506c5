"""Packed and looped lanes equal torch.optim.SGD on the same batches."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from analysis.measures.batch_plan import BatchPlan
from study.config.sections import Precision
from study.config.space import Range
from study.engine.data_order import DataOrder
from study.engine.ensemble import Ensemble
from study.engine.evaluation import EXAMPLES_PER_EVALUATION
from study.engine.lanes import GradientLanes, UpdateSettings
from study.engine.networks.looped import LoopedNetwork
from study.engine.networks.packed import PackedNetworks
from study.engine.networks.training import fresh_model, load
from study.optimizers import OPTIMIZERS
from tests import strange, strange_gradients, strange_parameters, strange_reads
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
    return LoopedNetwork(training, *seeds)


def values_of(optimizer, **extras):
    """Return hyperparameters in the middle of their ranges, except lr and `extras`."""
    known = {n: entry.default for n, entry in OPTIMIZERS[optimizer].hyperparameters.items()}
    middle = {n: d.at(0.5) if isinstance(d, Range) else d for n, d in known.items()}
    values = {name: np.full(len(SEEDS), value) for name, value in middle.items()}
    scale = known["lr"].high / 10  # that of SGD's range is 10
    return values | {"lr": scale * LR} | extras


def lanes_of(training, networks, optimizer="nesterov", batch_size=7, **changes):
    values = {"lr": LR, "momentum": MOMENTUM}
    settings = UpdateSettings(
        optimizer=OPTIMIZERS[optimizer],
        batch_size=batch_size,
        hyperparameters=changes.pop("values", values),
        **changes,
    )
    size = len(SEEDS) if networks is packed else 1
    packs = [slice(start, start + size) for start in range(0, len(SEEDS), size)]
    return Ensemble(
        [
            plain(training, networks(training, SEEDS[pack]), settings.select(pack), SEEDS[pack])
            for pack in packs
        ]
    )


def plain(training, networks, settings, seeds):
    examples = len(training.data.train.inputs)
    plan = settings.batch_plan
    order = DataOrder(seeds, examples, settings.batch_size, training.device, plan)
    return GradientLanes(training, networks, settings, order)


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
def test_lanes_train_like_torch(training, networks, optimizer, batch_size):
    made = training()
    lanes = lanes_of(made, networks, optimizer, batch_size)
    lanes.advance(60)
    for lane in range(len(SEEDS)):
        alone = trained_alone(made, lane, optimizer, batch_size, 60)
        torch.testing.assert_close(lanes.parameters[lane], alone, rtol=2e-3, atol=2e-5)


EXTRAS = {
    "plain": {},
    "clipped": {"clip_norm": np.array([0.1, 1.0, 0.0])},
    "decaying": {"weight_decay": np.array([0.1, 0.0, 0.01])},
}


@pytest.mark.parametrize(
    ("optimizer", "extras"),
    [*((name, "plain") for name in OPTIMIZERS), ("nesterov", "clipped"), ("nadam", "decaying")],
)
def test_packed_and_looped_lanes_have_the_same_curves(training, optimizer, extras):
    made, values = training(), values_of(optimizer, **EXTRAS[extras])
    together, apart = (
        lanes_of(made, networks, optimizer, values=values) for networks in (packed, looped)
    )
    for steps in (1, 2, 5, 20):
        np.testing.assert_allclose(together.advance(steps), apart.advance(steps), rtol=5e-4)
        for ours, theirs in zip(together.measure(), apart.measure(), strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=5e-4)


@pytest.mark.parametrize("micro_batch", [None, 3])
def test_lanes_whose_batches_change_are_the_same_packed_looped_and_in_parts(training, micro_batch):
    made, plan = training(), BatchPlan(((0, 2), (3, 4), (6, 9)))
    whole = lanes_of(made, looped, batch_plan=plan)
    other = lanes_of(made, packed, batch_plan=plan, micro_batch=micro_batch)
    for steps in (1, 4, 4):
        np.testing.assert_allclose(whole.advance(steps), other.advance(steps), rtol=5e-4)
    torch.testing.assert_close(whole.parameters, other.parameters, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("optimizer", [name for name in OPTIMIZERS if name not in TORCH_FORM])
def test_a_lane_of_any_optimizer_does_not_depend_on_dropped_lanes(training, optimizer):
    made, values = training(), values_of(optimizer)
    full, cut = (lanes_of(made, packed, optimizer, values=values) for _ in range(2))
    full.advance(9)
    cut.advance(4)
    cut.keep(np.array([False, False, True]))
    cut.advance(5)
    torch.testing.assert_close(cut.parameters, full.parameters[[2]], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("kind", "networks"),
    [
        ("plain", packed),
        ("plain", looped),
        ("batch norm", looped),
        ("batch norm", packed),
        ("dropout", looped),
        ("dropout", packed),
    ],
)
def test_a_lane_does_not_depend_on_dropped_lanes(training, kind, networks):
    made = training(kind)
    full, cut = lanes_of(made, networks), lanes_of(made, networks)
    full.advance(10)
    cut.advance(4)
    cut.keep(np.array([True, False, True]))
    cut.advance(6)
    torch.testing.assert_close(cut.parameters, full.parameters[[0, 2]], rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("networks", [packed, looped])
def test_a_schedule_scales_each_lanes_learning_rate(training, networks):
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
    full = lanes_of(made, packed).measure()
    monkeypatch.setitem(EXAMPLES_PER_EVALUATION, "cpu", 20)
    chunked = lanes_of(made, packed).measure()
    np.testing.assert_allclose(full, chunked, rtol=1e-6)


@pytest.mark.parametrize("dropped", [1, 4, 5, 7])
def test_compaction_does_not_change_training(training, dropped):
    made, seeds = training(), list(range(20, 28))
    settings = UpdateSettings(
        optimizer=OPTIMIZERS["nesterov"],
        batch_size=5,
        hyperparameters={"lr": np.geomspace(0.01, 0.3, 8), "momentum": np.full(8, 0.5)},
        lr_factor=lambda step: np.linspace(1, 2, 8) / (1 + step),
    )
    full, cut = (plain(made, packed(made, seeds), settings, seeds) for _ in range(2))
    left = np.random.default_rng(dropped).permutation(8) >= dropped
    for lanes in (full, cut):
        lanes.advance(4)
    cut.keep(left)
    np.testing.assert_allclose(cut.advance(6), full.advance(6)[left], rtol=1e-5)
    np.testing.assert_allclose(cut.measure(), np.array(full.measure())[:, left], rtol=1e-5)
    torch.testing.assert_close(cut.parameters, full.parameters[left], rtol=1e-5, atol=1e-7)
    assert len(cut) == 8 - dropped


@pytest.mark.parametrize("networks", [packed, looped])
@pytest.mark.parametrize("size", [1, 3, 6, 7])
def test_micro_batches_have_the_gradient_of_the_complete_batch(training, networks, size):
    made = training()
    full = lanes_of(made, networks, batch_size=7)
    parts = lanes_of(made, networks, batch_size=7, micro_batch=size)
    np.testing.assert_allclose(parts.advance(20), full.advance(20), rtol=1e-4)
    torch.testing.assert_close(parts.parameters, full.parameters, rtol=1e-4, atol=1e-6)
    assert (parts.micro_batch, full.micro_batch) == (size, 7)


@pytest.mark.parametrize("networks", [packed, looped])
def test_a_batch_that_exceeds_memory_is_split(training, networks):
    made = training()
    fits = replace(made, workload=LittleMemory(made.workload, holds=4), traces={})
    lanes = lanes_of(fits, networks, batch_size=13)
    lanes.advance(20)
    lanes.measure()
    assert lanes.micro_batch == 4
    plenty = lanes_of(made, networks, batch_size=13)
    plenty.advance(20)
    torch.testing.assert_close(lanes.parameters, plenty.parameters, rtol=1e-4, atol=1e-6)


def test_batch_statistics_never_come_from_a_micro_batch(training):
    made = training("batch norm")
    assert made.mixing is not None
    little = replace(made, workload=LittleMemory(made.workload, holds=4))
    with pytest.raises(torch.OutOfMemoryError, match="more than 4"):
        lanes_of(little, looped, batch_size=13).advance(1)


@pytest.mark.parametrize(
    ("workload", "words"),
    [
        (strange_parameters.Contrasting, "training loss that is not a mean"),
        (strange_reads.RareClassTrained, "training loss that is not a mean"),
        (strange_parameters.ContrastingWithDropout, "training loss that is not a mean"),
        (strange_gradients.ClippedOnItsWay, "gradient that is not the mean"),
        (strange_parameters.Hooked, "parameter 0.weight has a hook"),
        (strange.blobs_of(strange.Counting), "model.calls, which every pass may change"),
    ],
    ids=["loss", "rare class", "dropout", "gradient", "hook", "count"],
)
def test_what_parts_of_a_batch_would_change_is_not_split(workload, words):
    made = load(workload(), torch.device("cpu"))
    assert words in made.indivisible
    little = replace(made, workload=LittleMemory(made.workload, holds=4))
    with pytest.raises(torch.OutOfMemoryError, match="more than 4"):
        lanes_of(little, looped, batch_size=13).advance(1)


class LittleMemory:
    """A workload on a device whose memory holds few examples."""

    def __init__(self, workload, holds):
        self.workload, self.holds = workload, holds

    def loss(self, model, batch):
        if len(batch.inputs) > self.holds:
            raise torch.OutOfMemoryError(f"out of memory: more than {self.holds} examples")
        return self.workload.loss(model, batch)

    def __getattr__(self, name):
        return getattr(self.workload, name)


def test_bfloat16_trains_nearly_as_float32(training):
    made = training()
    exact = lanes_of(made, packed)
    rough = lanes_of(replace(made, precision=Precision.BF16, traces={}), packed)
    np.testing.assert_allclose(rough.advance(20), exact.advance(20), rtol=0.05)
    assert not torch.equal(rough.parameters, exact.parameters)
    assert rough.parameters.dtype is torch.float32


def test_building_a_model_leaves_the_global_generator_unchanged(training):
    made = training()
    before = torch.get_rng_state()
    first, second = fresh_model(made, 3), fresh_model(made, 3)
    assert torch.equal(before, torch.get_rng_state())
    assert torch.equal(first[0].weight, second[0].weight)
