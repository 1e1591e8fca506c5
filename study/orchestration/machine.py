"""Whether Ray can start on this machine: its resources against the limits at which Ray fails.

Ray itself gives up with a traceback, or after half a minute without a reason. The limits were
measured with Ray 2.60, so that nothing is refused that Ray can work with.
"""

import os
import resource
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Self

from ray._common.utils import get_default_ray_temp_dir
from ray._private import ray_constants
from ray._private.utils import estimate_available_memory, resolve_object_store_memory

from study.errors import StudyError

LONGEST_SOCKET = 103 if sys.platform == "darwin" else 107
"""Bytes in the path of a Unix socket."""
MIN_STORE = ray_constants.OBJECT_STORE_MINIMUM_MEMORY_BYTES
MIN_MEMORY = round(MIN_STORE / ray_constants.DEFAULT_OBJECT_STORE_MEMORY_PROPORTION)
MEMORY_PER_WORKER = 100 * 2**20
"""Less than the private memory of a worker that has imported torch."""
MIN_DISK = 2**20
MIN_FILES, FILES_PER_WORKER = 48, 2
OTHER_ADDRESSES = 2**32
"""Address space that Ray needs besides its object store."""
_FOLDER = "Ray's folder of temporary files"
_ELSEWHERE = "set RAY_TMPDIR to another folder"


@dataclass(frozen=True, kw_only=True, slots=True)
class Machine:
    """What Ray finds on this machine; sizes in bytes."""

    folder: str  # of Ray's temporary files; it need not exist
    workers: int  # cohorts trained at once
    disk: int | None  # free space for that folder; None if unknown
    shared: int | None  # free shared memory; None where the system has none
    memory: int  # not in use
    store: int  # size that Ray will give its object store
    open_files: int | None  # most of a process; None for no limit
    address_space: int | None  # most virtual memory of a process; None for no limit

    @classmethod
    def here(cls, workers: int) -> Self:
        """Return what Ray finds on this machine now."""
        folder: str = get_default_ray_temp_dir()  # type: ignore[no-untyped-call]
        memory: int = estimate_available_memory()  # type: ignore[no-untyped-call]
        has_shared = sys.platform == "linux" and Path("/dev/shm").is_dir()
        return cls(
            folder=folder,
            workers=workers,
            disk=_free(folder),
            shared=_free("/dev/shm") if has_shared else None,
            memory=memory,
            store=resolve_object_store_memory(memory) if has_shared else MIN_STORE,
            open_files=_limit(resource.RLIMIT_NOFILE),
            address_space=_limit(resource.RLIMIT_AS),
        )


def check_machine(machine: Machine) -> None:
    """Refuse to start Ray where it would fail, with a line for each problem."""
    if problems := [*_folder_problems(machine), *_shortages(machine)]:
        raise StudyError("\n".join(problems))


def _folder_problems(machine: Machine) -> Iterator[str]:
    """Yield what is wrong with the folder of temporary files, and what to do."""
    folder, existing = machine.folder, _nearest(machine.folder)
    session = f"session_{datetime.now():%Y-%m-%d_%H-%M-%S_%f}_{os.getpid()}"
    excess = len(os.fsencode(f"{folder}/{session}/sockets/plasma_store")) - LONGEST_SOCKET
    if excess > 0:
        yield (
            f"{_FOLDER} must have a path of at most {len(os.fsencode(folder)) - excess} bytes, so "
            f"that its sockets have at most {LONGEST_SOCKET}, got {folder}; set RAY_TMPDIR to a "
            "shorter one, such as /tmp"
        )
    if not folder.isascii():
        yield (
            f"{_FOLDER} must have a path of ASCII characters, got {folder}; {_ELSEWHERE}, such as "
            "/tmp"
        )
    try:
        tempfile.TemporaryDirectory(dir=existing).cleanup()
    except OSError as error:
        yield (
            f"{_FOLDER} must be writable, got {folder}: {error.strerror} in "
            f"{existing}{_owner(existing)}; {_ELSEWHERE}"
        )
    if machine.disk is not None and machine.disk < MIN_DISK:
        yield (
            f"{_FOLDER} must have {_size(MIN_DISK)} free, got {_size(machine.disk)} in {folder}; "
            f"free some space, or {_ELSEWHERE}"
        )


def _shortages(machine: Machine) -> Iterator[str]:
    """Yield which resources are short, and what to do."""
    workers, disk, shared = machine.workers, machine.disk, machine.shared
    memory = MIN_MEMORY + MEMORY_PER_WORKER * workers
    if machine.memory < memory:
        yield (
            f"Ray and {workers} workers need {_size(memory)} of free memory, got "
            f"{_size(machine.memory)}; close other programs, raise the memory limit of the "
            "container or job, or lower --workers"
        )
    # with less shared memory than its store needs, Ray keeps the store in its folder
    in_folder = shared is not None and shared < machine.store
    if in_folder and disk is not None and MIN_DISK <= disk < MIN_STORE:
        yield (
            f"Ray needs {_size(MIN_STORE)} for its object store, got {_size(shared or 0)} of "
            f"shared memory in /dev/shm and {_size(disk)} of disk in {machine.folder}; start a "
            f"container with --shm-size={machine.store // 2**20 + 1}m, or {_ELSEWHERE}"
        )
    files = MIN_FILES + FILES_PER_WORKER * workers
    if machine.open_files is not None and machine.open_files < files:
        yield (
            f"Ray needs at least {files} open files for {workers} workers, got a limit of "
            f"{machine.open_files}; raise it with `ulimit -n 4096`, or lower --workers"
        )
    addresses = machine.store + OTHER_ADDRESSES
    if machine.address_space is not None and machine.address_space < addresses:
        yield (
            f"Ray needs {_size(addresses)} of virtual memory in a process, got a limit of "
            f"{_size(machine.address_space)}; raise it with `ulimit -v unlimited`"
        )


def _limit(kind: int) -> int | None:
    soft, hard = resource.getrlimit(kind)
    # Ray raises its own limit of open files to the hard limit
    limit = hard if kind == resource.RLIMIT_NOFILE else soft
    return None if limit == resource.RLIM_INFINITY else limit


def _nearest(folder: str) -> Path:
    """Return the folder itself, or the nearest of its parents that exists."""
    path = Path(folder)
    return next(parent for parent in (path, *path.parents) if os.path.lexists(parent))


def _free(folder: str) -> int | None:
    try:
        return shutil.disk_usage(_nearest(folder)).free
    except OSError:
        return None


def _owner(place: Path) -> str:
    try:
        return f", which belongs to {place.owner()}"
    except (OSError, KeyError, NotImplementedError):  # a user without a name
        return ""


def _size(count: int) -> str:
    return f"{count / 2**20:,.0f} MiB"
