"""Measure where the time of a sweep goes, from the times that every trial records.

training:   optimizer steps, including drawing and gathering batches.
data:       of that, drawing and gathering batches, timed separately in this process at each batch
            size, times the number of steps trained there.
evaluation: measurements on the validation set.
rest of the cohorts: building models, tracing before the first step, judging.
outside:    start-up, waiting, Ray, parts, tables: everything outside cohorts.

Not measured: the parts of a training step; see torch's profiler.
Shares are of the available worker time: the wall-clock time times the number of workers.
"""

import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch

from study.engine.data_order import DataOrder
from study.engine.networks.training import LoadedWorkload, load
from tests.benchmarks import studies
from tests.benchmarks.measuring import (
    arguments,
    cores,
    interleaved,
    number,
    positive,
    positives,
    show,
    write_json,
)
from workloads.registry import resolve

DEFAULTS: dict[str, dict[str, Any]] = {
    "digits": {"batch_sizes": [2, 8, 32, 128, 512, 1347], "trials": 512, "max_steps": 20_000},
    "fashion": {"batch_sizes": [16, 64, 256, 1024, 4096], "trials": 64, "max_steps": 20_000},
}
COLUMNS = ["batch_size", "seconds", "training_seconds", "evaluation_seconds", "stopped_at"]


def swept(data: dict[str, Any], workers: int) -> dict[str, Any]:
    """Sweep a study; return its wall-clock time and its trials' times by batch size."""
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        result = studies.sweep(Path(folder), data, workers=workers, results="results")
        rows = pq.read_table(result.folder / "trials.parquet", columns=COLUMNS).to_pylist()
    sums: dict[int, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for row in rows:
        for name in COLUMNS[1:]:
            sums[row["batch_size"]][name] += row[name]
    return {"wall": result.finished.seconds, "by_batch_size": {n: dict(s) for n, s in sums.items()}}


def drawing(training: LoadedWorkload, batch_size: int, lanes: int = 16) -> float:
    """Time drawing and gathering a batch, in seconds per step and lane."""
    inputs, targets = training.data.train
    order = DataOrder(range(lanes), len(inputs), batch_size, training.device)
    steps = max(20, 4 * len(inputs) // batch_size)
    steps = min(steps, 20 + 200_000 // (batch_size * lanes) * 10)
    began = time.perf_counter()
    for _ in range(steps):
        indices = order.next()
        _ = inputs[indices], targets[indices]
    return (time.perf_counter() - began) / steps / lanes


def shares(run: dict[str, Any], workers: int, drawn: dict[int, float]) -> dict[str, float]:
    """Split the worker time of a sweep into shares, which without that of data add up to 1."""
    whole = run["wall"] * workers
    total: dict[str, float] = defaultdict(float)
    for size, sums in run["by_batch_size"].items():
        for name in ("seconds", "training_seconds", "evaluation_seconds"):
            total[name] += sums[name] / whole
        data = sums["stopped_at"] * drawn[size]
        total["data"] += min(data, sums["training_seconds"]) / whole
    return {
        "training": total["training_seconds"],
        "of that, data": total["data"],
        "evaluation": total["evaluation_seconds"],
        "rest of the cohorts": total["seconds"]
        - total["training_seconds"]
        - total["evaluation_seconds"],
        "outside": 1 - total["seconds"],
    }


def main() -> None:
    parser = arguments(__doc__, repeats=3)
    parser.add_argument("--batch-sizes", type=positives, metavar="B,B,...")
    parser.add_argument("--trials", type=positive)
    parser.add_argument("--max-steps", type=positive)
    parser.add_argument("--workers", type=positive, default=cores(), help="default one per core")
    parser.add_argument("--workloads", nargs="+", choices=DEFAULTS, default=list(DEFAULTS))
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    cases: dict[str, Callable[[], dict[str, Any]]] = {}
    drawn: dict[str, dict[int, float]] = {}
    for name in chosen.workloads:
        options = {k: getattr(chosen, k) or v for k, v in DEFAULTS[name].items()}
        data = studies.WORKLOADS[name](*options.values())
        cases[name] = partial(swept, data, chosen.workers)
        training = load(resolve(data["workload"]), torch.device("cpu"))
        drawn[name] = {size: drawing(training, size) for size in options["batch_sizes"]}
    runs = interleaved(cases, chosen.repeats)
    cut = {name: [shares(run, chosen.workers, drawn[name]) for run in runs[name]] for name in runs}
    rows = []
    for name, found in cut.items():
        medians = {part: float(np.median([run[part] for run in found])) for part in found[0]}
        wall = float(np.median([run["wall"] for run in runs[name]]))
        inside = medians["training"] + medians["evaluation"]
        cells = [f"{100 * share:.1f} %" for share in medians.values()]
        rows.append([name, number(wall), *cells, f"{100 * inside:.1f} %"])
    parts = list(next(iter(cut.values()))[0])
    show(
        f"Where the wall-clock goes, {chosen.workers} workers",
        ["workload", "wall, s", *parts, "training and evaluation"],
        rows,
        f"Medians of {chosen.repeats} interleaved repeats.",
    )
    write_json(chosen, shares=cut, repeats=runs)


if __name__ == "__main__":
    main()
