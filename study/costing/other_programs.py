"""How many cores other programs keep from the steps that are timed."""

import os
import time
from collections.abc import Callable
from pathlib import Path

_STAT = Path("/proc/stat")
_IDLE = slice(3, 5)
"""Columns of idle time and of waiting for disks; the last two of all repeat what others count."""


def lacking_since(threads: int, stat: Path = _STAT) -> Callable[[], float] | None:
    """Return what tells how many cores other programs have kept from this one since this call.

    They are those that others used, as far as fewer were left than this program has threads. None
    where the kernel does not tell (Linux does).

    Args:
        threads: of this program that compute at once, >= 1.
        stat: the kernel's count of each core's time.
    """
    if not stat.exists():
        return None
    cores = os.cpu_count() or 1
    before = _seconds(stat)

    def since() -> float:
        busy, own, wall = (now - then for now, then in zip(_seconds(stat), before, strict=True))
        others = max(0.0, busy - own) / max(wall, 1e-9)
        return max(0.0, min(others + threads - cores, float(threads)))

    return since


def _seconds(stat: Path) -> tuple[float, float, float]:
    """Return the busy seconds of all cores, those of this program, and the time."""
    counts = [int(word) for word in stat.read_text(encoding="ascii").splitlines()[0].split()[1:]]
    ticks = sum(counts[:8]) - sum(counts[_IDLE])
    return ticks / os.sysconf("SC_CLK_TCK"), sum(os.times()[:4]), time.monotonic()
