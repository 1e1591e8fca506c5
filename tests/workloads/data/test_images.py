import numpy as np
import pytest
import torch

from workloads.data.images import resolve_amount, split, subset
from workloads.errors import WorkloadError


def data():
    labels = np.arange(50) % 10
    return split(np.arange(50, dtype=np.uint8).reshape(50, 1, 1, 1), labels, 40)


@pytest.mark.parametrize("images", [0.5, 20])
def test_a_part_of_the_images_is_the_same_on_every_call(images):
    kept = subset(data(), images=images)
    assert len(kept.train.inputs) == 20
    assert torch.equal(kept.train.inputs, subset(data(), images=images).train.inputs)
    assert (kept.train.inputs.flatten() % 10).tolist() == kept.train.targets.tolist()
    assert len(kept.validation.inputs) == 10


def test_a_smaller_sample_is_part_of_a_larger_one():
    few, more = (set(subset(data(), images=n).train.inputs.flatten().tolist()) for n in (5, 20))
    assert few < more


@pytest.mark.parametrize("classes", [0.5, 5])
def test_some_classes_are_the_first_in_both_splits(classes):
    kept = subset(data(), classes=classes)
    assert (
        set(kept.train.targets.tolist()) == set(kept.validation.targets.tolist()) == set(range(5))
    )
    assert len(kept.train.inputs) == 20


def test_a_fraction_of_images_is_taken_from_the_kept_classes():
    assert len(subset(data(), images=0.5, classes=0.5).train.inputs) == 10


def test_all_images_and_classes_give_the_same_object():
    whole = data()
    assert subset(whole) is whole


@pytest.mark.parametrize("asked", [0, -1, 41, 2.5, float("nan")])
def test_an_amount_must_be_a_fraction_or_an_available_number(asked):
    with pytest.raises(WorkloadError, match="`images` must be a fraction .* from 2 to 40, got"):
        resolve_amount("images", asked, 40)


def test_a_fraction_is_rounded_up():
    assert resolve_amount("classes", 0.01, 10) == 1
    assert resolve_amount("classes", 0.31, 10) == 4
