"""Training on a file larger than memory, which is never read completely."""

from pathlib import Path

import pytest
import torch

from study.engine.cohort import build_lanes
from study.errors import StudyError
from study.orchestration.actor import shared_data
from study.planning.resolve import resolve
from workloads.data import text

SIZE = 2**36
"""Bytes of the sparse file: 64 GiB, more than the machines that run the tests have."""
STUDY = {
    "workload": "text-lstm",
    "workload_options": {"path": "large.txt", "context": 8, "width": 8},
    "batch_sizes": [4],
    "search": {"trials": 2},
    "race": {"target": 5.0},
}


@pytest.fixture
def large(tmp_path, monkeypatch):
    """Return a sparse file with a little text at its end."""
    monkeypatch.setenv("BATCHSCALE_DATA", str(tmp_path))
    with (tmp_path / "large.txt").open("wb") as file:
        file.truncate(SIZE)
        file.seek(-(2**15), 2)
        file.write(b"words and words " * 2**11)
    return tmp_path / "large.txt"


def resident():
    """Return the resident memory of this process in bytes."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return 4096 * pages


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is read from /proc")
def test_a_file_larger_than_memory_is_loaded_without_being_read(large):
    before = resident()
    data = text.text("large.txt", 64).data
    assert data.mapped
    assert len(data.train.inputs) > SIZE // 65
    assert data.validation.inputs[0, :5].tolist() == list(b"words")
    assert int(data.train.inputs[torch.tensor([5, 2**29])].sum()) == 0
    assert resident() - before < 2**25


def test_a_mapped_set_is_looped_and_not_sent_to_workers(large, monkeypatch):
    large.write_bytes(b"words and words " * 2**10)
    study, held = resolve(STUDY)
    monkeypatch.setattr(text, "IN_MEMORY", 100)
    mapped_study, mapped = resolve(STUDY)
    assert (study.compute.mode, mapped_study.compute.mode) == ("packed", "looped")
    assert shared_data(held)[0] is not None
    assert shared_data(mapped) == (None, None)
    losses = [advanced(study, held), advanced(mapped_study, mapped)]
    torch.testing.assert_close(*losses, rtol=1e-5, atol=0)


def advanced(study, trainable):
    """Return the losses of a cohort's lanes over three steps."""
    from study.search.queue import CohortQueue

    lanes = build_lanes(study, trainable, CohortQueue(study, []).take())
    return torch.from_numpy(lanes.advance(3))


def test_packing_a_mapped_set_is_refused(large, monkeypatch):
    large.write_bytes(b"words and words " * 2**10)
    monkeypatch.setattr(text, "IN_MEMORY", 100)
    with pytest.raises(StudyError, match="compute.mode must be auto or looped for this workload"):
        resolve(STUDY | {"compute": {"mode": "packed"}, "race": {"target": 5.0}})
