import gzip
import os
import struct

import numpy as np
import pytest

from workloads.data import idx_images as module
from workloads.data.idx_images import read_idx
from workloads.errors import WorkloadError

ARRAY = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)


def idx(array, kind=8):
    return bytes([0, 0, kind, array.ndim]) + struct.pack(">3I", *array.shape) + array.tobytes()


@pytest.mark.parametrize("name", ["images", "images.gz"])
def test_an_array_survives_a_round_trip(tmp_path, name):
    content = idx(ARRAY)
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    np.testing.assert_array_equal(read_idx(tmp_path / name), ARRAY)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("f", b"", "must start with 00 00 08"),
        ("f", b"PK\x03\x04 and more", "must start with 00 00 08, got 50 4b 03"),
        ("f", idx(ARRAY, kind=13), "must start with 00 00 08, got 00 00 0d"),
        ("f", idx(ARRAY)[:-1], r"\(2, 3, 4\), got 23 bytes"),
        ("f", idx(ARRAY) + b"x", r"\(2, 3, 4\), got 25 bytes"),
        ("f", idx(ARRAY)[:10], "must hold what its header states"),
        ("f.gz", gzip.compress(idx(ARRAY), mtime=0)[:-9], "must be readable"),
        ("f.gz", b"not gzip", "must be readable"),
    ],
)
def test_an_incomplete_file_is_refused(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(WorkloadError, match=message):
        read_idx(tmp_path / name)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(WorkloadError, match="must be readable"):
        read_idx(tmp_path / "nothing")


def test_endless_files_are_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_MAX_BYTES", 2**16)
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "bomb.gz").write_bytes(gzip.compress(bytes(2**17), 1))
    for name, why in {"pipe": "it is a pipe", "bomb.gz": "it unpacks to more than"}.items():
        with pytest.raises(WorkloadError, match=f"must be readable, got .*{name}: {why}"):
            read_idx(tmp_path / name)


def test_damage_that_the_format_can_reveal_never_passes(tmp_path):
    content = gzip.compress(idx(ARRAY), mtime=0)
    cut = [content[:end] for end in range(len(content))]
    # the first ten bytes are the header of gzip, whose time and system do not matter
    changed = [
        content[:at] + bytes([content[at] ^ 0x55]) + content[at + 1 :]
        for at in range(10, len(content))
    ]
    for number, bad in enumerate([*cut, *changed]):
        (tmp_path / f"{number}.gz").write_bytes(bad)
        with pytest.raises(WorkloadError, match=rf"{number}\.gz"):
            read_idx(tmp_path / f"{number}.gz")
