import torch

from workloads.data.digits import digits


def test_the_split_is_fixed_balanced_and_scaled():
    data = digits()
    assert len(data.train.inputs) == 1347
    assert len(data.validation.inputs) == 450
    assert 0 <= data.train.inputs.min() < data.train.inputs.max() == 1
    counts = torch.bincount(data.validation.targets)
    assert counts.min() >= 43
    assert counts.max() <= 47


def test_no_image_is_in_both_splits():
    data = digits()
    train = {tuple(row) for row in data.train.inputs.tolist()}
    assert not train & {tuple(row) for row in data.validation.inputs.tolist()}


def test_the_split_is_the_same_everywhere():
    """A change here changes every result on the digits; say so in the changelog."""
    data = digits()
    assert data.train.targets[:12].tolist() == [7, 3, 6, 6, 7, 6, 7, 9, 2, 9, 0, 9]
    assert data.validation.targets[:12].tolist() == [2, 0, 4, 9, 4, 1, 2, 4, 6, 7, 9, 1]
