"""What is known of a trial of a program, as files that outlive its worker."""

import contextlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from study.records import Curve

Row = tuple[int, float, float, float, float]
"""Step, training loss, validation loss, validation error, seconds."""


@dataclass(frozen=True, slots=True)
class End:
    """How a program's run ended, besides its measurements.

    Attributes:
        message: why the trial failed; empty where it did not.
        diverged_at: step of a measurement that was not finite; None without one.
        finished: whether the program took all its steps, the last ones unmeasured.
    """

    message: str = ""
    diverged_at: int | None = None
    finished: bool = False


def read_end(path: Path) -> End | None:
    """Return how a run ended; None where it has not."""
    try:
        return End(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):  # no file, or a damaged one
        return None


def read_rows(path: Path) -> list[Row]:
    """Return the measurements of a file, which may lack or have a torn last line."""
    rows: list[Row] = []
    with contextlib.suppress(OSError, ValueError):
        for line in path.read_text(encoding="utf-8").splitlines():
            step, *values = json.loads(line)
            rows.append((int(step), *map(float, values)))  # type: ignore[arg-type]
    return rows


def line_of(row: Row) -> str:
    """Return a measurement as a line of the file that `read_rows` reads."""
    return json.dumps(row) + "\n"


def write(path: Path, text: str) -> None:
    """Write a file atomically, in a folder that need not exist."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)


def curve_of(rows: Sequence[Row]) -> Curve:
    """Return measurements as a curve."""
    if not rows:
        return Curve.empty()
    step, train_loss, val_loss, val_error, seconds = np.array(rows, dtype=np.float64).T
    return Curve(
        step=step.astype(np.int64),
        train_loss=train_loss,
        val_loss=val_loss,
        val_error=val_error,
        seconds=seconds,
    )
