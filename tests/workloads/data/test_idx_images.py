"""Synthetic files in the real format; the real images if Debian's package is installed."""

import gzip
import io
import re
import struct
import sys
from functools import cache

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from workloads.data import hub
from workloads.data.idx_images import FASHION_MNIST, MNIST, fashion_mnist
from workloads.data.image_pixels import read_pixels
from workloads.errors import WorkloadError

DEBIAN_FOLDER = FASHION_MNIST.package

IMAGES, LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Return a folder of 60,000 synthetic images; each pixel is 25 times the label."""
    folder = tmp_path_factory.mktemp("data") / "fashion-mnist"
    folder.mkdir()
    labels = (np.arange(60_000) % 10).astype(np.uint8)
    images = np.repeat(labels * 25, 28 * 28).astype(np.uint8)
    header = bytes([0, 0, 8, 3]) + struct.pack(">3I", 60_000, 28, 28)
    (folder / IMAGES).write_bytes(header + images.tobytes())
    (folder / LABELS).write_bytes(
        bytes([0, 0, 8, 1]) + struct.pack(">I", 60_000) + labels.tobytes()
    )
    return folder


@pytest.mark.parametrize("pool", [1, 2])
def test_images_are_split_scaled_and_pooled(made, pool):
    data = fashion_mnist(str(made), pool, download=False)
    assert data.train.inputs.shape == (55_000, (28 // pool) ** 2)
    assert data.validation.inputs.shape == (5_000, (28 // pool) ** 2)
    expected = data.validation.targets.to(torch.float32) * 25 / 255
    torch.testing.assert_close(data.validation.inputs[:, 0], expected)


@pytest.mark.parametrize("below", [False, True])
def test_the_environment_gives_the_folder_or_its_parent(made, monkeypatch, below):
    monkeypatch.setenv("BATCHSCALE_DATA", str(made.parent if below else made))
    assert len(fashion_mnist(None, 2, download=False).train.inputs) == 55_000


def test_a_message_about_missing_files_has_every_place_and_remedy(tmp_path, monkeypatch):
    monkeypatch.setenv("BATCHSCALE_DATA", str(tmp_path))
    places = f"got none in {tmp_path}/fashion-mnist, {tmp_path}; "
    with pytest.raises(WorkloadError, match=re.escape(places)) as told:
        fashion_mnist(None, 2, download=False)
    for remedy in ("--data-dir or BATCHSCALE_DATA", "dataset-fashion-mnist", "download = true"):
        assert remedy in str(told.value)


def test_only_the_requested_folder_is_searched(made, tmp_path, monkeypatch):
    monkeypatch.setenv("BATCHSCALE_DATA", str(made))
    with pytest.raises(WorkloadError, match=f"got none in {re.escape(str(tmp_path))};"):
        fashion_mnist(str(tmp_path), 2, download=False)


def test_images_without_labels_are_refused(made, tmp_path):
    (tmp_path / IMAGES).symlink_to(made / IMAGES)
    with pytest.raises(WorkloadError, match="labels-idx1-ubyte.*beside the images"):
        fashion_mnist(str(tmp_path), 2, download=False)


def test_other_idx_files_are_refused(tmp_path):
    (tmp_path / IMAGES).write_bytes(bytes([0, 0, 8, 3]) + struct.pack(">3I", 1, 1, 1) + b"x")
    (tmp_path / LABELS).write_bytes(bytes([0, 0, 8, 1]) + struct.pack(">I", 1) + b"x")
    with pytest.raises(WorkloadError, match=r"60,000 images of 28x28 pixels, got images \(1, 1, 1"):
        fashion_mnist(str(tmp_path), 2, download=False)


def with_labels(made, folder, labels, name=LABELS):
    """Put the synthetic images into a folder with other labels."""
    if not (folder / IMAGES).exists():
        (folder / IMAGES).symlink_to(made / IMAGES)
    header = bytes([0, 0, 8, 1]) + struct.pack(">I", len(labels))
    content = header + bytes(labels)
    (folder / name).write_bytes(gzip.compress(content, 1) if name.endswith(".gz") else content)


MNIST_LABELS = [5, 0, 4, 1, 9, 2, 1, 3, 1, 4, 3, 5, 3, 6, 1, 7, 2, 8, 6, 9]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0, 1] * 29_999 + [3, 10], "labels must lie from 0 to 9, got 10 in Fashion-MNIST"),
        ([0] * 10_000, r"got images \(60000, 28, 28\) and labels \(10000,\)"),
        (MNIST_LABELS * 3_000, "must have files of its own, got the labels of MNIST"),
    ],
)
def test_labels_of_another_set_are_refused(made, tmp_path, labels, message):
    with_labels(made, tmp_path, labels)
    with pytest.raises(WorkloadError, match=message):
        fashion_mnist(str(tmp_path), 2, download=False)


def test_a_compressed_file_must_equal_the_plain_one_beside_it(made, tmp_path):
    labels = [*range(10)] * 6_000
    for name in (LABELS, f"{LABELS}.gz"):
        with_labels(made, tmp_path, labels, name)
    assert len(fashion_mnist(str(tmp_path), 2, download=False).train.inputs) == 55_000
    with_labels(made, tmp_path, labels[::-1])
    with pytest.raises(WorkloadError, match="must hold the same.*delete the one that is out of"):
        fashion_mnist(str(tmp_path), 2, download=False)


@pytest.mark.skipif(not DEBIAN_FOLDER.is_dir(), reason="package dataset-fashion-mnist is missing")
def test_fashion_in_the_folder_of_mnist_is_refused():
    with pytest.raises(WorkloadError, match="MNIST must have .* got the labels of Fashion-MNIST"):
        MNIST.read(str(DEBIAN_FOLDER), download=False)


def test_a_pool_that_does_not_divide_is_refused():
    with pytest.raises(WorkloadError, match="`pool` must be 1 or 2, got 3"):
        fashion_mnist(None, 3, download=False)


def test_downloading_without_the_extra_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(WorkloadError, match=r"pip install 'batchscale\[hub\]'"):
        fashion_mnist(str(tmp_path), 2, download=True)


def test_downloading_offline_says_what_else_to_do(tmp_path, on_the_hub):
    on_the_hub(ConnectionError("no route"))
    with pytest.raises(WorkloadError, match="ConnectionError: no route; connect, or give"):
        fashion_mnist(str(tmp_path), 2, download=True)


def test_the_hubs_format_is_read(tmp_path, monkeypatch, on_the_hub):
    encoded = []
    for label in range(10):
        file = io.BytesIO()
        Image.fromarray(np.full((28, 28), label * 25, dtype=np.uint8)).save(file, format="PNG")
        encoded.append({"bytes": file.getvalue(), "path": None})
    rows = {"image": encoded * 6000, "label": list(range(10)) * 6000}
    pq.write_table(pa.table(rows), tmp_path / "train.parquet")

    asked = on_the_hub(tmp_path / "train.parquet")
    # ten pictures 6,000 times: each is decoded once
    decoded = cache(lambda content: read_pixels(io.BytesIO(content), "made"))
    monkeypatch.setattr(hub, "read_pixels", lambda source, _: decoded(source.getvalue()))
    data = fashion_mnist(str(tmp_path / "none"), 2, download=True)
    torch.testing.assert_close(data.train.inputs[:10, 0], torch.arange(10) * 25 / 255)
    assert {repository for repository, _, _ in asked} == {FASHION_MNIST.hub.repository}


@pytest.mark.skipif(not DEBIAN_FOLDER.is_dir(), reason="package dataset-fashion-mnist is missing")
def test_the_real_images_are_there_and_balanced(monkeypatch):
    monkeypatch.delenv("BATCHSCALE_DATA", raising=False)
    data = fashion_mnist(None, 2, download=False)
    assert torch.bincount(data.train.targets).min() > 5_400
    assert float(data.train.inputs.mean()) == pytest.approx(0.286, abs=2e-3)
