"""The link between the GPUs of this machine, measured by all-reduces of two messages."""

import json
import os
import statistics
import tempfile
import time
from pathlib import Path

import torch
from torch import distributed
from torch.multiprocessing.spawn import spawn

from analysis.cost.devices import Link, link_of

LARGE = 2**26
"""Bytes of the large message; the small one is a single number."""
_REPEATS, _WARM_UP = 10, 3
_BACKENDS = {"cuda": "nccl", "cpu": "gloo"}


def measured_link(devices: int, kind: str = "cuda") -> Link:
    """Return the link for which a ring all-reduce takes as long as measured here.

    Args:
        devices: number of devices, >= 2, each with a process of its own.
        kind: cuda, or cpu for processes on its cores.
    """
    with tempfile.TemporaryDirectory(prefix="batchscale-") as folder:
        arguments = (devices, kind, folder)
        spawn(_time_all_reduces, arguments, devices)  # type: ignore[no-untyped-call]
        small, large = json.loads(Path(folder, "seconds").read_text())
    return link_of(devices, small, large, LARGE)


def _time_all_reduces(rank: int, devices: int, kind: str, folder: str) -> None:
    """Time both messages in one of the processes, of which the first writes the medians."""
    if kind == "cuda":
        torch.cuda.set_device(rank)
    else:
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    rendezvous = f"file://{folder}/rendezvous"
    distributed.init_process_group(
        _BACKENDS[kind], init_method=rendezvous, rank=rank, world_size=devices
    )
    try:
        medians = [_median_seconds(torch.zeros(size // 4, device=kind)) for size in (4, LARGE)]
    finally:
        distributed.destroy_process_group()
    if rank == 0:
        Path(folder, "seconds").write_text(json.dumps(medians))


def _median_seconds(message: torch.Tensor) -> float:
    times = []
    for _ in range(_WARM_UP + _REPEATS):
        distributed.barrier()
        started = time.perf_counter()
        distributed.all_reduce(message)
        float(message[0])  # waits for a GPU
        times.append(time.perf_counter() - started)
    return statistics.median(times[_WARM_UP:])
