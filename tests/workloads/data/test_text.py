import sys
import sysconfig
from pathlib import Path

import pytest
import torch

from workloads.data import text as module
from workloads.data.text import TRAIN_BYTES, VALIDATION_BYTES, library, text
from workloads.errors import WorkloadError


def test_the_default_text_is_pythons_library_the_same_on_every_call():
    train, validation = library()
    assert (len(train), len(validation)) == (TRAIN_BYTES, VALIDATION_BYTES)
    first = sorted(Path(sysconfig.get_path("stdlib")).glob("*.py"))[0].read_bytes()
    assert bytes(train[: len(first)].tolist()) == first
    for one, other in zip(library(), (train, validation), strict=True):
        assert torch.equal(one, other)


def test_no_file_both_trains_and_validates(place):
    for number in range(20):
        (place / f"{number:02}.txt").write_bytes(bytes([number]) * 9)
    data = text(str(place), 8).data
    assert data.train.inputs.unique().tolist() == [n for n in range(20) if n not in {9, 19}]
    assert data.validation.inputs.unique().tolist() == [9, 19]


def test_the_last_tenth_of_a_file_validates(place):
    (place / "t.txt").write_bytes(bytes(range(200)))
    data = text("t.txt", 9).data
    assert data.train.inputs.shape == (19, 9)
    assert torch.equal(data.train.targets, data.train.inputs + 1)
    assert data.train.inputs[:, 0].tolist() == list(range(0, 171, 9))
    assert data.validation.inputs[:, 0].tolist() == [180, 189]
    assert not data.mapped


def test_a_large_file_is_mapped_and_gives_the_same(place, monkeypatch):
    (place / "t.txt").write_bytes(bytes(range(200)))
    held = text("t.txt", 9).data
    monkeypatch.setattr(module, "IN_MEMORY", 100)
    mapped = text("t.txt", 9).data
    assert mapped.mapped
    for split in ("train", "validation"):
        for one, other in zip(getattr(held, split), getattr(mapped, split), strict=True):
            assert torch.equal(one, other)


def test_a_hub_file_is_fetched(place, on_the_hub):
    (place / "t.txt").write_bytes(bytes(range(200)))
    asked = on_the_hub(place / "t.txt")
    assert len(text("hub:owner/name:deep/t.txt", 9).data.train.inputs) == 19
    assert asked == [("owner/name", "deep/t.txt", "dataset")]


@pytest.mark.parametrize(
    "file", ["", "../up.txt", "/etc/passwd", "a/../../b", "a\\..\\b", "a//b", "."]
)
def test_a_hub_file_must_be_inside_its_repository(monkeypatch, file):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(WorkloadError, match="must be inside its repository, got"):
        text(f"hub:owner/name:{file}", 9)


def test_an_unreachable_hub_is_reported(on_the_hub):
    on_the_hub(ConnectionError("no route"))
    with pytest.raises(WorkloadError, match="ConnectionError: no route; connect, or give a file"):
        text("hub:owner/name:t.txt", 9)


@pytest.mark.parametrize("path", ["nothing.txt", "/nowhere/nothing.txt"])
def test_a_missing_file_is_refused(place, path):
    with pytest.raises(WorkloadError, match="must be an absolute path, or one in BATCHSCALE_DATA"):
        text(path, 9)


def test_a_relative_path_needs_a_folder_that_every_worker_knows(tmp_path, monkeypatch):
    monkeypatch.delenv("BATCHSCALE_DATA", raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "t.txt").write_bytes(bytes(200))
    with pytest.raises(WorkloadError, match="must be an absolute path"):
        text("t.txt", 9)
    assert len(text(str(tmp_path / "t.txt"), 9).data.train.inputs) == 19


@pytest.mark.parametrize(("size", "split"), [(0, "training"), (5, "training"), (50, "validation")])
def test_too_short_a_text_is_refused(place, size, split):
    (place / "t.txt").write_bytes(bytes(size))
    with pytest.raises(WorkloadError, match=rf"window of 9 \+ 1 tokens for {split}, got none in t"):
        text("t.txt", 9)


def test_a_context_must_be_positive():
    with pytest.raises(WorkloadError, match="`context` must be at least 1 token, got 0"):
        text(None, 0)
