"""Measurements that a program reports, one JSON object on a line."""

import json
import math
from dataclasses import dataclass
from typing import Any

from study.errors import shown
from workloads.command.program import Command

_LONGEST = 2**16
"""Bytes of a line beyond which it is no measurement."""


class BadLineError(Exception):
    """A program reported what cannot be a measurement; the message says what."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """One measurement; NaN stands for what the program does not report.

    `finite` is False where a reported loss or error is NaN or infinite; `further` holds the
    quantities of `workload_options.quantities`.
    """

    step: int
    train_loss: float
    val_loss: float
    val_error: float
    finite: bool
    further: tuple[float, ...] = ()


class Lines:
    """Splits what a program prints, piece by piece, into lines."""

    def __init__(self) -> None:
        """Start with nothing read."""
        self._rest = b""

    def add(self, piece: bytes) -> list[str]:
        """Return the lines that a piece completes."""
        *whole, rest = (self._rest + piece).split(b"\n")
        self._rest = rest[-_LONGEST:]
        return [_text(line) for line in whole]

    def end(self) -> list[str]:
        """Return the last line, which lacks its line break; none where nothing is left."""
        rest, self._rest = self._rest, b""
        return [_text(rest)] if rest.strip() else []


def _text(line: bytes) -> str:
    # a progress bar begins its line anew with a carriage return
    return line.strip().rpartition(b"\r")[2].decode("utf-8", errors="replace").strip()


class Reader:
    """Reads the measurements of one program by the keys that its workload names.

    Attributes:
        keys: of the JSON objects that were no measurements, to say what was there instead.
    """

    def __init__(self, command: Command) -> None:
        """Read by the keys of a program's workload."""
        self._options, self._measured = command.options, command.measured
        self._fraction = command.target.quantity == "error"
        self.keys: set[str] = set()

    def read(self, line: str, *, only_json: bool) -> Measurement | None:
        """Return the measurement in a line; None for other output, and for other JSON.

        `only_json` refuses lines that are no JSON objects.

        Raises:
            BadLineError: it must be a measurement and is none.
        """
        found = _object(line)
        if found is None:
            if only_json and line:
                raise BadLineError(
                    "a line of $BATCHSCALE_LOG must be a JSON object, such as "
                    f'{{"{self._options.step}": 100, "{self._measured}": 0.31}}, got {shown(line)}'
                )
            return None
        if found.get(self._options.step) is None or found.get(self._measured) is None:
            self.keys.update(found)
            return None
        return self._measurement(found)

    def _measurement(self, found: dict[str, Any]) -> Measurement:
        step = _number(self._options.step, found)
        if not (step >= 0 and step.is_integer() and step < 2**53):
            raise BadLineError(
                f"{self._options.step} must be a whole number of at least 0, got "
                f"{shown(found[self._options.step])}"
            )
        keys = (self._options.train_loss, self._options.loss, self._measured)
        reported = {key: _number(key, found) for key in keys if found.get(key) is not None}
        error = reported[self._measured]
        if self._fraction and not (0 <= error <= 1 or not math.isfinite(error)):
            raise BadLineError(
                f"{self._measured} must be a fraction from 0 to 1, got {error:g}; divide it, or "
                'set workload_options.quantity = "loss" where the target is on a loss'
            )
        train_loss, val_loss, val_error = (reported.get(key, math.nan) for key in keys)
        finite = all(map(math.isfinite, reported.values()))
        further = tuple(
            value if math.isfinite(value) else math.nan
            for key in self._options.quantities
            for value in [math.nan if found.get(key) is None else _number(key, found)]
        )
        return Measurement(int(step), train_loss, val_loss, val_error, finite, further)


def _object(line: str) -> dict[str, Any] | None:
    if not line.startswith("{"):
        return None
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _number(key: str, found: dict[str, Any]) -> float:
    value = found[key]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadLineError(f"{key} must be a number, got {shown(value)}")
    try:
        return float(value)
    except OverflowError:
        return math.inf
