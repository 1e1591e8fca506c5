"""Cross-entropy in few operations is torch's."""

import pytest
import torch
from torch import nn
from torch.func import grad_and_value, vmap
from torch.nn import functional

from study.engine.networks.cross_entropy import FewOperations
from study.engine.networks.looped import LoopedNetwork
from study.engine.networks.packed import PackedNetworks
from study.engine.networks.tracing import trace
from study.engine.networks.training import load
from tests.blobs import Blobs
from tests.study.engine.networks.test_noise import SEEDS, batch, trained

LANES, EXAMPLES, CLASSES = 3, 7, 5
RANDOM = torch.Generator().manual_seed(0)
LOGITS = 3 * torch.randn(LANES, EXAMPLES, CLASSES, generator=RANDOM)
TARGETS = torch.randint(CLASSES, (LANES, EXAMPLES), generator=RANDOM)
WEIGHT = torch.arange(1.0, CLASSES + 1)


def with_a_penalty(logits, targets):
    """Return the loss with the square of its gradient, whose own gradient is of second order."""
    own = grad_and_value(lambda given: functional.cross_entropy(given, targets))
    slopes, loss = own(logits)
    return loss + 10 * slopes.square().sum()


LOSSES = {
    "plain": functional.cross_entropy,
    "module": nn.CrossEntropyLoss(),
    "scaled": lambda logits, targets: 3 * functional.cross_entropy(logits, targets) + 1,
    "twice": lambda logits, targets: sum(
        functional.cross_entropy(x, targets) for x in (logits, -logits)
    ),
}
OTHERS = {
    "penalty": with_a_penalty,
    "sum": nn.CrossEntropyLoss(reduction="sum"),
    "weighted": nn.CrossEntropyLoss(weight=WEIGHT),
    "smoothed": nn.CrossEntropyLoss(label_smoothing=0.1),
    "class left out": nn.CrossEntropyLoss(ignore_index=2),
    "by keywords": lambda logits, targets: functional.cross_entropy(target=targets, input=logits),
    "of copies": lambda logits, targets: functional.cross_entropy(logits, targets.clone()),
}


def of_lanes(loss, *, few):
    """Return gradients and losses of all lanes."""

    def computed(logits, targets):
        with FewOperations([targets] if few else []):
            return loss(logits, targets)

    return vmap(grad_and_value(computed))


@pytest.mark.parametrize("loss", [*LOSSES.values(), *OTHERS.values()], ids=[*LOSSES, *OTHERS])
def test_it_is_torchs_own(loss):
    few = trace(of_lanes(loss, few=True), (LOGITS, TARGETS))(LOGITS, TARGETS)
    for found, expected in zip(few, of_lanes(loss, few=False)(LOGITS, TARGETS), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
def test_it_takes_few_operations(loss):
    counts = [
        len(trace(of_lanes(loss, few=few), (LOGITS, TARGETS)).graph.nodes) for few in (True, False)
    ]
    assert counts[0] < 0.6 * counts[1]


class LeftOut(Blobs):
    """Some training examples are left out of the loss."""

    def data(self):
        data = super().data()
        data.train.targets[::3] = -100
        return data


class LeftOutLate(Blobs):
    """The loss leaves some examples out, where they lie."""

    def loss(self, model, batch):
        if model.training:
            batch.targets.masked_fill_(batch.inputs[:, 0] > 0, -100)
        return functional.cross_entropy(model(batch.inputs), batch.targets)


@pytest.mark.parametrize("workload", [Blobs, LeftOut, LeftOutLate])
def test_examples_left_out_are_left_out(workload):
    made = load(workload(), torch.device("cpu"))
    batches = [batch(step) for step in range(3)]
    together = trained(PackedNetworks(made, SEEDS), batches)
    for lane, seed in enumerate(SEEDS):
        alone = trained(LoopedNetwork(made, seed), [some[[lane]] for some in batches])
        torch.testing.assert_close(together[[lane]], alone, rtol=1e-4, atol=1e-6)
