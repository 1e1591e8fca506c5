"""The files of a program's trial, which outlive its worker."""

import contextlib
import json
from dataclasses import dataclass
from pathlib import Path

from batchscale.files import replacing

Row = tuple[float, ...]
"""A measurement: the values of `CURVE_FIELDS`, then of the program's own quantities."""


@dataclass(frozen=True, slots=True)
class End:
    """How a program's run ended, besides its measurements."""

    message: str = ""  # why the trial failed; empty if it did not
    diverged_at: int | None = None  # step of a measurement that was not finite
    finished: bool = False  # whether the program took all its steps, the last ones unmeasured
    killed: int = 0  # if a kill from outside ended it, how often that has happened


def read_end(path: Path) -> End | None:
    """Return how a run ended; None if it has not."""
    try:
        return End(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):  # no file, or a damaged one
        return None


def read_rows(path: Path) -> list[Row]:
    """Return the measurements in a file, which may be missing or end in an incomplete line."""
    rows: list[Row] = []
    with contextlib.suppress(OSError, ValueError):
        for line in path.read_text(encoding="utf-8").splitlines():
            step, *values = json.loads(line)
            rows.append((int(step), *map(float, values)))
    return rows


def line_of(row: Row) -> str:
    """Return a measurement as a line for `read_rows`."""
    return json.dumps(row) + "\n"


def write(path: Path, text: str) -> None:
    """Write a file, completely or not at all, in a folder that need not exist."""
    with replacing(path) as file:
        file.write(text.encode())
