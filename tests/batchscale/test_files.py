import contextlib
import gzip
import os

import pytest

from batchscale.files import checked_size, gunzipped, read_file, replacing


def test_a_regular_file_is_read_whole_also_by_a_link(tmp_path):
    (tmp_path / "a").write_bytes(b"12")
    (tmp_path / "b").symlink_to("a")
    assert checked_size(tmp_path / "b", 2) == 2
    assert read_file(tmp_path / "b", 2) == b"12"


def test_other_kinds_of_file_are_refused_unopened(tmp_path):
    (tmp_path / "large").write_bytes(b"123")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "device").symlink_to("/dev/zero")
    for name, why in {
        "large": "3 bytes, more than 2",
        "pipe": "it is a pipe",
        "device": "it is a device",
        ".": "it is a folder",
        "none": "No such file",
        "x" * 5000: "too long",
    }.items():
        with pytest.raises(OSError, match=why):
            read_file(tmp_path / name, 2)


def test_a_file_keeps_its_old_content_until_the_new_one_is_whole(tmp_path):
    path = tmp_path / "folder" / "a"
    with replacing(path) as file:
        file.write(b"old")
    with contextlib.suppress(KeyboardInterrupt), replacing(path) as file:
        file.write(b"new")
        assert path.read_bytes() == b"old"
        raise KeyboardInterrupt
    assert path.read_bytes() == b"old"
    assert os.listdir(path.parent) == ["a"]


def test_gzip_is_unpacked_up_to_a_limit():
    content = gzip.compress(b"12" * 100)
    assert gunzipped(content, 200) == b"12" * 100
    with pytest.raises(OSError, match="it unpacks to more than 199 bytes"):
        gunzipped(content, 199)
