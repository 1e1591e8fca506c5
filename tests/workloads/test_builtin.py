"""The contract of every built-in workload, small, on data that ship or on made files."""

import struct

import numpy as np
import pytest

from workloads import contract
from workloads.builtin import BUILTIN
from workloads.data.idx_images import TRAIN
from workloads.errors import WorkloadError
from workloads.registry import resolve
from workloads.testing import check

SMALL = {
    "digits-cnn": {"filters": [2, 4], "hidden": 8},
    "mnist-mlp": {"hidden": [8], "classes": 0.2, "images": 200},
    "mnist-simple-cnn": {"width": "narrow", "classes": 0.2, "images": 200},
    "fashion-mnist-simple-cnn": {"width": "narrow", "classes": 0.2, "images": 200},
    "cifar10-alexnet": {"width": 6},
    "cifar10-alexnet-bn": {"width": 6},
    "cifar10-vgg11": {"width": 4},
    "cifar10-resnet50": {"width": 4},
    "image-folder": {"model": "resnet8", "size": 16},
    "text-transformer": {"context": 16, "width": 16, "layers": 1},
    "text-lstm": {"context": 8, "width": 16},
}
"""Options that make a workload small; the others are small as they are."""

STEPS = {
    "mnist-simple-cnn": 20,
    "fashion-mnist-simple-cnn": 20,
    "cifar10-resnet8": 20,
    "cifar10-resnet50": 15,
    "cifar10-alexnet": 60,
    "cifar10-alexnet-bn": 20,
}
"""Of training in the contract: fewer where each is dear."""

LOOPED = {
    "cifar10-alexnet": "random",
    "cifar10-alexnet-bn": "running_mean",
    "cifar10-vgg11": "random",
    "cifar10-resnet50": "running_mean",
}
"""Part of the reason why lanes of a workload are not packed."""

VARIANTS = [
    ("digits-resnet8", {"norm": "batch"}, "running_mean"),
    ("digits-resnet8", {"norm": "ghost", "ghost": 8}, "running_mean"),
    (
        "mnist-simple-cnn",
        {"width": "narrow", "dropout": 0.4, "classes": 0.2, "images": 200},
        "random",
    ),
    ("cifar10-resnet8", {"norm": "ghost", "ghost": 16}, "running_mean"),
    ("cifar10-vgg11", {"width": 4, "dropout": 0.0}, None),
    ("cifar10-alexnet", {"width": 6, "dropout": 0.0}, None),
]


def of_class(labels, shape, rng):
    """Gives noisy images of a coarse pattern for each class, (images, channels, side, side)."""
    channels, side = shape
    patterns = np.random.default_rng(1).integers(0, 220, size=(10, channels, 4, 4))
    large = np.kron(patterns[labels], np.ones((1, 1, side // 4, side // 4)))
    return (large + rng.integers(0, 30, size=large.shape)).astype(np.uint8)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Gives a folder of made data of every kind, in the true formats."""
    folder, rng = tmp_path_factory.mktemp("data"), np.random.default_rng(0)
    for name in ("mnist", "fashion-mnist"):
        (folder / name).mkdir()
        labels = (np.arange(60_000) % 10).astype(np.uint8)
        images = np.tile(of_class(labels[:1000], (1, 28), rng).reshape(-1), 60)
        header = bytes([0, 0, 8, 3]) + struct.pack(">3I", 60_000, 28, 28)
        (folder / name / "train-images-idx3-ubyte").write_bytes(header + images.tobytes())
        header = bytes([0, 0, 8, 1]) + struct.pack(">I", 60_000)
        (folder / name / "train-labels-idx1-ubyte").write_bytes(header + labels.tobytes())
    (folder / "cifar-10-batches-bin").mkdir()
    for number in range(1, 6):
        labels = (np.arange(40) % 10).astype(np.uint8)
        pixels = of_class(labels, (3, 32), rng).reshape(40, -1)
        records = np.concatenate([labels[:, None], pixels], axis=1)
        (folder / "cifar-10-batches-bin" / f"data_batch_{number}.bin").write_bytes(
            records.tobytes()
        )
    for label in range(4):
        (folder / "images" / str(label)).mkdir(parents=True)
        for number, pixels in enumerate(of_class(np.full(20, label), (1, 16), rng)):
            path = folder / "images" / str(label) / f"{number:02}.pgm"
            path.write_bytes(b"P5 16 16 255\n" + pixels.tobytes())
    return folder


@pytest.fixture
def on_made_data(made, monkeypatch):
    """Takes the made data."""
    monkeypatch.setenv("BATCHSCALE_DATA", str(made))


@pytest.fixture
def broken(on_made_data, monkeypatch):
    """Gives the clauses that a workload breaks in few steps, and how it can be trained."""

    def check_quickly(name, options):
        monkeypatch.setattr(contract, "_TRAINING_STEPS", STEPS.get(name, 100))
        found = {clause.name: clause for clause in check(resolve(name, options))}
        how = found.get("packed equals looped")
        return [c for c in found.values() if not c.passed], how.detail if how else None

    return check_quickly


@pytest.mark.parametrize("name", BUILTIN)
def test_every_built_in_workload_keeps_its_contract(broken, name):
    clauses, how = broken(name, SMALL.get(name, {}))
    assert clauses == []
    if name in LOOPED:
        assert how.startswith("looped: ")
        assert LOOPED[name] in how
    else:
        assert how == (None if name == "noisy-quadratic" else "packed")


@pytest.mark.parametrize(("name", "options", "reason"), VARIANTS)
def test_variants_can_be_packed_or_say_why_not(on_made_data, name, options, reason):
    how = contract.packed_equals_looped(resolve(name, options))
    assert how == "packed" if reason is None else reason in how


@pytest.mark.parametrize("name", ["mnist-mlp", "mnist-simple-cnn", "fashion-mnist-simple-cnn"])
def test_mnist_and_its_kin_are_split_as_in_the_paper(on_made_data, name):
    data = resolve(name).data()
    assert data.train.inputs.shape == (TRAIN, 1, 28, 28)
    assert data.validation.inputs.shape == (5_000, 1, 28, 28)


def test_fewer_classes_make_fewer_logits(on_made_data):
    workload = resolve("cifar10-resnet8", {"classes": 0.5})
    assert set(workload.data().train.targets.tolist()) == set(range(5))
    assert workload.model()(workload.data().train.inputs[:2]).shape == (2, 5)


@pytest.mark.parametrize("name", [n for n in BUILTIN if n.startswith(("mnist", "cifar", "image"))])
def test_without_its_files_a_workload_says_what_it_needs(tmp_path, monkeypatch, name):
    monkeypatch.setenv("BATCHSCALE_DATA", str(tmp_path))
    with pytest.raises(WorkloadError, match=str(tmp_path)):
        resolve(name).data()


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("digits-resnet8", {"norm": "layer"}, "`norm` must be one of none, batch, ghost"),
        ("cifar10-resnet8", {"norm": "ghost", "ghost": 0}, "`ghost` must be at least 1"),
        ("mnist-simple-cnn", {"width": "huge"}, "`width` must be one of narrow, base, wide"),
        ("mnist-mlp", {"classes": 11}, "`classes` must be a fraction"),
        ("image-folder", {"model": "resnet51"}, "`model` must be one of simple-cnn, resnet8"),
        ("text-transformer", {"width": 30}, "multiple of `heads`, got 30 and 4"),
        ("text-lstm", {"layers": 0}, "`layers` must be at least 1, got 0"),
    ],
)
def test_a_wrong_option_is_told_before_data_are_read(name, options, message):
    with pytest.raises(WorkloadError, match=message):
        resolve(name, options)


def test_an_image_folder_without_a_place_is_refused(monkeypatch):
    monkeypatch.delenv("BATCHSCALE_DATA", raising=False)
    with pytest.raises(WorkloadError, match="`folder` must be an absolute path, or one in"):
        resolve("image-folder").data()
