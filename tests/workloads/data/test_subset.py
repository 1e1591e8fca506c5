import pytest
import torch

from workloads.classification import DigitsMLP
from workloads.data.digits import digits
from workloads.data.subset import kept_classes, subset
from workloads.errors import WorkloadError
from workloads.workload import Data, Examples

LABELS = torch.tensor([2, 0, 1, 1, 0, 2, 0, 1, 2, 0, 0, 0])


@pytest.fixture
def data():
    rows = torch.arange(len(LABELS), dtype=torch.float32)[:, None]
    return Data(train=Examples(rows, LABELS), validation=Examples(rows[:6], LABELS[:6]))


@pytest.mark.parametrize(
    ("images", "classes", "rows"),
    [
        (0.5, 3, [0, 1, 2, 3, 4, 5, 6]),  # 3 of six, 2 of three (half to even), 2 of three
        (1 / 3, 3, [0, 1, 2, 4]),
        (0.01, 3, [0, 1, 2]),
        (1.0, 2, [1, 2, 3, 4, 6, 7, 9, 10, 11]),
        (0.5, 2, [1, 2, 3, 4, 6]),
    ],
)
def test_a_part_is_the_first_images_of_the_first_classes(data, images, classes, rows):
    part = subset(data, images, classes)
    assert part.train.inputs[:, 0].tolist() == rows
    assert torch.equal(part.train.targets, LABELS[rows])
    assert part.validation.targets.tolist() == [n for n in LABELS[:6].tolist() if n < classes]


def test_everything_is_the_data_themselves(data):
    assert subset(data, 1.0, 3) is data


def test_smaller_parts_lie_within_larger_ones_and_stay_balanced():
    parts = [subset(digits(), fraction, 10).train for fraction in (0.1, 0.5, 0.9)]
    kept = [{tuple(image) for image in part.inputs.tolist()} for part in parts]
    assert kept[0] < kept[1] < kept[2]
    for part in parts:
        counts = part.targets.bincount(minlength=10)
        assert counts.max() - counts.min() <= 1 + len(part.targets) // 100


@pytest.mark.parametrize(
    ("fraction", "message"),
    [
        (0.25, r"whole number of the 10 classes, and at least 2, got 0\.25, which is 2\.5"),
        (0.1, "at least 2, got 0.1, which is 1 of them"),
        (0.0, r"`classes` must be a fraction in \(0, 1\], got 0"),
        (float("nan"), r"`classes` must be a fraction in \(0, 1\], got nan"),
        (2, r"`classes` must be a fraction in \(0, 1\], got 2"),
    ],
)
def test_a_fraction_that_is_no_number_of_classes_is_refused(fraction, message):
    with pytest.raises(WorkloadError, match=message):
        kept_classes(10, fraction)


@pytest.mark.parametrize("count", range(2, 11))
def test_every_tenth_is_a_number_of_classes(count):
    assert kept_classes(10, count / 10) == count


def test_no_images_are_refused(data):
    with pytest.raises(WorkloadError, match=r"`images` must be a fraction in \(0, 1\], got 0"):
        subset(data, 0, 3)


def test_a_workload_of_fewer_classes_has_as_many_logits():
    workload = DigitsMLP(images=0.2, classes=0.5, parameters=2050, depth=2)
    data, model = workload.data(), workload.model()
    assert model(data.train.inputs).shape == (len(data.train.inputs), 5)
    assert 2009 <= sum(p.numel() for p in model.parameters()) <= 2091
    assert set(data.validation.targets.tolist()) == set(range(5))
    assert len(data.train.inputs) < 150 < 200 < len(data.validation.inputs)
