"""Measurements that a program reports, one JSON object on a line."""

import contextlib
import json
import math
import re
from dataclasses import dataclass
from typing import Any

from analysis.tables.nested import leaves, unique_keys
from study.errors import shown
from workloads.command import Command

_LONGEST = 2**24
"""Bytes of a line beyond which it is no measurement."""

_NOT_FINITE = re.compile(r":\s*[-+]?(?:nan|inf|infinity)\s*(?=[,}])", re.IGNORECASE)
"""What C's printf and Python's f-strings write where a number is not finite; JSON has no word."""


class BadLineError(Exception):
    """A program reported what cannot be a measurement; the message says what."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """One measurement; NaN stands for what the program does not report."""

    step: int
    train_loss: float
    val_loss: float
    val_error: float
    finite: bool  # False where a reported loss or error is NaN or infinite
    further: tuple[float, ...] = ()  # those of `workload_options.quantities`


class Lines:
    """Splits what a program prints, piece by piece, into lines."""

    def __init__(self) -> None:
        """Start with nothing read."""
        self._rest = b""

    def add(self, piece: bytes) -> list[str]:
        """Return the lines that a piece completes; a carriage return ends one too."""
        *whole, rest = (self._rest + piece).replace(b"\r", b"\n").split(b"\n")
        self._rest = rest[: _LONGEST + 1]
        return [_text(line) for line in whole if len(line) <= _LONGEST]

    def end(self) -> list[str]:
        """Return the last line, which lacks its line break; none where nothing whole is left."""
        rest, self._rest = _text(self._rest), b""
        # a program that was killed tears its last line
        torn = rest.count("{") > rest.count("}")
        return [rest] if rest and not torn else []


def _text(line: bytes) -> str:
    return line.decode("utf-8", errors="replace").strip()


class Reader:
    """Reads the measurements of one program by the keys that its workload names."""

    def __init__(self, command: Command) -> None:
        """Read by the keys of a program's workload."""
        self._options, self._measured = command.options, command.measured
        self._fraction = command.target.quantity == "error"
        # of the JSON objects that were no measurements, to say what was there instead
        self.keys: set[str] = set()
        # step of the null with which the measurements end, as many languages write NaN
        self.null_at: int | None = None
        self._sparse = False

    def read(self, line: str, *, only_json: bool) -> Measurement | None:
        """Return the measurement in a line; None for other output, and for other JSON.

        Progress bars, loggers and terminals may put something around it. `only_json` refuses lines
        that are no JSON objects.

        Raises:
            BadLineError: it must be a measurement and is none.
        """
        found = _object(line)
        if found is None:
            if self._looks_like_one(line):
                raise BadLineError(
                    f"a line with the keys {self._options.step} and {self._measured} must be one "
                    f"JSON object with each key once, got {shown(line)}; print each line whole, "
                    "from one process"
                )
            if only_json and line:
                raise BadLineError(
                    "a line of $BATCHSCALE_LOG must be a JSON object, such as "
                    f'{{"{self._options.step}": 100, "{self._measured}": 0.31}}, got {shown(line)}'
                )
            return None
        step = found.get(self._options.step)
        if step is None or found.get(self._measured) is None:
            self.keys.update(found)
            if isinstance(step, int) and self._measured in found and not self._sparse:
                self.null_at = step if self.null_at is None else self.null_at
            return None
        self._sparse |= self.null_at is not None
        self.null_at = None
        return self._measurement(found)

    def _looks_like_one(self, line: str) -> bool:
        """Return whether a line was meant as a measurement, which must not be passed over."""
        keys = (self._options.step, self._measured)
        return "{" in line and all(json.dumps(key) in line for key in keys)

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
    """Return the JSON object in a line, nested ones by dotted keys."""
    if "{" not in line:
        return None
    text = line[line.find("{") : line.rfind("}") + 1]
    for form in (text, _NOT_FINITE.sub(": NaN", text)):
        with contextlib.suppress(ValueError, RecursionError):
            return dict(leaves(json.loads(form, object_pairs_hook=unique_keys)))
    return None


def _number(key: str, found: dict[str, Any]) -> float:
    value = found[key]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadLineError(f"{key} must be a number, got {shown(value)}")
    try:
        return float(value)
    except OverflowError:
        return math.inf
