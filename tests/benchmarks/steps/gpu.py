"""Measure trial-steps per second on a GPU, against a bare loop and the limit of the card.

The Simple CNN is trained on synthetic images of MNIST's shape (made_images.py), at 13 batch sizes.

bare: what one would write by hand for one trial: a module, `torch.optim.SGD`, indexing.
packed: the engine's lanes, one for each trial, in packs of the size that a study gets by default.
floor: a lower bound on the time of a step on this card: the larger of the time to move its bytes
    (parameters, gradients, momentum and activations, each once in and once out) at the card's
    measured rate of copying, and the time of its operations (three forward passes) at the card's
    measured rate of multiplying large matrices.

Then a complete sweep is timed, with as many trials at every batch size, by several workers that
share the card. --device cpu is for trying out the script.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from study.config.sections import Precision
from study.engine.networks.training import LoadedWorkload, fresh_model, moved
from study.planning.resolve import resolve
from study.planning.sizing import Device
from tests.benchmarks.measuring import (
    arguments,
    interleaved,
    number,
    peers,
    positive,
    positives,
    progress,
    ratios,
    run,
    show,
    spread,
    write_json,
)
from tests.benchmarks.steps.engine import bare, engine

WORKLOAD = f"{Path(__file__).parents[1] / 'made_images.py'}:MadeImages"
BATCH_SIZES = [2**k for k in range(13)]
MIN_SECONDS = 1.0
"""Length of one timing."""
_PER_PARAMETER = 8 * 4
"""Bytes: read by both passes, gradient out and in, momentum in and out, parameter in and out."""
_PER_ACTIVATION = 4 * 4
"""Bytes: the value out and in, and its gradient out and in."""


def study_of(chosen: argparse.Namespace) -> dict[str, Any]:
    """Return the study file of the sweep."""
    return {
        "workload": WORKLOAD,
        "workload_options": {"train": chosen.images, "validation": chosen.validation},
        "batch_sizes": chosen.batch_sizes,
        "search": {"trials": chosen.trials},
        "race": {"max_steps": chosen.max_steps, "prune": [0.25, 0.5]},
        "replicates": {"seeds": 0},
        "compute": {"precision": chosen.precision},
    }


def wait(device: str) -> None:
    """Wait until the device is idle."""
    if device == "cuda":
        torch.cuda.synchronize()


def timed(work: Callable[[int], Any], device: str, seconds: float) -> Callable[[], float]:
    """Return a function that times one unit of work in seconds; `work` does a number of units."""
    work(3)  # traces, captured graphs, libraries
    wait(device)
    began = time.perf_counter()
    work(1)
    wait(device)
    count = max(1, round(seconds / max(time.perf_counter() - began, 1e-6)))

    def once() -> float:
        began = time.perf_counter()
        work(count)
        wait(device)
        return (time.perf_counter() - began) / count

    return once


def rates(device: str, seconds: float) -> tuple[float, float]:
    """Return the bytes copied and the operations done per second, measured on the device."""
    size = 4096 if device == "cuda" else 512
    one, other = (torch.randn(size, size, device=device) for _ in range(2))
    out = torch.empty_like(one)
    block = torch.zeros(2**26 if device == "cuda" else 2**22, device=device)
    copied = torch.empty_like(block)

    def multiply(count: int) -> None:
        for _ in range(count):
            torch.mm(one, other, out=out)

    def copy(count: int) -> None:
        for _ in range(count):
            copied.copy_(block)

    moved_bytes = 2 * block.nbytes / timed(copy, device, seconds)()
    return moved_bytes, 2 * size**3 / timed(multiply, device, seconds)()


def work_of(training: LoadedWorkload) -> tuple[int, int, int]:
    """Return the numbers of parameters, and of activations and forward operations per example."""
    from study.planning.dry_build import model_size

    model, sizes = fresh_model(training, 0), []
    for layer in model.modules():
        if not any(layer.children()):
            layer.register_forward_hook(lambda _, __, out: sizes.append(out.numel()))
    size = model_size(training, model)
    return size.parameters, sum(sizes), size.flops


def floor(training: LoadedWorkload, batch_size: int, rate: tuple[float, float]) -> float:
    """Return a lower bound on the seconds of a training step of one lane."""
    parameters, activations, flops = work_of(training)
    moving = _PER_PARAMETER * parameters + _PER_ACTIVATION * activations * batch_size
    return max(moving / rate[0], 3 * flops * batch_size / rate[1])


def steps(chosen: argparse.Namespace, training: LoadedWorkload, pack: Callable[[int], int]) -> Any:
    """Time a step at every batch size, and show the table."""
    rate, rows, runs = rates(chosen.device, chosen.seconds), [], {}
    for size in chosen.batch_sizes:
        progress(f"batch size {size}")
        lanes, width = chosen.trials, min(chosen.trials, pack(size))
        packed = engine(training, size, lanes, width)
        cases = {
            "bare": timed(bare(training, size), chosen.device, chosen.seconds),
            "packed": timed(packed, chosen.device, chosen.seconds),
        }
        found = interleaved(cases, chosen.repeats)
        alone = [1 / seconds for seconds in found["bare"]]
        together = [lanes / seconds for seconds in found["packed"]]
        best = 1 / floor(training, size, rate)
        runs[size] = {"bare": alone, "packed": together, "floor": best, "pack": width}
        rows.append(
            [
                f"{size:,}",
                str(width),
                number(spread(alone).median),
                number(spread(together).median),
                ratios(together, alone),
                number(best),
                f"{spread(together).median / best:.1%}",
            ]
        )
    show(
        f"Trial-steps a second, {name_of(chosen.device)}, {chosen.trials} trials",
        ["batch size", "pack", "bare", "packed", "packed / bare", "floor", "of the floor"],
        rows,
        f"{peers('torch')}. Medians of {chosen.repeats} interleaved repeats (least to "
        f"most). Measured: {rate[0] / 1e9:,.0f} GB/s copied, {rate[1] / 1e12:,.1f} TFLOP/s.",
    )
    return runs


def name_of(device: str) -> str:
    """Return the name of the card."""
    return torch.cuda.get_device_name() if device == "cuda" else "CPU"


def sweep(chosen: argparse.Namespace) -> float:
    """Run the sweep; return its seconds from process start to exit."""
    import sys

    import tomlkit

    with tempfile.TemporaryDirectory(prefix="benchmark-") as place:
        file = Path(place) / "panel.toml"
        file.write_text(tomlkit.dumps(study_of(chosen)), encoding="utf-8")
        words = [sys.executable, "-m", "batchscale", "sweep", file, "--results", place]
        words += ["--workers", str(chosen.workers)]
        words += ["--gpus-per-worker", str(1 / chosen.workers)] if chosen.device == "cuda" else []
        seconds = run(words, limit=chosen.limit).seconds
    many = f"{chosen.trials} trials x {len(chosen.batch_sizes)} batch sizes"
    show("Complete sweep", ["study", "seconds"], [[many, number(seconds)]])
    return seconds


def main() -> None:
    parser = arguments(__doc__, repeats=3)
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--trials", type=positive, default=100, help="default 100")
    parser.add_argument("--max-steps", type=positive, default=4000, help="default 4000")
    parser.add_argument("--batch-sizes", type=positives, default=BATCH_SIZES, metavar="B,B,...")
    parser.add_argument("--images", type=positive, default=55_000, help="to train; default 55000")
    parser.add_argument("--validation", type=positive, default=2000, help="images; default 2000")
    parser.add_argument("--precision", choices=list(Precision), default=Precision.FLOAT32)
    parser.add_argument(
        "--workers", type=positive, default=4, help="that share the card; default 4"
    )
    parser.add_argument("--seconds", type=float, default=MIN_SECONDS, help="of one timing")
    parser.add_argument("--limit", type=float, default=1200.0, help="seconds of the sweep, at most")
    parser.add_argument("--no-sweep", action="store_true", help="only the table of steps")
    chosen = parser.parse_args()
    device = Device("cuda", 1.0) if chosen.device == "cuda" else Device()
    study, trainable = resolve(study_of(chosen), device)
    training = moved(trainable, chosen.device)
    assert isinstance(training, LoadedWorkload)
    assert isinstance(fresh_model(training, 0), nn.Module)
    runs = steps(chosen, training, study.pack_at)
    seconds = None if chosen.no_sweep else sweep(chosen)
    write_json(
        chosen,
        card=name_of(chosen.device),
        trial_steps_per_second={str(size): found for size, found in runs.items()},
        sweep_seconds=seconds,
    )


if __name__ == "__main__":
    main()
