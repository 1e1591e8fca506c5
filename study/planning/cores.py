"""The number of CPU cores that this process may use, and the default number of workers."""

import math
import os
from collections.abc import Iterator
from itertools import product
from pathlib import Path, PurePosixPath

import torch

_CGROUPS = Path("/sys/fs/cgroup")


def default_workers(gpus_per_worker: float, cpus_per_worker: int = 1) -> int:
    """Return the number of workers for this machine, by its cores and, if workers use any, GPUs."""
    of_cores = max(1, cores() // cpus_per_worker)
    if not gpus_per_worker:
        return of_cores
    shares = math.floor(torch.cuda.device_count() / gpus_per_worker + 1e-9)
    return max(1, min(of_cores, shares))


def cores() -> int:
    """Return the number of CPU cores that this process may use, >= 1.

    `taskset` and batch systems restrict the cores; containers also limit the CPU time, by the quota
    of a control group.
    """
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    quotas = _quotas(Path("/proc/self/cgroup"), _CGROUPS)
    return max(1, math.floor(min([allowed or 1, *quotas])))


def _quotas(membership: Path, root: Path) -> Iterator[float]:
    """Yield each quota on a process, in cores; `membership` lists its control groups."""
    try:
        lines = membership.read_text().splitlines()
    except OSError:  # not Linux
        return
    for line in lines:
        number, controllers, group = line.split(":", 2)
        if number == "0":  # version 2, alone or beside version 1
            mounts, files = [root, root / "unified"], ["cpu.max"]
        elif "cpu" in controllers.split(","):
            mounts = [root / "cpu", root / controllers]
            files = ["cpu.cfs_quota_us", "cpu.cfs_period_us"]
        else:
            continue
        path = PurePosixPath(group)
        # a container may see its own group as the root, but under its name outside the container
        for mount, place in product(dict.fromkeys(mounts), (path, *path.parents)):
            yield from _quota(*(mount / str(place).lstrip("/") / file for file in files))


def _quota(*files: Path) -> Iterator[float]:
    try:
        quota, period = " ".join(file.read_text() for file in files).split()
        if int(quota) > 0:  # -1 for no quota; "max" in version 2
            yield int(quota) / int(period)
    except (OSError, ValueError, ZeroDivisionError):
        return
