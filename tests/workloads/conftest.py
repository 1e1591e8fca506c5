"""Synthetic data of every kind, in the real formats, and options that make each workload small."""

import struct

import numpy as np
import pytest

_SMALL = {
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


@pytest.fixture
def small():
    """Return options by workload; workloads without any are already small."""
    return _SMALL


def of_class(labels, shape, rng):
    """Return noisy images of a coarse pattern for each class, (images, channels, side, side)."""
    channels, side = shape
    patterns = np.random.default_rng(1).integers(0, 220, size=(10, channels, 4, 4))
    large = np.kron(patterns[labels], np.ones((1, 1, side // 4, side // 4)))
    return (large + rng.integers(0, 30, size=large.shape)).astype(np.uint8)


@pytest.fixture(scope="session")
def made_data(tmp_path_factory):
    """Return a folder of synthetic data of every kind, in the real formats."""
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
def on_made_data(made_data, monkeypatch):
    """Let workloads find the synthetic data."""
    monkeypatch.setenv("BATCHSCALE_DATA", str(made_data))
