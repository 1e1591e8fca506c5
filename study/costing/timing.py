"""One model trained as a user trains it, and its steps timed: alone, on all cores or the whole GPU.

What is timed is what training does in a step: to draw the next batch, fetch it, go forward and
backward in micro-batches that fit into memory, and update. Measurements on the validation set are
timed apart.
"""

import platform
import statistics
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from study.config.study import ResolvedStudy
from study.costing.energy import energy_since
from study.engine.cohort import build_lanes
from study.engine.ensemble import Ensemble
from study.engine.networks.training import Lockstep
from study.engine.peak_memory import peak, reset_peak
from study.planning.trial_run import require_measured, trial_run
from study.records import Cohort, Execution, Point
from study.replay.trial import with_execution
from workloads.command.program import Command
from workloads.workload import Lanes

REPEATS = 7
"""Timed repeats: the least and the most of seven hold the median in 98 of 100 cases."""
_EVALUATIONS = 3
_MEASURED = "measured"
_CPU_INFO = Path("/proc/cpuinfo")


def alone(resolved: ResolvedStudy) -> ResolvedStudy:
    """Return a study whose trials are trained one by one, in micro-batches that fit into memory."""
    own = resolved.compute.mode
    mode = "looped" if own in {"packed", "looped"} else own
    return with_execution(resolved, Execution(mode, 1, None))


def timed_steps(
    resolved: ResolvedStudy, trainable: Lockstep, point: Point, batch_size: int, seconds: float
) -> dict[str, Any]:
    """Return the row of `cost.parquet` for one batch size.

    Args:
        resolved: the study, as `alone` returns it.
        trainable: its workload, on the device that trains.
        point: hyperparameters to train with.
        batch_size: examples per step.
        seconds: to time for, > 0; a step that takes longer is still timed seven times.
    """
    device = device_of(trainable)
    reset_peak()
    lanes = build_lanes(resolved, trainable, Cohort(batch_size=batch_size, points=(point,)))
    lanes.measure()
    lanes.advance(1)  # one-time work, such as the first allocations
    steps = _steps_that_take(lanes, seconds / REPEATS)
    times, evaluations = [], []
    for repeat in range(REPEATS):
        times.append(_timed(lanes, steps))
        if repeat < _EVALUATIONS:  # after training, as in a run: not one after another
            started = time.perf_counter()
            lanes.measure()
            evaluations.append(time.perf_counter() - started)
    row = {
        **_spread(batch_size, times),
        "evaluation_seconds": statistics.median(evaluations),
        "memory": peak(),
        "step_joules": _joules(lanes, steps * REPEATS, device),
        **machine(device, resolved),
    }
    if isinstance(lanes, Ensemble):
        row |= {"micro_batch": lanes.micro_batch, "parameters": lanes.parameters.shape[1]}
    return row


def timed_program(
    resolved: ResolvedStudy, command: Command, point: Point, batch_size: int, seconds: float
) -> dict[str, Any]:
    """Return the row of a program's batch size, from a brief run; arguments as `timed_steps`.

    The time of its steps is what passes between its reports, measurements included.

    Raises:
        StudyError: the program fails.
    """  # noqa: DOC502  (raised by require_measured)
    cohort = Cohort(batch_size=batch_size, points=(point,))
    run = trial_run(resolved, command, cohort, seconds)
    require_measured(run)
    curve = run.curve
    between = np.diff(curve.seconds) / np.diff(curve.step)
    times = between.tolist() if len(between) else [run.step_seconds]
    options = command.options
    device = f"{options.gpus:g} GPUs" if options.gpus else processor()
    return {
        **_spread(batch_size, times),
        "memory": run.memory or None,
        "device": device,
        "threads": options.cpus,
        "source": _MEASURED,
    }


def device_of(trainable: Lockstep) -> str:
    """Return cpu or cuda: where a workload trains."""
    return str(getattr(trainable, "device", "cpu")).partition(":")[0]


def machine(device: str, resolved: ResolvedStudy) -> Mapping[str, Any]:
    """Return the columns of `cost.parquet` that say what was timed."""
    gpu = device == "cuda"
    return {
        "device": torch.cuda.get_device_name() if gpu else processor(),
        "threads": None if gpu else torch.get_num_threads(),
        "precision": str(resolved.compute.precision),
        "source": _MEASURED,
    }


def processor() -> str:
    """Return the name of the processor."""
    if _CPU_INFO.exists():
        lines = _CPU_INFO.read_text(encoding="utf-8", errors="replace").splitlines()
        names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
        if names and names[0]:
            return names[0]
    return platform.processor() or platform.machine() or "CPU"


def _steps_that_take(lanes: Lanes, seconds: float) -> int:
    """Return how many steps take about some seconds, at least 1, after as many to warm up."""
    count = 1
    while (taken := count * _timed(lanes, count)) < seconds / 2:
        count *= 2
    return max(1, round(count * seconds / taken))


def _timed(lanes: Lanes, steps: int) -> float:
    """Return the seconds of a step, from some steps; what is read back ends them on a GPU too."""
    started = time.perf_counter()
    lanes.advance(steps)
    return (time.perf_counter() - started) / steps


def _joules(lanes: Lanes, steps: int, device: str) -> float | None:
    """Return the energy of a step, over some steps; None where no driver tells it."""
    since = energy_since(device)
    if since is None:
        return None
    lanes.advance(steps)
    return since() / steps or None  # a counter that stood still has told nothing


def _spread(batch_size: int, times: list[float]) -> dict[str, Any]:
    return {
        "batch_size": batch_size,
        "step_seconds": statistics.median(times),
        "step_seconds_low": min(times),
        "step_seconds_high": max(times),
        "repeats": len(times),
    }
