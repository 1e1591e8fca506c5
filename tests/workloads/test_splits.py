import torch

from tests.blobs import Blobs
from workloads import Data, Examples
from workloads.splits import remarks


def test_sound_splits_need_no_remark():
    assert remarks(Blobs().data()) == []


def test_a_validation_set_that_is_trained_on_is_reported():
    train = Blobs().data().train
    assert remarks(Data(train=train, validation=train.rows(torch.arange(10)))) == [
        "10 of 10 validation examples have the inputs of training examples"
    ]


def test_a_label_without_training_examples_is_reported():
    data = Blobs().data()
    train = data.train.rows(torch.nonzero(data.train.targets != 2)[:, 0])
    assert remarks(Data(train=train, validation=data.validation)) == [
        "1 of 3 labels of the validation set are not in the training set, such as 2"
    ]


def test_counts_are_not_taken_for_labels():
    numbers, inputs = torch.arange(40), torch.rand(40, 2)
    train, validation = (Examples(inputs[at], numbers[at]) for at in (slice(30), slice(30, 40)))
    assert remarks(Data(train=train, validation=validation)) == []
