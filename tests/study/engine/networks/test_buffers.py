"""Packed lanes change buffers, as batch statistics, as each lane does when trained by itself."""

import pytest
import torch
from torch import nn

from study.engine.networks.looped import LoopedNetwork
from study.engine.networks.packed import PackedNetworks
from study.engine.networks.training import load
from study.planning.admission import admit
from tests.blobs import BatchNormBlobs, Blobs
from tests.study.engine.networks.test_noise import SEEDS, batch, trained
from workloads.models.layers import GhostBatchNorm2d


class Drawing(BatchNormBlobs):
    """Batch norm that averages all batches alike, after dropout."""

    def model(self):
        return nn.Sequential(
            nn.Linear(2, 8), nn.Dropout(0.3), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3)
        )


class Convolved(Blobs):
    """Ghost batch norm on maps of 2 x 2."""

    def model(self):
        return nn.Sequential(
            nn.Linear(2, 12),
            nn.Unflatten(1, (3, 2, 2)),
            nn.Conv2d(3, 4, 1),
            GhostBatchNorm2d(4, 3),
            nn.Flatten(),
            nn.Linear(16, 3),
        )


class Centering(Blobs):
    """A buffer that the model replaces rather than writes into."""

    def model(self):
        class Center(nn.Module):
            def __init__(self):
                super().__init__()
                self.register_buffer("center", torch.zeros(2))
                self.out = nn.Linear(2, 3)

            def forward(self, x):
                if self.training:
                    self.center = 0.9 * self.center + 0.1 * x.mean(0)
                return self.out(x - self.center)

        return Center()


KINDS = [BatchNormBlobs, Drawing, Convolved, Centering]


def buffers(networks):
    return {n: value for n, value in networks.state().items() if n.startswith("buffer")}


@pytest.mark.parametrize("workload", KINDS)
def test_a_pack_changes_buffers_as_its_lanes_do_alone(workload):
    made = load(workload(), torch.device("cpu"))
    assert admit(made) == ""
    batches = [batch(step) for step in range(4)]
    pack, pair = PackedNetworks(made, SEEDS), PackedNetworks(made, SEEDS[1:])
    together, changed = trained(pack, batches), trained(pair, [some[1:] for some in batches])
    torch.testing.assert_close(changed, together[1:], rtol=1e-5, atol=1e-6)
    single = trained(PackedNetworks(made, SEEDS[:1]), [some[:1] for some in batches])
    torch.testing.assert_close(single, together[:1], rtol=1e-4, atol=1e-6)
    measured = pack.evaluate(made.data.validation)
    for lane, seed in enumerate(SEEDS):
        alone = LoopedNetwork(made, seed)
        moved = trained(alone, [some[[lane]] for some in batches])
        torch.testing.assert_close(together[[lane]], moved, rtol=1e-4, atol=1e-6)
        own, here = buffers(alone), buffers(pack)
        assert own.keys() == here.keys()
        for name, value in own.items():
            torch.testing.assert_close(here[name][lane], value, rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(
            measured[:, [lane]], alone.evaluate(made.data.validation), rtol=1e-4, atol=1e-6
        )


def test_a_pack_continues_with_its_buffers_after_it_is_cut_and_restored():
    made = load(BatchNormBlobs(), torch.device("cpu"))
    batches = [batch(step) for step in range(4)]
    whole, begun, resumed = (PackedNetworks(made, SEEDS) for _ in range(3))
    trained(whole, batches)
    trained(begun, batches[:2])
    resumed.restore({name: value.clone() for name, value in begun.state().items()})
    trained(resumed, batches[2:])
    assert all(torch.equal(value, whole.state()[name]) for name, value in resumed.state().items())
    begun.keep(torch.tensor([0, 2]))
    trained(begun, [some[[0, 2]] for some in batches[2:]])
    for name, value in begun.state().items():
        torch.testing.assert_close(value, whole.state()[name][[0, 2]], rtol=1e-5, atol=1e-6)
    assert begun.state()["buffer 1.num_batches_tracked"].tolist() == [4, 4]


def test_gradients_in_parts_change_buffers_too():
    made = load(BatchNormBlobs(), torch.device("cpu"))
    networks = PackedNetworks(made, SEEDS)
    with torch.no_grad():
        networks.gradients(batch(0))
    assert networks.state()["buffer 1.num_batches_tracked"].tolist() == [1, 1, 1]
