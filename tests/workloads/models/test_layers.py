import pytest
import torch
from torch import nn

from workloads.errors import WorkloadError
from workloads.models.layers import GhostBatchNorm2d, normalization


def images(count, channels=3):
    return torch.randn(count, channels, 2, 2, generator=torch.Generator().manual_seed(count))


def normed(ghost, count):
    """Return a trained-on layer, and what came out."""
    layer = GhostBatchNorm2d(3, ghost).train()
    return layer, layer(images(count))


@pytest.mark.parametrize("count", [1, 5, 8])
def test_one_ghost_batch_is_batch_norm(count):
    layer, outputs = normed(8, count)
    plain = nn.BatchNorm2d(3).train()
    torch.testing.assert_close(outputs, plain(images(count)))
    for name, buffer in plain.named_buffers():
        torch.testing.assert_close(layer.get_buffer(name), buffer)


def test_ghost_batches_do_not_see_each_other():
    _, outputs = normed(4, 8)
    for part in (slice(0, 4), slice(4, 8)):
        torch.testing.assert_close(outputs[part], nn.BatchNorm2d(3).train()(images(8)[part]))


@pytest.mark.parametrize(
    ("ghost", "count", "sizes"),
    [(64, 65, [33, 32]), (4, 10, [4, 3, 3]), (64, 128, [64, 64]), (1, 3, [1, 1, 1])],
)
def test_a_batch_is_split_evenly_and_in_order(ghost, count, sizes):
    _, outputs = normed(ghost, count)
    for part, given in zip(outputs.split(sizes), images(count).split(sizes), strict=True):
        torch.testing.assert_close(part, nn.BatchNorm2d(3).train()(given))


def test_the_running_averages_take_one_step_toward_the_mean_over_ghost_batches():
    layer, _ = normed(4, 10)
    parts = images(10).split([4, 3, 3])
    shares = torch.tensor([0.4, 0.3, 0.3])[:, None]
    means = torch.stack([part.mean(dim=(0, 2, 3)) for part in parts])
    variances = torch.stack([part.var(dim=(0, 2, 3)) for part in parts])
    torch.testing.assert_close(layer.running_mean, 0.1 * (shares * means).sum(0))
    torch.testing.assert_close(layer.running_var, 0.9 + 0.1 * (shares * variances).sum(0))
    assert layer.num_batches_tracked == 1


def test_evaluation_uses_the_running_averages_whatever_the_batch():
    layer, _ = normed(4, 10)
    layer.eval()
    whole = layer(images(20))
    torch.testing.assert_close(torch.cat([layer(part) for part in images(20).split(7)]), whole)


def test_gradients_flow_through_every_ghost_batch():
    layer = GhostBatchNorm2d(3, 4).train()
    given = images(10).requires_grad_()
    (layer(given) ** 3).sum().backward()
    assert (given.grad.flatten(1).abs().sum(1) > 0).all()
    assert (layer.weight.grad != 0).all()


@pytest.mark.parametrize(
    ("norm", "ghost", "message"),
    [("group", 64, "`norm` must be one of none, batch, ghost, got 'group'"), ("ghost", 0, "got 0")],
)
def test_an_unknown_norm_or_size_is_refused(norm, ghost, message):
    with pytest.raises(WorkloadError, match=message):
        normalization(norm, ghost)(3)
