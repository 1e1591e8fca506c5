"""The usual script of a user of Optuna and PyTorch, without Ray: one process, one loop per trial.

`against_optuna.py` runs it as `python peer_optuna.py JOB.json OUT.json`. Of batchscale, it uses
only the model and the data. Each batch size has an Optuna study, whose trials run one after
another; batches are taken from a shuffled order by indexing, which for data in memory is several
times faster than a DataLoader. Torch uses its default number of threads unless the job gives one.
"""

import json
import math
import sys
import time
from pathlib import Path
from typing import Any

import optuna
import torch
from torch import Tensor, nn

from workloads.builtin.classification import DigitsMLP, FashionMnistMLP

WORKLOADS = {"digits-mlp": DigitsMLP, "fashion-mnist-mlp": FashionMnistMLP}


class Trainer:
    """A trainer for networks of one workload at one batch size."""

    def __init__(self, job: dict[str, Any], task: dict[str, Any], data: Any) -> None:
        self.workload = WORKLOADS[job["workload"]]()
        self.inputs, self.targets = data.train
        self.validation: tuple[Tensor, Tensor] = data.validation
        self.batch_size: int = task["batch_size"]
        self.measured, self.budget = set(task["measured_steps"]), task["measured_steps"][-1]
        self.target: float = job["target"]
        self.slack: float = job["slack"] or math.inf
        self.fewest = math.inf

    def train(self, lr: float, momentum: float) -> dict[str, Any]:
        """Train a network until the target, the budget or a loss that is not finite."""
        model = self.workload.model()
        optimizer = torch.optim.SGD(
            model.parameters(), lr=lr, momentum=momentum, nesterov=momentum > 0
        )
        order, position = torch.randperm(len(self.inputs)), 0
        running, error, finite, reached = torch.zeros(()), math.nan, True, False
        step = 0
        while step < self.budget and finite and not reached:
            if position + self.batch_size > len(order):
                order, position = torch.randperm(len(self.inputs)), 0
            rows = order[position : position + self.batch_size]
            position += self.batch_size
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(self.inputs[rows]), self.targets[rows])
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            running += loss.detach()
            step += 1
            if step not in self.measured:
                continue
            validation, error = self.evaluate(model)
            finite = math.isfinite(running.item()) and math.isfinite(validation)
            reached = finite and error < self.target
            running.zero_()
            if step >= self.slack * self.fewest:
                break
        if reached:
            self.fewest = min(self.fewest, step)
        missed = self.budget * (1 + error) if finite else 3 * self.budget
        return {
            "steps": step if reached else None,
            "stopped_at": step,
            "objective": step if reached else missed,
        }

    def evaluate(self, model: nn.Module) -> tuple[float, float]:
        """Return validation loss and error."""
        inputs, targets = self.validation
        with torch.no_grad():
            logits = model(inputs)
            loss = nn.functional.cross_entropy(logits, targets)
            error = (logits.argmax(dim=1) != targets).float().mean()
        return loss.item(), error.item()


def tuned(job: dict[str, Any], task: dict[str, Any], data: Any) -> list[dict[str, Any]]:
    """Run the trials of one batch size; return them as rows."""
    trainer, rows = Trainer(job, task, data), []
    lr, momentum = job["space"]["lr"], job["space"]["momentum"]
    low, high = 1 - momentum["high"], 1 - momentum["low"]

    def objective(trial: optuna.Trial) -> float:
        values = {
            "lr": trial.suggest_float("lr", lr["low"], lr["high"], log=True),
            "momentum": 1 - trial.suggest_float("one_minus_momentum", low, high, log=True),
        }
        ended = trainer.train(**values)
        rows.append({"batch_size": task["batch_size"], **values, **ended})
        return float(ended["objective"])

    study = optuna.create_study(direction="minimize")
    for point in task["points"]:
        rest = min(max(1 - point["momentum"], low), high)
        study.enqueue_trial({"lr": point["lr"], "one_minus_momentum": rest})
    study.optimize(objective, n_trials=len(task["points"]))
    return rows


def main() -> None:
    job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    if job["threads"] is not None:
        torch.set_num_threads(job["threads"])
    data = WORKLOADS[job["workload"]]().data()
    began = time.time()
    rows: list[dict[str, Any]] = []
    for task in job["tasks"]:
        rows += tuned(job, task, data)
        here = [row["steps"] for row in rows if row["batch_size"] == task["batch_size"]]
        fewest = min((steps for steps in here if steps is not None), default="-")
        print(f"batch size {task['batch_size']:,}: {fewest} steps to target")
    out = {"trials": rows, "began": began, "trained": time.time()}
    Path(sys.argv[2]).write_text(json.dumps(out), encoding="utf-8")


if __name__ == "__main__":
    main()
