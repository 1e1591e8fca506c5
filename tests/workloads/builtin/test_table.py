"""The contract of every built-in workload, made small, on installed or synthetic data."""

import pytest

from study.planning import admission
from workloads import contract
from workloads.builtin.table import BUILTIN
from workloads.data.idx_images import TRAIN
from workloads.errors import WorkloadError
from workloads.registry import resolve
from workloads.testing import check
from workloads.workload import Dynamics

STEPS = {"cifar10-resnet50": 15, "cifar10-alexnet": 60}
"""Training steps in the contract that are not 20."""

VARIANTS = [
    ("digits-resnet8", {"norm": "batch"}),
    ("mnist-simple-cnn", {"width": "narrow", "dropout": 0.4, "classes": 0.2, "images": 200}),
    ("cifar10-resnet8", {"norm": "ghost", "ghost": 16}),
    ("cifar10-vgg11", {"width": 4, "dropout": 0.0}),
    ("cifar10-alexnet", {"width": 6, "dropout": 0.0}),
]


@pytest.fixture
def broken(on_made_data, small, monkeypatch):
    """Return a function of the clauses that a workload breaks, and of how it can be trained."""

    def check_quickly(name):
        monkeypatch.setattr(contract, "_TRAINING_STEPS", STEPS.get(name, 20))
        workload = resolve(name, small.get(name, {}))
        found = list(check(workload))
        how = None if isinstance(workload, Dynamics) else admission.clause(workload).detail
        return [clause for clause in found if not clause.passed], how

    return check_quickly


EXPENSIVE = (
    *("cifar10-alexnet", "cifar10-alexnet-bn", "cifar10-resnet50", "cifar10-vgg11"),
    "fashion-mnist-simple-cnn",  # the class of mnist-simple-cnn, on other images
)


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.long] if name in EXPENSIVE else []) for name in BUILTIN],
)
def test_every_built_in_workload_fulfills_its_contract(broken, name):
    clauses, how = broken(name)
    assert clauses == []
    assert how == (None if name == "noisy-quadratic" else "packed")


@pytest.mark.parametrize(
    ("name", "options"),
    [
        pytest.param(*variant, marks=[pytest.mark.long] * variant[0].startswith("cifar10"))
        for variant in VARIANTS
    ],
)
def test_variants_are_packed(on_made_data, name, options):
    assert admission.clause(resolve(name, options)).detail == "packed"


@pytest.mark.parametrize("name", ["mnist-mlp", "mnist-simple-cnn", "fashion-mnist-simple-cnn"])
def test_mnist_and_fashion_mnist_are_split_as_in_the_paper(on_made_data, name):
    data = resolve(name).data()
    assert data.train.inputs.shape == (TRAIN, 1, 28, 28)
    assert data.validation.inputs.shape == (5_000, 1, 28, 28)


def test_fewer_classes_make_fewer_logits(on_made_data):
    workload = resolve("cifar10-resnet8", {"classes": 0.5})
    assert set(workload.data().train.targets.tolist()) == set(range(5))
    assert workload.model()(workload.data().train.inputs[:2]).shape == (2, 5)


@pytest.mark.parametrize("name", [n for n in BUILTIN if n.startswith(("mnist", "cifar", "image"))])
def test_a_workload_without_its_files_names_them(tmp_path, monkeypatch, name):
    monkeypatch.setenv("BATCHSCALE_DATA", str(tmp_path))
    with pytest.raises(WorkloadError, match=str(tmp_path)):
        resolve(name).data()


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("digits-resnet8", {"norm": "layer"}, "`norm` must be one of none, batch, ghost"),
        (
            "cifar10-resnet8",
            {"norm": "ghost", "ghost": 0},
            "`ghost` must be an integer of at least 1",
        ),
        ("mnist-simple-cnn", {"width": "huge"}, "`width` must be one of narrow, base, wide"),
        ("mnist-mlp", {"classes": 11}, "`classes` must be a fraction"),
        ("image-folder", {"model": "resnet51"}, "`model` must be one of simple-cnn, resnet8"),
        ("text-transformer", {"width": 30}, "multiple of `heads`, got 30 and 4"),
        ("text-lstm", {"layers": 0}, "`layers` must be an integer of at least 1, got 0"),
    ],
)
def test_a_wrong_option_is_refused_before_data_are_read(name, options, message):
    with pytest.raises(WorkloadError, match=message):
        resolve(name, options)


def test_an_image_folder_without_a_place_is_refused(monkeypatch):
    monkeypatch.delenv("BATCHSCALE_DATA", raising=False)
    with pytest.raises(WorkloadError, match="`folder` must be an absolute path, or one in"):
        resolve("image-folder").data()
