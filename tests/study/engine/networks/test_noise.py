"""Packed lanes draw what each lane draws when it is trained by itself, whatever the pack."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from study.engine.networks.looped import LoopedNetwork
from study.engine.networks.packed import PackedNetworks
from study.engine.networks.training import load
from study.optimizers import OPTIMIZERS, Step
from tests import strange
from tests.blobs import Blobs, DropoutBlobs

SEEDS = [5, 6, 7]


class Drops(Blobs):
    """Every dropout that a pack can take, on volumes of 2 x 2 x 2."""

    def model(self):
        class Dropping(nn.Module):
            def __init__(self):
                super().__init__()
                self.inner, self.outer = nn.Linear(2, 16), nn.Linear(16, 3)

            def forward(self, x):
                h = self.inner(x).unflatten(1, (2, 2, 2, 2))
                h = functional.dropout3d(h, 0.2, self.training)
                h = functional.dropout2d(h.flatten(3), 0.2, self.training)
                h = functional.dropout1d(h.flatten(2), 0.2, self.training)
                h = functional.dropout(h.tanh() * 1.5, 0.2, self.training, inplace=True)
                return self.outer(h.flatten(1))

        return Dropping()


def batch(step):
    return torch.randint(90, (3, 6), generator=torch.Generator().manual_seed(step))


def trained(networks, indices):
    """Take steps of plain SGD; return the parameters."""
    rates = np.full(len(networks.parameters), 0.1)
    update = Step.of(OPTIMIZERS["sgd"], networks.described, {"lr": rates})
    for some in indices:
        with torch.no_grad():
            networks.step(update, {}, {"lr": torch.full((len(rates), 1), 0.1)}, some)
    return networks.parameters.clone()


@pytest.mark.parametrize("workload", [DropoutBlobs, Drops, strange.Augmented, strange.NoDropout])
def test_a_pack_draws_what_its_lanes_draw_alone(workload):
    made = load(workload(), torch.device("cpu"))
    batches = [batch(step) for step in range(4)]
    together = trained(PackedNetworks(made, SEEDS), batches)
    for lane, seed in enumerate(SEEDS):
        own = [some[[lane]] for some in batches]
        alone = trained(LoopedNetwork(made, seed), own)
        torch.testing.assert_close(together[[lane]], alone, rtol=1e-5, atol=1e-7)
    changed = trained(PackedNetworks(made, SEEDS[1:]), [some[1:] for some in batches])
    torch.testing.assert_close(changed, together[1:], rtol=1e-5, atol=1e-7)
    single = trained(PackedNetworks(made, SEEDS[:1]), [some[:1] for some in batches])
    torch.testing.assert_close(single, together[:1], rtol=1e-5, atol=1e-7)


def test_a_pack_draws_the_same_numbers_after_it_is_cut_and_restored():
    made = load(DropoutBlobs(), torch.device("cpu"))
    batches = [batch(step) for step in range(4)]
    whole = trained(PackedNetworks(made, SEEDS), batches)
    begun = PackedNetworks(made, SEEDS)
    trained(begun, batches[:2])
    resumed = PackedNetworks(made, SEEDS)
    resumed.restore({name: value.clone() for name, value in begun.state().items()})
    assert torch.equal(trained(resumed, batches[2:]), whole)
    begun.keep(torch.tensor([0, 2]))
    rest = trained(begun, [some[[0, 2]] for some in batches[2:]])
    torch.testing.assert_close(rest, whole[[0, 2]], rtol=1e-5, atol=1e-7)


def test_measuring_draws_nothing_and_augments_nothing():
    made = load(strange.Augmented(), torch.device("cpu"))
    networks = PackedNetworks(made, SEEDS)
    before = networks.state()
    once, again = (networks.evaluate(made.data.validation) for _ in range(2))
    assert torch.equal(once, again)
    assert all(torch.equal(value, before[name]) for name, value in networks.state().items())
