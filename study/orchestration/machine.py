"""Whether Ray can start on this machine: what it would find, against the limits where it fails.

Ray itself gives up with a traceback, or after half a minute without saying why. The limits come
from trials with Ray 2.60; what Ray can live with is not refused.
"""

import os
import resource
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Self

from ray._common.utils import get_default_ray_temp_dir
from ray._private import ray_constants
from ray._private.utils import (
    estimate_available_memory,
    resolve_object_store_memory,
)

from study.errors import StudyError

LONGEST_SOCKET = 103 if sys.platform == "darwin" else 107
"""Bytes in the path of a Unix socket."""
LEAST_STORE = ray_constants.OBJECT_STORE_MINIMUM_MEMORY_BYTES
LEAST_MEMORY = round(LEAST_STORE / ray_constants.DEFAULT_OBJECT_STORE_MEMORY_PROPORTION)
MEMORY_PER_WORKER = 100 * 2**20
"""Less than a worker that has imported torch holds for itself alone."""
LEAST_DISK = 2**20
LEAST_FILES, FILES_PER_WORKER = 48, 2
OTHER_ADDRESSES = 2**32
"""Address space that Ray needs beside its object store."""
_ELSEWHERE = "set RAY_TMPDIR to another folder"


@dataclass(frozen=True, kw_only=True, slots=True)
class Machine:
    """What Ray finds on this machine; sizes in bytes.

    Attributes:
        folder: Ray's folder of temporary files, which need not exist.
        workers: cohorts trained at once.
        disk: free space for that folder; None if unknown.
        shared: free shared memory; None where the system has none.
        memory: memory not in use.
        store: size that Ray will give its object store.
        open_files: most files that a process may have open; None for no limit.
        address_space: most virtual memory of a process; None for no limit.
    """

    folder: str
    workers: int
    disk: int | None
    shared: int | None
    memory: int
    store: int
    open_files: int | None
    address_space: int | None

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
            store=resolve_object_store_memory(memory) if has_shared else LEAST_STORE,
            open_files=_limit(resource.RLIMIT_NOFILE),
            address_space=_limit(resource.RLIMIT_AS),
        )


def check_machine(machine: Machine) -> None:
    """Refuse to start Ray where it would fail; one line for each thing that is missing."""
    if found := [line for check in CHECKS if (line := check(machine)) is not None]:
        raise StudyError("\n".join(found))


def _long_path(machine: Machine) -> str | None:
    session = f"session_{datetime.now():%Y-%m-%d_%H-%M-%S_%f}_{os.getpid()}"
    socket = f"{machine.folder}/{session}/sockets/plasma_store"
    length = len(os.fsencode(socket))
    if length <= LONGEST_SOCKET:
        return None
    most = LONGEST_SOCKET - length + len(os.fsencode(machine.folder))
    return (
        f"Ray's folder of temporary files must have a path of at most {most} bytes, so that its "
        f"sockets have at most {LONGEST_SOCKET}, got {machine.folder}; set RAY_TMPDIR to a shorter "
        "one, such as /tmp"
    )


def _other_letters(machine: Machine) -> str | None:
    if machine.folder.isascii():
        return None
    return (
        "Ray's folder of temporary files must have a path of ASCII characters, got "
        f"{machine.folder}; {_ELSEWHERE}, such as /tmp"
    )


def _unwritable(machine: Machine) -> str | None:
    there = _nearest(machine.folder)
    try:
        with tempfile.TemporaryDirectory(dir=there):
            return None
    except OSError as error:
        return (
            f"Ray's folder of temporary files must be writable, got {machine.folder}: "
            f"{error.strerror} in {there}{_owner(there)}; {_ELSEWHERE}"
        )


def _full_disk(machine: Machine) -> str | None:
    if machine.disk is None or machine.disk >= LEAST_DISK:
        return None
    return (
        f"Ray's folder of temporary files must have {_size(LEAST_DISK)} free, got "
        f"{_size(machine.disk)} in {machine.folder}; free some space, or {_ELSEWHERE}"
    )


def _little_memory(machine: Machine) -> str | None:
    least = LEAST_MEMORY + MEMORY_PER_WORKER * machine.workers
    if machine.memory >= least:
        return None
    return (
        f"Ray and {machine.workers} workers need {_size(least)} of memory that nothing else uses, "
        f"got {_size(machine.memory)}; end other programs, raise the memory limit of the container "
        "or job, or lower --workers"
    )


def _little_shared_memory(machine: Machine) -> str | None:
    # with less shared memory than its store, Ray keeps the store in its folder
    if machine.shared is None or machine.disk is None or machine.shared >= machine.store:
        return None
    if machine.disk >= LEAST_STORE or machine.disk < LEAST_DISK:  # the latter is told already
        return None
    return (
        f"Ray needs {_size(LEAST_STORE)} for its object store, got {_size(machine.shared)} of "
        f"shared memory in /dev/shm and {_size(machine.disk)} of disk in {machine.folder}; start a "
        f"container with --shm-size={machine.store // 2**20 + 1}m, or {_ELSEWHERE}"
    )


def _few_files(machine: Machine) -> str | None:
    least = LEAST_FILES + FILES_PER_WORKER * machine.workers
    if machine.open_files is None or machine.open_files >= least:
        return None
    return (
        f"Ray needs at least {least} open files for {machine.workers} workers, got a limit of "
        f"{machine.open_files}; raise it with `ulimit -n 4096`, or lower --workers"
    )


def _few_addresses(machine: Machine) -> str | None:
    least = machine.store + OTHER_ADDRESSES
    if machine.address_space is None or machine.address_space >= least:
        return None
    return (
        f"Ray needs {_size(least)} of virtual memory in a process, got a limit of "
        f"{_size(machine.address_space)}; raise it with `ulimit -v unlimited`"
    )


CHECKS: Sequence[Callable[[Machine], str | None]] = (
    _long_path,
    _other_letters,
    _unwritable,
    _full_disk,
    _little_memory,
    _little_shared_memory,
    _few_files,
    _few_addresses,
)
"""Each returns a sentence on what is wrong, what was found, and what to do; None if all is well."""


def _limit(kind: int) -> int | None:
    soft, hard = resource.getrlimit(kind)
    # Ray itself raises the number of files to the hard limit
    limit = hard if kind == resource.RLIMIT_NOFILE else soft
    return None if limit == resource.RLIM_INFINITY else limit


def _nearest(folder: str) -> Path:
    """Return the folder itself, or the nearest of its parents that exists."""
    path = Path(folder)
    return next(place for place in (path, *path.parents) if os.path.lexists(place))


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
