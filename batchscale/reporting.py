"""What a Python program that batchscale runs may call; it needs nothing but Python itself."""

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Trial(Mapping[str, float]):
    """What a program is to train, as a mapping of its hyperparameters.

    Attributes:
        hyperparameters: values by name, also as `trial["lr"]`.
        batch_size: examples per step.
        micro_batch: examples to process at once.
        seed: of initialization and data order, 0 to 2^31 - 1.
        max_steps: the step budget; None where batchscale does not run the program.
        max_examples: the budget in examples; None there too.
        checkpoint: folder for checkpoints; None there too.
        resume: whether `checkpoint` holds those of an earlier start of this trial.
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
    """Return what this program is to train.

    Args:
        **hyperparameters: values for a run by hand, such as `lr=0.1`; those of the study replace
            them where batchscale runs the program.

    Returns:
        The trial; outside of batchscale one of these values, with seed 0 and no budget.
    """
    told = json.loads(os.environ.get("BATCHSCALE_TRIAL", "{}"))
    values = {**hyperparameters, **told.pop("hyperparameters", {})}
    if "checkpoint" in told:
        told["checkpoint"] = Path(told["checkpoint"])
    resume = os.environ.get("BATCHSCALE_RESUME") == "1"
    return Trial(hyperparameters=values, resume=resume, **told)


def report(*, step: int, **values: float) -> None:
    """Report a measurement, as a line of JSON that batchscale reads; outside of it, print it.

    Of several processes that torchrun or MPI started, only the first reports.

    Args:
        step: optimizer steps taken before the measurement; it rises from call to call.
        **values: what was measured, such as `val_error=0.31` or `val_loss=1.2`; numbers, or tensors
            and arrays of one.
    """
    if any(os.environ.get(name, "0") != "0" for name in ("RANK", "OMPI_COMM_WORLD_RANK")):
        return
    numbers = {name: _number(name, value) for name, value in {"step": step, **values}.items()}
    # a step that is no whole number is for batchscale to refuse, not for this to cut
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
            f"batchscale.report must be given numbers, got {name} = {value!r:.100}; leave out "
            "what is not measured"
        ) from None
