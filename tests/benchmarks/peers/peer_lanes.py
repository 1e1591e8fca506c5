"""The script of a user who knows torch.func: 16 lanes at once under vmap, hopeless ones stopped.

`against_optuna.py --peer clever` runs it as `python peer_lanes.py JOB.json OUT.json`. Of
batchscale, it uses only the model and the data. Batch sizes are shared among as many processes as
the job has workers, the most expensive first; at each one, the points of an Optuna study are
trained 16 at a time, and all stop at 1.5 times the fewest steps so far.
"""

import json
import math
import multiprocessing
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import optuna
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad_and_value, stack_module_state, vmap

from workloads.builtin.classification import DigitsMLP, FashionMnistMLP

WORKLOADS = {"digits-mlp": DigitsMLP, "fashion-mnist-mlp": FashionMnistMLP}
LANES, SLACK = 16, 1.5


class Lanes:
    """Networks that train together at one batch size, each on its own batches."""

    def __init__(self, job: dict[str, Any], task: dict[str, Any], points: list[Any]) -> None:
        workload = WORKLOADS[job["workload"]]()
        self.data, self.batch_size = workload.data(), task["batch_size"]
        self.measured, self.target = task["measured_steps"], job["target"]
        models = [workload.model() for _ in points]
        self.parameters, _ = stack_module_state(models)
        model = models[0]

        def loss(parameters: Any, inputs: Tensor, targets: Tensor) -> Tensor:
            outputs = functional_call(model, parameters, (inputs,))
            return nn.functional.cross_entropy(outputs, targets)

        def error(parameters: Any, inputs: Tensor, targets: Tensor) -> Tensor:
            outputs = functional_call(model, parameters, (inputs,))
            return (outputs.argmax(dim=1) != targets).float().mean()

        self.step = vmap(grad_and_value(loss))
        self.error = vmap(error, in_dims=(0, None, None))
        self.lr = torch.tensor([point["lr"] for point in points])
        self.momentum = torch.tensor([point["momentum"] for point in points])

    def race(self, fewest: float) -> tuple[list[int | None], int]:
        """Return each lane's steps to target, and the step at which all stopped."""
        inputs, targets = self.data.train
        lanes, examples = len(self.lr), len(inputs)
        velocity = {name: torch.zeros_like(value) for name, value in self.parameters.items()}
        steps: list[int | None] = [None] * lanes
        order, position, alive = torch.empty(lanes, 0, dtype=torch.long), 0, torch.ones(lanes) > 0
        step, measured = 0, set(self.measured)
        with torch.no_grad():
            while step < self.measured[-1] and step < SLACK * fewest and alive.any():
                if position + self.batch_size > order.shape[1]:
                    order = torch.stack([torch.randperm(examples) for _ in range(lanes)])
                    position = 0
                rows = order[:, position : position + self.batch_size]
                position += self.batch_size
                gradients, losses = self.step(self.parameters, inputs[rows], targets[rows])
                for name, value in self.parameters.items():
                    shape = (lanes, *[1] * (value.dim() - 1))
                    momentum, gradient = self.momentum.view(shape), gradients[name]
                    velocity[name].mul_(momentum).add_(gradient)
                    value.sub_(self.lr.view(shape) * (gradient + momentum * velocity[name]))
                step += 1
                if step not in measured:
                    continue
                errors = self.error(self.parameters, *self.data.validation)
                alive &= losses.isfinite()
                for lane in (alive & (errors < self.target)).nonzero().flatten().tolist():
                    steps[lane] = step
                    fewest = min(fewest, step)
                alive &= errors >= self.target
        return steps, step


def tuned(job: dict[str, Any], task: dict[str, Any]) -> list[dict[str, Any]]:
    """Run the trials of one batch size; return them as rows."""
    torch.set_num_threads(1)
    lr, momentum = job["space"]["lr"], job["space"]["momentum"]
    low, high = 1 - momentum["high"], 1 - momentum["low"]
    study = optuna.create_study(direction="minimize")
    for point in task["points"]:
        rest = min(max(1 - point["momentum"], low), high)
        study.enqueue_trial({"lr": point["lr"], "one_minus_momentum": rest})
    rows: list[dict[str, Any]] = []
    fewest, budget = math.inf, task["measured_steps"][-1]
    while len(rows) < len(task["points"]):
        trials = [study.ask() for _ in range(min(LANES, len(task["points"]) - len(rows)))]
        points = [
            {
                "lr": trial.suggest_float("lr", lr["low"], lr["high"], log=True),
                "momentum": 1 - trial.suggest_float("one_minus_momentum", low, high, log=True),
            }
            for trial in trials
        ]
        steps, stopped = Lanes(job, task, points).race(fewest)
        for trial, point, taken in zip(trials, points, steps, strict=True):
            study.tell(trial, taken or 2.0 * budget)
            ended = {"steps": taken, "stopped_at": taken or stopped}
            rows.append({"batch_size": task["batch_size"], **point, **ended})
            fewest = min(fewest, taken or math.inf)
    return rows


def main() -> None:
    job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    began = time.time()
    tasks = sorted(job["tasks"], key=lambda task: task["batch_size"], reverse=True)
    with multiprocessing.get_context("fork").Pool(job["workers"]) as pool:
        rows = [row for found in pool.imap(partial(tuned, job), tasks) for row in found]
    out = {"trials": rows, "began": began, "trained": time.time()}
    Path(sys.argv[2]).write_text(json.dumps(out), encoding="utf-8")


if __name__ == "__main__":
    main()
