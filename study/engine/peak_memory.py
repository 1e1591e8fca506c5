"""Peak memory of training: of the GPU if there is one, else of the process."""

import resource
import sys
from pathlib import Path

import torch

_PEAK = Path("/proc/self/status")


def reset_peak() -> None:
    """Reset the peak, if the system can."""
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    if _PEAK.exists():
        Path("/proc/self/clear_refs").write_text("5")  # the kernel's own reset of VmHWM


def peak() -> int:
    """Return the peak memory since the last reset, in bytes."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    if _PEAK.exists():
        lines = _PEAK.read_text(encoding="utf-8").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
