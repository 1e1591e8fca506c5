"""Measures how many lanes are best computed together, and what the automatic choice costs.

A training step of one lane of built-in models, on one thread: the engine's lanes looped, and in
packs of 1 to 32. best: the fastest of them all; auto: what a study gets by default. The last column
is the time of auto by that of the best. MNIST and CIFAR-10 are made up of noise with --made.

CPU seconds of this process, not wall-clock, and the least of the repeats: other work on the machine
only ever adds. Not measured: evaluation.
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
"""Built-in workloads whose data come with Python, scikit-learn or Debian; after a plus the norm."""
MADE = (
    "mnist-mlp",
    "cifar10-resnet8",
    "cifar10-alexnet",
    "cifar10-alexnet-bn",
    "cifar10-vgg11",
    "cifar10-resnet50",
)
"""Further ones, of images that nobody reads."""
SECONDS = 0.15
"""CPU time of one timing: enough steps to take about so long."""


def timing(train: Callable[[int], Any], lanes: int) -> tuple[Callable[[], float], float]:
    """Return a function that times steps, as CPU seconds for a step of one lane; and one of all."""
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
    """Times every way to train at one batch size, interleaved; no larger packs once it is slow."""
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
