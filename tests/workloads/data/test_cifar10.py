"""Synthetic files in both of the real formats."""

import contextlib
import io
import pickle
import re
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from workloads.data.cifar10 import cifar10
from workloads.errors import WorkloadError

PER_FILE = 4


def batches(per_file=PER_FILE):
    """Return five different batches of images (images, 3072) and labels."""
    pixels = np.arange(5 * per_file * 3072, dtype=np.uint32) * 7 % 251
    images = pixels.astype(np.uint8).reshape(5, per_file, 3072)
    return images, (np.arange(5 * per_file) % 10).astype(np.uint8).reshape(5, per_file)


def write_binary(folder):
    for number, (images, labels) in enumerate(zip(*batches(), strict=True), start=1):
        records = np.concatenate([labels[:, None], images], axis=1)
        (folder / f"data_batch_{number}.bin").write_bytes(records.tobytes())


def write_pickled(folder):
    """Write pickles as Python 2 does: protocol 2, names of numpy 1, strings as bytes."""
    for number, (images, labels) in enumerate(zip(*batches(), strict=True), start=1):
        batch = {
            b"data": images,
            b"labels": labels.tolist(),
            b"batch_label": b"training batch",
            b"filenames": [b"one.png"],
        }
        written = pickle.dumps(batch, protocol=2)
        written = written.replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
        (folder / f"data_batch_{number}").write_bytes(written)


FORMS = {"cifar-10-batches-bin": write_binary, "cifar-10-batches-py": write_pickled}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("below", [True, False])
def test_both_forms_give_the_same_images(place, form, below):
    folder = place / form if below else place
    folder.mkdir(exist_ok=True)
    FORMS[form](folder)
    data = cifar10(download=False)
    images, labels = (torch.from_numpy(np.concatenate(arrays)) for arrays in batches())
    images = images.view(-1, 3, 32, 32)
    assert torch.equal(data.train.inputs, images[:18])
    assert torch.equal(data.validation.inputs, images[18:])
    assert data.train.targets.tolist() + data.validation.targets.tolist() == labels.tolist()


def test_a_message_about_missing_files_has_every_place_and_remedy(place):
    with pytest.raises(WorkloadError, match="cifar-10-batches-py.*--data-dir.*download = true"):
        cifar10(download=False)


def test_no_folder_is_reported(monkeypatch):
    monkeypatch.delenv("BATCHSCALE_DATA", raising=False)
    with pytest.raises(WorkloadError, match="got no BATCHSCALE_DATA; give"):
        cifar10(download=False)


def test_a_missing_batch_is_named(place):
    write_binary(place)
    (place / "data_batch_3.bin").unlink()
    with pytest.raises(WorkloadError, match=r"got no data_batch_3\.bin in"):
        cifar10(download=False)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("data_batch_2.bin", b"x" * 3072, "records of 3,073 bytes, got 3,072 bytes"),
        ("data_batch_2.bin", b"", "got 0 bytes"),
        ("data_batch_2.bin", b"\x0a" * 3073, "labels must lie from 0 to 9, got 10"),
        ("data_batch_2", pickle.dumps({"data": 3}, 2), "as many labels, got data in"),
        ("data_batch_2", pickle.dumps([3], 2), "as many labels, got neither in"),
        (
            "data_batch_2",
            pickle.dumps({"data": np.zeros((2, 3072), np.uint8), "labels": [1]}, 2),
            "as many labels",
        ),
        ("data_batch_2", b"no pickle", "must be whole and hold arrays"),
    ],
)
def test_incomplete_files_are_refused(place, name, content, message):
    (write_binary if name.endswith(".bin") else write_pickled)(place)
    (place / name).write_bytes(content)
    with pytest.raises(WorkloadError, match=message):
        cifar10(download=False)


LABELS = [[0, -1], [0, 256], [0, 2**70], [0, 1.5], [0, "1"], [0, [1]], [0, True], [0, None]]


@pytest.mark.parametrize("labels", LABELS, ids=str)
def test_invalid_labels_are_refused(place, labels):
    write_pickled(place)
    images = np.zeros((2, 3072), np.uint8)
    content = pickle.dumps({"data": images, "labels": labels}, 2)
    (place / "data_batch_1").write_bytes(content.replace(b"numpy._core", b"numpy.core"))
    with pytest.raises(WorkloadError, match="labels.*data_batch_1; fetch it again"):
        cifar10(download=False)


def test_truncated_or_duplicate_batches_are_refused(place):
    write_binary(place)
    second = (place / "data_batch_2.bin").read_bytes()
    (place / "data_batch_2.bin").write_bytes(second[:-3073])
    with pytest.raises(WorkloadError, match=r"same number of images, got 4 in .*bin and 3 in"):
        cifar10(download=False)
    (place / "data_batch_2.bin").write_bytes((place / "data_batch_5.bin").read_bytes())
    with pytest.raises(WorkloadError, match=r"must differ, got the same images in .*_2\.bin and"):
        cifar10(download=False)


def test_two_forms_in_one_folder_are_refused(place):
    write_binary(place)
    write_pickled(place)
    with pytest.raises(WorkloadError, match="in one form, got data_batch_1.bin and data_batch_1"):
        cifar10(download=False)


@pytest.mark.parametrize("form", FORMS)
def test_a_damaged_file_is_read_or_refused_with_a_message(place, form):
    FORMS[form](place)
    path = min(place.iterdir())
    content = path.read_bytes()
    for end in range(0, len(content), 997):
        path.write_bytes(content[:end])
        with pytest.raises(WorkloadError, match="data_batch_1"):
            cifar10(download=False)
    for at in range(0, len(content), 397):
        path.write_bytes(content[:at] + bytes([content[at] ^ 0xFF]) + content[at + 1 :])
        with contextlib.suppress(WorkloadError):
            assert cifar10(download=False).train.inputs.shape == (18, 3, 32, 32)


def test_the_hubs_format_is_read(place, on_the_hub):
    images, labels = (np.concatenate(arrays) for arrays in batches())
    rows = []
    for pixels in images.reshape(-1, 3, 32, 32):
        file = io.BytesIO()
        Image.fromarray(pixels.transpose(1, 2, 0)).save(file, format="PNG")
        rows.append({"bytes": file.getvalue(), "path": None})
    pq.write_table(pa.table({"img": rows, "label": labels.tolist()}), place / "train.parquet")

    on_the_hub(place / "train.parquet")
    data = cifar10(download=True)
    expected = torch.from_numpy(images).view(-1, 3, 32, 32)
    assert torch.equal(data.train.inputs, expected[:18])


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"img": [{"bytes": b"x", "path": None}], "label": [1]}, "an image must be readable"),
        ({"img": [None], "label": [1]}, "images of one size and integer labels"),
        ({"img": [], "label": []}, "images of one size and integer labels"),
        ({"image": [1]}, "images of one size and integer labels"),
        (None, "images of one size and integer labels"),
    ],
)
def test_damaged_hub_files_are_refused(place, on_the_hub, table, message):
    (place / "train.parquet").write_bytes(b"PAR1")
    if table is not None:
        pq.write_table(pa.table(table), place / "train.parquet")

    on_the_hub(place / "train.parquet")
    with pytest.raises(WorkloadError, match=message):
        cifar10(download=True)


def test_without_the_hub_extra_the_message_says_what_to_install(place, monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(WorkloadError, match=re.escape("pip install 'batchscale[hub]'")):
        cifar10(download=True)
