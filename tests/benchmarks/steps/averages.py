"""Measure the cost of averaged weights, in whole races with each kind of average and without.

A cohort trains and is measured to the end of its budget, in the mode that the study gets by
default. The processor time on one thread is reported, without the first race, which traces.
Not measured: networks on a GPU.
"""

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch

from study.config.study import ResolvedStudy
from study.engine.cohort import run_cohort
from study.engine.networks.training import Trainable
from study.planning.resolve import resolve
from study.planning.trial_run import first_cohort
from tests.benchmarks.measuring import (
    arguments,
    interleaved,
    number,
    positives,
    progress,
    ratio,
    show,
    write_json,
)

WORKLOADS = {"digits": "digits-mlp", "cnn": "digits-cnn", "text": "text-transformer"}


def race(resolved: ResolvedStudy, trainable: Trainable, batch_size: int) -> float:
    """Return the processor time of a cohort in seconds."""
    began = time.process_time()
    run_cohort(resolved, trainable, first_cohort(resolved, batch_size))
    return time.process_time() - began


def cases(chosen: Any, batch_size: int) -> dict[str, Callable[[], float]]:
    """Return the races to compare, after a first run of each."""
    study = {
        "workload": WORKLOADS[chosen.workload],
        "batch_sizes": [batch_size],
        "race": {"to": "budget", "max_steps": chosen.steps, "cohort": 8},
    }
    averaged: dict[str, Any] = {"search": {"space": {"ema_decay": 0.99}}}
    tail: dict[str, Any] = {"search": {"space": {"tail_average": 0.25}}}
    kinds = {"without": {}, "raw": averaged, "averaged": averaged, "tail": tail}
    made = {}
    for name, more in kinds.items():
        weights = {"weights": "averaged"} if name in {"averaged", "tail"} else {}
        resolved, trainable = resolve(study | more | {"race": study["race"] | weights})
        made[name] = partial(race, resolved, trainable, batch_size)
        made[name]()
    return made


def main() -> None:
    parser = arguments(__doc__, repeats=5)
    parser.add_argument("--workload", choices=WORKLOADS, default="digits")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--batch-sizes", type=positives, default=[4, 64, 512], metavar="B,B,...")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    runs, rows = {}, []
    for size in chosen.batch_sizes:
        progress(f"batch size {size}")
        found = runs[str(size)] = interleaved(cases(chosen, size), chosen.repeats)
        without = found["without"]
        ratios = [f"{ratio(found[name], without):.3f}" for name in ("raw", "averaged", "tail")]
        rows.append([f"{size:,}", number(float(np.median(without))), *ratios])
    show(
        f"Races of 8 lanes over {chosen.steps} steps, {chosen.workload}, one thread",
        ["batch size", "without, s", "raw / without", "averaged / without", "tail / without"],
        rows,
        "The target on the weights as trained (raw), on averages with a decay, or on the tail's. "
        f"Medians of {chosen.repeats} interleaved repeats.",
    )
    write_json(chosen, repeats=runs)


if __name__ == "__main__":
    main()
