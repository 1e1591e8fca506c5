import pytest
import torch
from torch import nn
from torch.func import vmap

from workloads.builtin.classification import DigitsMLP, cross_entropy
from workloads.workload import Examples

CLASSES = 5


@pytest.fixture
def logits_and_labels():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(7, CLASSES, generator=generator)
    return logits, torch.arange(7) % CLASSES


def loss_of(logits, labels, *smoothing):
    return cross_entropy(lambda inputs: inputs, Examples(logits, labels), *smoothing)


def test_no_smoothing_is_plain_cross_entropy_to_the_last_bit(logits_and_labels):
    assert torch.equal(loss_of(*logits_and_labels), nn.functional.cross_entropy(*logits_and_labels))


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.9])
def test_smoothing_equals_torchs(logits_and_labels, smoothing):
    expected = nn.functional.cross_entropy(*logits_and_labels, label_smoothing=smoothing)
    torch.testing.assert_close(loss_of(*logits_and_labels, torch.tensor(smoothing)), expected)


def test_smoothing_in_the_convention_of_shallue_converts(logits_and_labels):
    """On-value 1 - s', off-value s' / (K - 1), is torch's s = s' K / (K - 1)."""
    logits, labels = logits_and_labels
    theirs = 0.2
    soft = torch.full_like(logits, theirs / (CLASSES - 1))
    soft[torch.arange(7), labels] = 1 - theirs
    expected = nn.functional.cross_entropy(logits, soft)
    ours = torch.tensor(theirs * CLASSES / (CLASSES - 1))
    torch.testing.assert_close(loss_of(logits, labels, ours), expected)


def test_every_lane_may_have_its_own_smoothing(logits_and_labels):
    logits, labels = logits_and_labels
    values = torch.tensor([0.0, 0.3])
    together = vmap(loss_of, in_dims=(None, None, 0))(logits, labels, values)
    apart = torch.stack([loss_of(logits, labels, value) for value in values])
    torch.testing.assert_close(together, apart)


def test_dropout_adds_layers_and_draws_the_same_network():
    torch.manual_seed(0)
    plain = DigitsMLP().model()
    torch.manual_seed(0)
    dropping = DigitsMLP(dropout=0.4).model()
    assert [m.p for m in dropping if isinstance(m, nn.Dropout)] == [0.4]
    assert not any(isinstance(m, nn.Dropout) for m in plain)
    for one, other in zip(plain.parameters(), dropping.parameters(), strict=True):
        assert torch.equal(one, other)
