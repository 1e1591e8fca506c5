"""Measure how many lanes are best computed together, and the cost of the automatic choice.

Training steps of built-in models on one thread are timed per lane, with the lanes looped and in
packs of 1 to 32. best: the fastest of all; auto: what a study gets by default. The last column is
the ratio of their times. With --made, MNIST and CIFAR-10 are noise.

The CPU time of this process is reported, not wall-clock time, and the minimum of the repeats, since
other work on the machine can only add to it. Not measured: evaluation.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from study.engine.networks.training import LoadedWorkload
from study.planning.resolve import resolve
from tests.benchmarks.made_images import write_files
from tests.benchmarks.measuring import (
    arguments,
    interleaved,
    number,
    positives,
    progress,
    show,
    times,
    write_json,
)
from tests.benchmarks.steps.engine import engine

MODELS = (
    "digits-mlp",
    "digits-cnn",
    "digits-resnet8",
    "digits-resnet8+batch",
    "fashion-mnist-mlp",
    "fashion-mnist-simple-cnn",
    "text-transformer",
    "text-lstm",
)
"""Built-in workloads with data from Python, scikit-learn or Debian; a plus precedes the norm."""
MADE = (
    "mnist-mlp",
    "cifar10-resnet8",
    "cifar10-alexnet",
    "cifar10-alexnet-bn",
    "cifar10-vgg11",
    "cifar10-resnet50",
)
"""Built-in workloads that are timed on noise."""
SECONDS = 0.15
"""Approximate CPU time of one timing."""


def timing(train: Callable[[int], Any], lanes: int) -> tuple[Callable[[], float], float]:
    """Return a function that gives CPU seconds per step and lane, and those of a step of all."""
    train(1)  # traces
    began = time.process_time()
    train(1)
    once = time.process_time() - began
    steps = max(1, round(SECONDS / once))

    def timed() -> float:
        began = time.process_time()
        train(steps)
        return (time.process_time() - began) / steps / lanes

    return timed, once


def measured(
    training: LoadedWorkload, batch_size: int, chosen: argparse.Namespace
) -> dict[str, list[float]]:
    """Time every way to train at a batch size, interleaved; skip larger packs than a slow one."""
    cases = {"looped": timing(engine(training, batch_size, 1, None), 1)[0]}
    for pack in chosen.packs:
        cases[str(pack)], once = timing(engine(training, batch_size, pack, pack), pack)
        if once > chosen.longest:
            break
    return interleaved(cases, chosen.repeats)


def study_of(name: str, precision: str) -> dict[str, Any]:
    """Return the study of a model of `MODELS`."""
    workload, _, norm = name.partition("+")
    options = {"norm": norm} if norm else {}
    return {
        "workload": workload,
        "workload_options": options,
        "compute": {"precision": precision},
    }


def main() -> None:
    parser = arguments(__doc__, repeats=5)
    parser.add_argument("--models", help="names, separated by commas; default: all")
    parser.add_argument("--made", action="store_true", help="MNIST and CIFAR-10, made of noise")
    parser.add_argument("--precision", default="float32", help="float32 or bf16")
    parser.add_argument("--packs", type=positives, default=[1, 2, 4, 8, 16, 32], metavar="L,L,...")
    parser.add_argument("--batch-sizes", type=positives, default=[1, 8, 64, 512], metavar="B,B,...")
    parser.add_argument(
        "--longest",
        type=float,
        default=0.4,
        help="CPU seconds of a step of all lanes beyond which larger packs are left out; "
        "default 0.4",
    )
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    models = chosen.models.split(",") if chosen.models else MADE if chosen.made else MODELS
    with tempfile.TemporaryDirectory() as folder:
        if chosen.made:
            write_files(Path(folder))
        loaded = {name: resolve(study_of(name, chosen.precision)) for name in models}
    columns = ["looped", *map(str, chosen.packs)]
    rows, runs = [], {}
    for name, (study, training) in loaded.items():
        assert isinstance(training, LoadedWorkload)
        for size in chosen.batch_sizes:
            progress(f"{name} at {size}")
            found = runs[f"{name}|{size}"] = measured(training, size, chosen)
            taken = {way: 1e6 * min(values) for way, values in found.items()}
            best = min(taken, key=lambda way: taken[way])
            auto = str(max(p for p in map(int, list(taken)[1:]) if p <= study.pack_at(size)))
            rows.append(
                [name, f"{size:,}"]
                + [number(taken[way]) if way in taken else "" for way in columns]
                + [best, auto, times(taken[auto] / taken[best])]
            )
    show(
        "A training step of one lane, us of CPU time, one thread",
        ["model", "batch size", *columns, "best", "auto", "auto / best"],
        rows,
        f"Least of {chosen.repeats} interleaved repeats; {chosen.precision}.",
    )
    write_json(chosen, repeats=runs)


if __name__ == "__main__":
    main()
