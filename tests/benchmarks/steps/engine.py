"""Compare a training step of the engine with a bare training loop of the same model.

bare: what one would write by hand in torch for one run: a module, `torch.optim.SGD` with Nesterov
      momentum, shuffled indices, one gather per step; no harness, no evaluation.
looped: the engine's lanes one after another, as for a model that vmap does not support.
packed: the engine's lanes together, in packs of the size that a study gets by default ("auto").

All run on one thread, with the same data, in one process. Times are per training step of one lane:
the time of a step of all lanes divided by their number. Not measured: evaluation.
"""

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn

from study.config.study import ResolvedStudy
from study.engine.data_order import DataOrder
from study.engine.ensemble import Ensemble
from study.engine.lanes import GradientLanes, UpdateSettings
from study.engine.networks.looped import LoopedNetwork
from study.engine.networks.packed import PackedNetworks
from study.engine.networks.training import LoadedWorkload, fresh_model
from study.optimizers import OPTIMIZERS
from study.planning.resolve import resolve
from tests.benchmarks.measuring import (
    arguments,
    interleaved,
    number,
    peers,
    positives,
    progress,
    ratio,
    ratios,
    show,
    times,
    write_json,
)

WORKLOADS = {"digits": "digits-mlp", "fashion": "fashion-mnist-mlp"}
LR, MOMENTUM = 1e-3, 0.9
SECONDS = 0.2
"""Approximate length of one timing."""


def bare(training: LoadedWorkload, batch_size: int) -> Callable[[int], None]:
    """Return a hand-written loop over steps."""
    inputs, targets = training.data.train
    model = fresh_model(training, 0).train()
    optimizer = torch.optim.SGD(model.parameters(), lr=LR, momentum=MOMENTUM, nesterov=True)

    def train(steps: int) -> None:
        order, at = torch.randperm(len(inputs), device=inputs.device), 0
        for _ in range(steps):
            if at + batch_size > len(inputs):
                order, at = torch.randperm(len(inputs), device=inputs.device), 0
            batch = order[at : at + batch_size]
            at += batch_size
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(inputs[batch]), targets[batch])
            loss.backward()
            optimizer.step()

    return train


def engine(
    training: LoadedWorkload, batch_size: int, lanes: int, pack: int | None
) -> Callable[[int], Any]:
    """Return the engine's loop over steps, in packs of `pack` lanes, or looped if it is None."""
    seeds = list(range(lanes))
    rule = UpdateSettings(
        optimizer=OPTIMIZERS["nesterov"],
        batch_size=batch_size,
        hyperparameters={"lr": np.full(lanes, LR), "momentum": np.full(lanes, MOMENTUM)},
    )
    packs = [slice(start, start + (pack or 1)) for start in range(0, lanes, pack or 1)]
    made = []
    for part in packs:
        some = seeds[part]
        networks = PackedNetworks(training, some) if pack else LoopedNetwork(training, *some)
        order = DataOrder(some, len(training.data.train.inputs), batch_size, training.device)
        made.append(GradientLanes(training, networks, rule.select(part), order))
    return Ensemble(made).advance


def timing(train: Callable[[int], Any], lanes: int) -> Callable[[], float]:
    """Return a function that times some steps, in seconds per step and lane."""
    train(3)  # to warm up
    began = time.perf_counter()
    train(2)
    steps = max(2, round(SECONDS / ((time.perf_counter() - began) / 2)))

    def timed() -> float:
        began = time.perf_counter()
        train(steps)
        return (time.perf_counter() - began) / steps / lanes

    return timed


def measured(
    study: ResolvedStudy, training: LoadedWorkload, batch_size: int, lanes: list[int], repeats: int
) -> Any:
    """Time every way to train at a batch size, interleaved."""
    limit = study.pack_at(batch_size)
    ways: dict[str, Callable[[], Callable[[int], Any]]] = {
        "bare": partial(bare, training, batch_size),
        "looped": partial(engine, training, batch_size, 1, None),
    }
    counts = {"bare": 1, "looped": 1}
    for count in lanes:
        ways[f"packed {count}"] = partial(engine, training, batch_size, count, min(count, limit))
        counts[f"packed {count}"] = count
    cases = {name: timing(way(), counts[name]) for name, way in ways.items()}
    return interleaved(cases, repeats)


def main() -> None:
    parser = arguments(__doc__, repeats=5)
    parser.add_argument("--workload", choices=WORKLOADS, default="digits")
    parser.add_argument("--lanes", type=positives, default=[1, 4, 16, 64], metavar="L,L,...")
    parser.add_argument(
        "--batch-sizes",
        type=positives,
        default=[1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096],
        metavar="B,B,...",
    )
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    study, training = resolve({"workload": WORKLOADS[chosen.workload]})
    assert isinstance(training, LoadedWorkload)
    sizes = [size for size in chosen.batch_sizes if size <= len(training.data.train.inputs)]
    runs, rows = {}, []
    for size in sizes:
        progress(f"batch size {size}")
        found = runs[size] = measured(study, training, size, chosen.lanes, chosen.repeats)
        packed = [found[f"packed {count}"] for count in chosen.lanes]
        rows.append(
            [
                f"{size:,}",
                number(1e6 * float(np.median(found["bare"]))),
                ratios(found["looped"], found["bare"]),
                *(number(1e6 * float(np.median(values))) for values in packed),
                *(times(ratio(found["looped"], values)) for values in packed),
            ]
        )
    show(
        f"A training step of one lane, {chosen.workload}, one thread",
        [
            "batch size",
            "bare, us",
            "looped / bare",
            *(f"packed {count}, us" for count in chosen.lanes),
            *(f"looped / packed {count}" for count in chosen.lanes),
        ],
        rows,
        f"Medians of {chosen.repeats} interleaved repeats (least to most). {peers('torch')}.",
    )
    write_json(chosen, repeats={str(size): found for size, found in runs.items()})


if __name__ == "__main__":
    main()
