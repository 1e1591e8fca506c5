"""Energy counters of this machine: NVML for a GPU, RAPL for the packages of the CPU."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch

Counter = Callable[[], float]
"""Returns joules."""
_RAPL = Path("/sys/class/powercap")


def energy_since(device: str, rapl: Path = _RAPL) -> Counter | None:
    """Return a counter of the joules spent since this call; None where no driver counts them.

    A package of cores is counted as a whole, whatever else runs on it. `rapl` is the folder of the
    kernel's power capping zones.
    """
    counters = _gpu() if device == "cuda" else _packages(rapl)
    if not counters:
        return None
    before = [count() for count, _ in counters]

    def since() -> float:
        spent = 0.0
        for (count, wraps_at), start in zip(counters, before, strict=True):
            joules = count() - start
            spent += joules if joules >= 0 else joules + wraps_at
        return spent

    return since


def _packages(rapl: Path) -> list[tuple[Counter, float]]:
    """Return a counter for each package of cores, and the joules at which it wraps around."""
    counters: list[tuple[Counter, float]] = []
    for zone in sorted(rapl.glob("intel-rapl:?")):  # cores and memory are zones within these
        try:
            most = _joules(zone / "max_energy_range_uj")
            _joules(zone / "energy_uj")
        except (OSError, ValueError):  # since 2020 readable by root only, by default
            return []
        counters.append((partial(_joules, zone / "energy_uj"), most))
    return counters


def _joules(file: Path) -> float:
    return int(file.read_text()) / 1e6


def _gpu() -> list[tuple[Counter, float]]:
    try:
        import pynvml  # a user's own package: `pip install nvidia-ml-py`
    except ImportError:
        return []
    try:
        pynvml.nvmlInit()
        # torch and NVML may number the GPUs of a machine differently
        handle = pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{torch.cuda.get_device_properties().uuid}")
        pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)
    except pynvml.NVMLError:
        return []
    return [(lambda: pynvml.nvmlDeviceGetTotalEnergyConsumption(handle) / 1e3, 0.0)]
