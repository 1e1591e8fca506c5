import os
import resource
from dataclasses import replace
from pathlib import Path

import pytest

from study.errors import StudyError
from study.orchestration.machine import (
    MEMORY_PER_WORKER,
    MIN_MEMORY,
    MIN_STORE,
    Machine,
    check_machine,
)

MIB = 2**20


@pytest.fixture
def machine(tmp_path):
    """Return a machine on which Ray can start."""
    return Machine(
        folder="/tmp/ray",
        workers=2,
        disk=100 * MIB,
        shared=0,
        memory=MIN_MEMORY + 3 * MEMORY_PER_WORKER,
        store=MIN_STORE,
        open_files=52,
        address_space=None,
    )


def test_a_machine_that_suffices_for_ray_is_accepted(machine):
    check_machine(machine)
    check_machine(replace(machine, shared=None, disk=None, open_files=None))
    check_machine(replace(machine, disk=MIB, shared=MIN_STORE, address_space=2**33))
    check_machine(Machine.here(1))


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (
            {"folder": "/tmp/" + "x" * 100},
            r"path of at most \d\d bytes, .* got /tmp/x+; set RAY_TMPDIR to a shorter one",
        ),
        ({"folder": "/tmp/größer"}, "ASCII characters, got /tmp/größer; set RAY_TMPDIR"),
        ({"disk": 100}, "must have 1 MiB free, got 0 MiB in /tmp/ray; free some space"),
        ({"memory": 200 * MIB}, "Ray and 2 workers need 450 MiB .* got 200 MiB; close other"),
        (
            {"disk": 20 * MIB, "shared": MIB},
            "object store, got 1 MiB of shared memory in /dev/shm and 20 MiB .* --shm-size=76m, or",
        ),
        ({"open_files": 51}, "at least 52 open files for 2 workers, got a limit of 51; raise it"),
        ({"workers": 3}, "at least 54 open files for 3 workers, got a limit of 52"),
        ({"address_space": 2**32}, "4,171 MiB of virtual memory .* limit of 4,096 MiB; raise it"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_each_limit_has_its_own_message(machine, found, message):
    with pytest.raises(StudyError, match=f"^[^\n]*{message}[^\n]*$"):
        check_machine(replace(machine, **found))


def test_all_problems_are_reported_at_once(machine):
    with pytest.raises(StudyError, match="of free memory.*\n.*open files"):
        check_machine(replace(machine, memory=0, open_files=1))


def test_a_folder_that_cannot_be_made_is_refused(machine, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StudyError, match=r"must be writable, got .*/file/ray: Not a directory in"):
        check_machine(replace(machine, folder=f"{tmp_path}/file/ray"))
    check_machine(replace(machine, folder=f"/{tmp_path.parts[1]}/new/ray"))
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_of_another_user_is_refused(machine):
    with pytest.raises(StudyError, match="Permission denied in /, which belongs to root; set"):
        check_machine(replace(machine, folder="/ray"))


def test_the_machine_is_the_one_that_ray_finds(monkeypatch, tmp_path):
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    here = Machine.here(7)
    assert (here.folder, here.workers) == (str(tmp_path / "ray"), 7)
    assert here.memory > here.store >= MIN_STORE
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert here.open_files in {hard, None}
    assert not Path(here.folder).exists()


def test_a_sweep_is_refused_before_anything_is_written(command, monkeypatch, tmp_path):
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path / ("x" * 90)))
    code, out, err = command("sweep", "noisy-quadratic", "--ray")
    assert (code, out) == (2, "")
    assert err.startswith("error: Ray's folder of temporary files must have a path of at most")
    assert not list(tmp_path.iterdir())
    # a cluster has a Ray of its own
    code, _, err = command("sweep", "nowhere", "--address", "auto")
    assert "Ray's folder" not in err
