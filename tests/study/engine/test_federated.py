"""Federated lanes against plain SGD, closed forms, and handwritten loops over torch.optim."""

import copy

import numpy as np
import pytest
import torch

from study.engine.data_order import ClientOrder
from study.engine.ensemble import Ensemble
from study.engine.federated import FederatedLanes
from study.engine.lanes import GradientLanes, UpdateSettings
from study.engine.networks.looped import LoopedNetwork
from study.engine.networks.packed import PackedNetworks
from study.engine.networks.training import fresh_model
from study.engine.shards import dirichlet_shards, iid_shards
from study.optimizers import OPTIMIZERS

SEEDS = [11, 12, 13]
LR = np.array([0.3, 0.05, 0.01])
MOMENTUM = np.array([0.0, 0.5, 0.95])
UNEQUAL = [torch.arange(0, 10), torch.arange(10, 30), torch.arange(30, 90)]
THEIRS = {
    "sgd": lambda p, lr, m: torch.optim.SGD(p, lr=lr),
    "nesterov": lambda p, lr, m: torch.optim.SGD(p, lr=lr, momentum=m, nesterov=m > 0),
    "adam": lambda p, lr, m: torch.optim.Adam(p, lr=lr),
}


def packed(training, seeds):
    return PackedNetworks(training, seeds)


def looped(training, seeds):
    return LoopedNetwork(training, *seeds)


def settings_of(optimizer, batch_size, **changes):
    names = OPTIMIZERS[optimizer].hyperparameters
    defaults = {"beta1": 0.9, "beta2": 0.999, "eps": 1e-8}
    values = {"lr": LR, "momentum": MOMENTUM}
    values |= {name: np.full(len(SEEDS), value) for name, value in defaults.items()}
    return UpdateSettings(
        optimizer=OPTIMIZERS[optimizer],
        batch_size=batch_size,
        hyperparameters={name: values[name] for name in names},
        **changes,
    )


def lanes_of(networks, make):
    """Return the lanes of all seeds, in one pack or in packs of one."""
    size = len(SEEDS) if networks is packed else 1
    return Ensemble([make(slice(at, at + size)) for at in range(0, len(SEEDS), size)])


def federated(training, networks, shards, local_steps=1, settings=None):
    settings = settings or settings_of("sgd", 5)
    return lanes_of(
        networks,
        lambda lanes: FederatedLanes(
            training,
            networks(training, SEEDS[lanes]),
            settings.select(lanes),
            ClientOrder(SEEDS[lanes], shards, local_steps, settings.batch_size),
        ),
    )


class Unions:
    """Orders that join the batches of all clients of a round into one."""

    def __init__(self, order, clients):
        self.order, self.clients = order, clients

    def next(self):
        return torch.cat([self.order.next() for _ in range(self.clients)], dim=1)


@pytest.mark.parametrize(("networks", "clients"), [(packed, 3), (looped, 9)])
def test_one_local_step_on_equal_shards_is_sgd_on_the_union_of_batches(training, networks, clients):
    made, shards = training(), iid_shards(90, clients, 0)
    plain = lanes_of(
        networks,
        lambda lanes: GradientLanes(
            made,
            networks(made, SEEDS[lanes]),
            settings_of("sgd", 5 * clients).select(lanes),
            Unions(ClientOrder(SEEDS[lanes], shards, 1, 5), clients),
        ),
    )
    rounds = federated(made, networks, shards)
    for steps in (1, 2, 20):
        np.testing.assert_allclose(rounds.advance(steps), plain.advance(steps), rtol=1e-5)
        torch.testing.assert_close(rounds.parameters, plain.parameters, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("networks", [packed, looped])
@pytest.mark.parametrize("optimizer", THEIRS)
def test_rounds_equal_the_ones_of_a_handwritten_loop(training, networks, optimizer):
    """Algorithm 1 of McMahan et al. 2017, with a new optimizer per client and round."""
    made, settings = training(), settings_of(optimizer, 4)
    lanes = federated(made, networks, UNEQUAL, local_steps=3, settings=settings)
    lanes.advance(7)
    for lane, seed in enumerate(SEEDS):
        order = ClientOrder([seed], UNEQUAL, 3, 4)
        full = fresh_model(made, seed)
        for _ in range(7):
            clients = []
            for _ in UNEQUAL:
                model = copy.deepcopy(full)
                theirs = THEIRS[optimizer](
                    model.parameters(), float(LR[lane]), float(MOMENTUM[lane])
                )
                for _ in range(3):
                    theirs.zero_grad()
                    made.workload.loss(model, made.batch(order.next()[0])).backward()
                    theirs.step()
                clients.append(flat(model))
            average = sum(len(s) / 90 * w for s, w in zip(UNEQUAL, clients, strict=True))
            torch.nn.utils.vector_to_parameters(average, full.parameters())
        torch.testing.assert_close(lanes.parameters[lane], flat(full), rtol=2e-3, atol=2e-5)


def flat(model):
    return torch.cat([p.detach().flatten() for p in model.parameters()])


@pytest.mark.parametrize("networks", [packed, looped])
def test_a_round_of_full_shards_is_a_step_along_the_full_gradient(training, networks):
    """Holds for any sizes by the weights n_k / n; equal weights would favor small shards."""
    made, parameters = training(), []
    for shards in (UNEQUAL, [torch.arange(90)]):
        # 60 is a multiple of every size: a batch is the shard, small ones several times over
        lanes = federated(
            made, networks, shards, settings=settings_of("sgd", 60 if len(shards) > 1 else 90)
        )
        lanes.advance(1)
        parameters.append(lanes.parameters)
    torch.testing.assert_close(*parameters, rtol=1e-5, atol=1e-6)


def test_a_clients_batches_come_from_its_own_shard():
    order = ClientOrder(SEEDS, UNEQUAL, local_steps=2, batch_size=25)
    for _ in range(3):
        for shard in UNEQUAL:
            sampled = torch.cat([order.next(), order.next()], dim=1)
            times = torch.stack([lane.bincount(minlength=90) for lane in sampled])
            assert (times.sum(dim=1) == 50).all()
            assert (times[:, shard].sum(dim=1) == 50).all()


def test_clients_and_lanes_have_different_orders():
    same = [torch.arange(40), torch.arange(40)]
    order = ClientOrder(SEEDS, same, local_steps=1, batch_size=40)
    first, second = order.next(), order.next()
    assert not torch.equal(first, second)
    assert not torch.equal(first[0], first[1])


@pytest.mark.parametrize(
    ("kind", "networks"),
    [("plain", packed), ("plain", looped), ("dropout", looped), ("dropout", packed)],
)
def test_a_lane_does_not_depend_on_dropped_lanes(training, kind, networks):
    made, settings = training(kind), settings_of("nesterov", 4)
    shards = dirichlet_shards(made.data.train.targets, 4, 0.2, seed=0)
    full, cut = (federated(made, networks, shards, 2, settings) for _ in range(2))
    full.advance(5)
    cut.advance(2)
    cut.keep(np.array([False, False, True]))
    cut.advance(3)
    torch.testing.assert_close(cut.parameters, full.parameters[[2]], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("networks", [packed, looped])
def test_the_learning_rate_is_scheduled_by_round(training, networks):
    """At learning rate 0 in the second of three rounds, that round changes nothing."""
    settings = settings_of(
        "nesterov", 4, lr_factor=lambda step: np.full(len(SEEDS), 0.0 if step == 1 else 1.0)
    )
    lanes = federated(training(), networks, iid_shards(90, 3, 0), 4, settings)
    seen = []
    for _ in range(3):
        lanes.advance(1)
        seen.append(lanes.parameters.clone())
    assert torch.equal(seen[1], seen[0])
    assert not torch.equal(seen[2], seen[1])


def test_a_round_does_not_depend_on_micro_batches(training):
    made, shards = training(), iid_shards(90, 3, 0)
    full, parts = (
        federated(made, packed, shards, 2, settings_of("nesterov", 10, micro_batch=size))
        for size in (None, 3)
    )
    np.testing.assert_allclose(parts.advance(6), full.advance(6), rtol=1e-4)
    torch.testing.assert_close(parts.parameters, full.parameters, rtol=1e-4, atol=1e-6)
    assert (parts.micro_batch, full.micro_batch) == (3, 10)
