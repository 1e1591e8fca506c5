"""Functions for a Python program that batchscale runs; they need only the standard library."""

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Trial(Mapping[str, float]):
    """The trial that a program is to train, as a mapping of its hyperparameters.

    Outside of batchscale there are no budgets and no folder for checkpoints.

    Attributes:
        hyperparameters: values by name, also as `trial["lr"]`.
        batch_size: examples per step.
        micro_batch: examples to process at once.
        seed: seed of initialization and data order, 0 to 2^31 - 1.
        max_steps: the budget in steps.
        max_examples: the budget in examples.
        checkpoint: folder for checkpoints.
        resume: whether `checkpoint` has those of an earlier start of this trial.
    """

    hyperparameters: Mapping[str, float] = field(default_factory=dict)
    batch_size: int = 32
    micro_batch: int = 32
    seed: int = 0
    max_steps: int | None = None
    max_examples: int | None = None
    checkpoint: Path | None = None
    resume: bool = False

    def __getitem__(self, name: str) -> float:
        return self.hyperparameters[name]

    def __iter__(self):  # type: ignore[no-untyped-def]
        return iter(self.hyperparameters)

    def __len__(self) -> int:
        return len(self.hyperparameters)


def trial(**hyperparameters: float) -> Trial:
    """Return the trial that this program is to train.

    Args:
        **hyperparameters: values for a run by hand, such as `lr=0.1`; those of the study replace
            them where batchscale runs the program.

    Returns:
        The trial; outside of batchscale one with these values, seed 0 and no budget.
    """
    fields = json.loads(os.environ.get("BATCHSCALE_TRIAL", "{}"))
    values = {**hyperparameters, **fields.pop("hyperparameters", {})}
    if "checkpoint" in fields:
        fields["checkpoint"] = Path(fields["checkpoint"])
    resume = os.environ.get("BATCHSCALE_RESUME") == "1"
    return Trial(hyperparameters=values, resume=resume, **fields)


def report(*, step: int, **values: float) -> None:
    """Report a measurement to batchscale, or print it if the program is run by hand.

    Of the processes that torchrun or MPI started, only the first one reports.

    Args:
        step: optimizer steps taken before the measurement; larger in every call.
        **values: measured values, such as `val_error=0.31` or `val_loss=1.2`; numbers, or tensors
            and arrays with one element.
    """
    if any(os.environ.get(name, "0") != "0" for name in ("RANK", "OMPI_COMM_WORLD_RANK")):
        return
    numbers = {name: _number(name, value) for name, value in {"step": step, **values}.items()}
    # batchscale refuses a fractional step, so it must not be truncated here
    if numbers["step"].is_integer():
        numbers["step"] = int(numbers["step"])
    line = json.dumps(numbers)
    path = os.environ.get("BATCHSCALE_LOG")
    if path is None:
        print(line, file=sys.stdout, flush=True)
        return
    with open(path, "a", encoding="utf-8") as file:
        file.write(line + "\n")


def _number(name: str, value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise TypeError(
            f"batchscale.report takes numbers, got {name} = {value!r:.100}; leave out what was "
            "not measured"
        ) from None
