"""Timing of training steps, one model at a time, on all cores or the whole GPU.

A step draws the next batch, fetches it, goes forward and backward in micro-batches that fit into
memory, and updates. Measurements on the validation set are timed separately.
"""

import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from analysis.cost.step_costs import MEASURED
from analysis.measures.medians import MIN_FREE, median_interval
from study.config.study import ResolvedStudy
from study.costing.energy import energy_since
from study.engine.cohort import build_lanes
from study.engine.ensemble import Ensemble
from study.engine.networks.training import LoadedWorkload
from study.engine.peak_memory import peak, reset_peak
from study.errors import StudyError
from study.planning.trial_run import require_measured, trial_run
from study.records import Cohort, Execution, Floats, Point
from study.replay.trial import with_execution
from workloads.command import Command
from workloads.workload import Lanes

REPEATS, MIN_REPEATS = 21, 7
"""Timed repeats of fast steps, and of steps that take longer than the time allowed."""
_EVALUATIONS = 3
_CPU_INFO = Path("/proc/cpuinfo")
_STAT = Path("/proc/stat")
_IDLE = slice(3, 5)
"""Columns of idle time and of waiting for disks."""


def unpacked(resolved: ResolvedStudy) -> ResolvedStudy:
    """Return a study whose trials are trained one by one, in micro-batches that fit into memory."""
    return with_execution(resolved, Execution("looped", 1, None))


def timed_steps(
    resolved: ResolvedStudy,
    trainable: LoadedWorkload,
    point: Point,
    batch_size: int,
    seconds: float,
) -> dict[str, Any]:
    """Return the row of `cost.parquet` for one batch size of an `unpacked` study.

    The workload is on the device that trains. Steps are timed for about `seconds` > 0, but at least
    seven times.
    """
    device = trainable.device.type
    reset_peak()
    lanes = build_lanes(resolved, trainable, Cohort(batch_size=batch_size, points=(point,)))
    lanes.measure()
    lanes.advance(1)  # one-time work, such as the first allocations
    steps = _steps_that_take(lanes, seconds / REPEATS)
    lacking = cores_lacking_since(1 if device == "cuda" else torch.get_num_threads())
    times, evaluations = _repeats(lanes, steps, seconds)
    cores_lacking = None if lacking is None else lacking()
    assert isinstance(lanes, Ensemble)  # of a network
    return {
        **_spread(batch_size, times),
        "evaluation_seconds": statistics.median(evaluations),
        "memory": peak(),
        "micro_batch": lanes.micro_batch,
        "step_joules": _joules(lanes, steps * len(times), device),
        "cores_lacking": cores_lacking,
        "parameters": lanes.parameters.shape[1],
        "device": torch.cuda.get_device_name() if device == "cuda" else processor(),
        "threads": None if device == "cuda" else torch.get_num_threads(),
        "precision": str(resolved.compute.precision),
        "source": MEASURED,
    }


def timed_program(
    resolved: ResolvedStudy, command: Command, point: Point, batch_size: int, seconds: float
) -> dict[str, Any]:
    """Return the row of `cost.parquet` for one batch size of a program, from a brief run.

    The time of a step is the time from the first report to the last over the steps between them,
    measurements included.

    Raises:
        StudyError: the program fails, or reports nothing while it trains.
    """
    run = trial_run(resolved, command, Cohort(batch_size=batch_size, points=(point,)), seconds)
    require_measured(run)
    if run.step_seconds <= 0:
        raise StudyError(
            f"a program's steps are timed between its reports, got {run.curve.step.size} reports "
            f"at once at batch size {batch_size}; print them while it trains, with flush=True"
        )
    between = np.diff(run.curve.seconds) / np.diff(run.curve.step)
    options = command.options
    device = f"{options.gpus:g} GPUs" if options.gpus else processor()
    return {
        # buffered reports say nothing about the time between them
        **_spread(batch_size, between if (between > 0).all() else np.empty(0), run.step_seconds),
        "memory": run.memory or None,
        "device": device,
        "threads": options.cpus,
        "source": MEASURED,
    }


def processor() -> str:
    """Return the name of the processor."""
    if _CPU_INFO.exists():
        lines = _CPU_INFO.read_text(encoding="utf-8", errors="replace").splitlines()
        names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
        if names and names[0]:
            return names[0]
    return platform.processor() or platform.machine() or "CPU"


def cores_lacking_since(threads: int, stat: Path = _STAT) -> Callable[[], float] | None:
    """Return a function that counts the cores that our threads have lacked since this call.

    These are the threads for which no core was left by other programs. None where the kernel does
    not count busy time; Linux does, in `stat`.
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
    ticks = sum(counts[:8]) - sum(counts[_IDLE])  # later columns are parts of earlier ones
    return ticks / os.sysconf("SC_CLK_TCK"), sum(os.times()[:4]), time.monotonic()


def _steps_that_take(lanes: Lanes, seconds: float) -> int:
    """Return how many steps take about `seconds`, at least 1, after as many to warm up."""
    count = 1
    while (taken := count * _timed(lanes, count)) < seconds / 2:
        count *= 2
    return max(1, round(count * seconds / taken))


def _repeats(lanes: Lanes, steps: int, seconds: float) -> tuple[list[float], list[float]]:
    """Return the seconds of a step, and of a measurement, in each repeat."""
    times: list[float] = []
    evaluations: list[float] = []
    while len(times) < MIN_REPEATS or (len(times) < REPEATS and steps * sum(times) < seconds):
        times.append(_timed(lanes, steps))
        if len(evaluations) < _EVALUATIONS:  # after training steps, as in a run
            started = time.perf_counter()
            lanes.measure()
            evaluations.append(time.perf_counter() - started)
    return times, evaluations


def _timed(lanes: Lanes, steps: int) -> float:
    """Return the seconds of a step; `advance` reads back a result, so it waits for a GPU."""
    started = time.perf_counter()
    lanes.advance(steps)
    return (time.perf_counter() - started) / steps


def _joules(lanes: Lanes, steps: int, device: str) -> float | None:
    """Return the energy of a step, averaged over `steps`; None where no driver counts it."""
    since = energy_since(device)
    if since is None:
        return None
    lanes.advance(steps)
    return since() / steps or None  # the counter may not have been updated


def _spread(
    batch_size: int, times: Sequence[float] | Floats, value: float | None = None
) -> dict[str, Any]:
    """Return the time of a step, by default the median, and its interval if there are enough."""
    rising = np.sort(np.asarray(times, dtype=np.float64))
    value = float(np.median(rising)) if value is None else value
    row = {"batch_size": batch_size, "step_seconds": value, "repeats": max(1, len(rising))}
    if len(rising) < MIN_FREE:
        return row
    interval = median_interval(rising, np.zeros(len(rising), bool))
    ends = {"step_seconds_low": min(interval.low, value)}
    return row | ends | {"step_seconds_high": max(interval.high, value)}
