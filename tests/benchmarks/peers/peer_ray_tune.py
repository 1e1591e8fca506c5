"""The usual script of a user of Ray Tune and PyTorch: the fewest steps to a target, per batch size.

`against_ray_tune.py` runs it as `python peer_ray_tune.py JOB.json OUT.json`. Of batchscale, it uses
only the model and the data. Each batch size has a `Tuner`: OptunaSearch proposes points (here, the
given ones), and a function trainable trains with a torch `DataLoader` and `torch.optim.SGD` and
reports each evaluation, with as many trials at once as there are cores.

It is written to be fast where Ray Tune allows it:

- One Ray for all batch sizes; no dashboard, no loggers, no console output of Tune.
- The data are put into Ray's object store once per batch size, not read by every trial.
- `reuse_actors=True`, off by default in Ray, lets a worker process run further trials, instead of
  a new process that has to import torch. On two busy cores, 16 trials of 50 steps took 2.6 s with
  it and 29 s without (--no-reuse-actors).
- No worker processes in the DataLoader: the data are in memory, and processes cost more.
- `drop_last=True`: every step has exactly the batch size, as in batchscale.
- One torch thread per worker, as many workers as cores.
"""

import json
import logging
import math
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ |= {
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
}

# after these, which Ray reads when it is imported
import optuna
import ray
import torch
from ray import tune
from ray.tune.search.optuna import OptunaSearch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from workloads.builtin.classification import DigitsMLP, FashionMnistMLP

WORKLOADS = {"digits-mlp": DigitsMLP, "fashion-mnist-mlp": FashionMnistMLP}


def batches(inputs: Tensor, targets: Tensor, size: int, how: str) -> Iterator[tuple[Tensor, ...]]:
    """Yield shuffled batches, epoch after epoch, without end."""
    if how == "dataloader":
        loader = DataLoader(
            TensorDataset(inputs, targets), batch_size=size, shuffle=True, drop_last=True
        )
        while True:
            yield from loader
    while True:  # plain indexing avoids the DataLoader's cost per example
        order = torch.randperm(len(inputs))
        for start in range(0, len(inputs) - size + 1, size):
            rows = order[start : start + size]
            yield inputs[rows], targets[rows]


def train(
    config: dict[str, float], data: dict[str, Any], task: dict[str, Any], job: dict[str, Any]
) -> None:
    """Train a network until the target, the budget or a loss that is not finite."""
    torch.set_num_threads(1)
    began = time.time()
    model = WORKLOADS[job["workload"]]().model()
    momentum = 1 - config["one_minus_momentum"]
    optimizer = torch.optim.SGD(
        model.parameters(), lr=config["lr"], momentum=momentum, nesterov=momentum > 0
    )
    measured, budget = set(task["measured_steps"]), task["measured_steps"][-1]
    inputs, targets = data["train"]
    stream = batches(inputs, targets, task["batch_size"], job["batches"])
    running = torch.zeros(())
    for step in range(1, budget + 1):
        inputs, targets = next(stream)
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(inputs), targets)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        running += loss.detach()
        if step not in measured:
            continue
        inputs, targets = data["validation"]
        with torch.no_grad():
            logits = model(inputs)
            validation = nn.functional.cross_entropy(logits, targets).item()
            error = (logits.argmax(dim=1) != targets).float().mean().item()
        finite = math.isfinite(running.item()) and math.isfinite(validation)
        reached = finite and error < job["target"]
        # minimized: steps, then the distance to the target, divergence last
        missed = budget * (1 + error) if finite else 3 * budget
        last = reached or not finite or step == budget
        if last or job["report"] == "each":
            tune.report(
                {
                    "objective": step if reached else missed,
                    "step": step,
                    "error": error,
                    "reached": reached,
                    "finite": finite,
                    "began": began,
                }
            )
        running.zero_()
        if last:
            return


class StopLate(tune.Stopper):
    """A stopper of trials that are past `slack` times the fewest steps so far."""

    def __init__(self, slack: float) -> None:
        self.slack, self.fewest = slack, math.inf

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        if result["reached"]:
            self.fewest = min(self.fewest, result["step"])
        return bool(result["step"] >= self.slack * self.fewest)

    def stop_all(self) -> bool:
        return False


def search(job: dict[str, Any], task: dict[str, Any]) -> OptunaSearch:
    """Return a search over learning rate and, on a log scale, 1 - momentum."""
    lr, momentum = job["space"]["lr"], job["space"]["momentum"]
    low, high = 1 - momentum["high"], 1 - momentum["low"]
    return OptunaSearch(
        space={
            "lr": optuna.distributions.FloatDistribution(lr["low"], lr["high"], log=True),
            "one_minus_momentum": optuna.distributions.FloatDistribution(low, high, log=True),
        },
        metric="objective",
        mode="min",
        points_to_evaluate=[
            {"lr": p["lr"], "one_minus_momentum": min(max(1 - p["momentum"], low), high)}
            for p in task["points"]
        ],
    )


def tuned(job: dict[str, Any], task: dict[str, Any], data: dict[str, Any]) -> list[dict[str, Any]]:
    """Run the trials of one batch size; return them as rows, from Tune's result grid."""
    trainable = tune.with_parameters(train, data=data, task=task, job=job)
    grid = tune.Tuner(
        tune.with_resources(trainable, {"cpu": 1}),
        tune_config=tune.TuneConfig(
            search_alg=search(job, task),
            num_samples=len(task["points"]),
            max_concurrent_trials=job["workers"],
            reuse_actors=job["reuse_actors"],
        ),
        run_config=tune.RunConfig(
            name=f"batch-size-{task['batch_size']}",
            storage_path=job["storage"],
            stop=StopLate(job["slack"]) if job["slack"] else None,
            verbose=0,
        ),
    ).fit()
    rows = []
    for result in (grid[index] for index in range(len(grid))):
        if result.error:
            raise result.error
        config, last = result.config or {}, result.metrics or {}
        rows.append(
            {
                "batch_size": task["batch_size"],
                "lr": config["lr"],
                "momentum": 1 - config["one_minus_momentum"],
                "steps": last["step"] if last["reached"] else None,
                "stopped_at": last["step"],
                "began": last["began"],
                "process": last["pid"],
            }
        )
    return rows


def main() -> None:
    job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    loaded = WORKLOADS[job["workload"]]().data()
    data = {"train": tuple(loaded.train), "validation": tuple(loaded.validation)}
    ray.init(
        address="local",
        num_cpus=job["workers"],
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
    )
    rows: list[dict[str, Any]] = []
    for task in job["tasks"]:
        rows += tuned(job, task, data)
    trained = time.time()
    ray.shutdown()
    fewest: dict[int, int] = {}
    for row in rows:
        if row["steps"] is not None:
            size = row["batch_size"]
            fewest[size] = min(row["steps"], fewest.get(size, row["steps"]))
    print("batch size  steps to target")
    for task in job["tasks"]:
        print(f"{task['batch_size']:10,}  {fewest.get(task['batch_size'], '-')}")
    out = {"trials": rows, "began": min(row["began"] for row in rows), "trained": trained}
    Path(sys.argv[2]).write_text(json.dumps(out), encoding="utf-8")


if __name__ == "__main__":
    main()
