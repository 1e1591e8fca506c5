"""Measurements reported by a program, one JSON object per line."""

import contextlib
import json
import math
import re
from dataclasses import dataclass
from typing import Any

from analysis.tables.nested import leaves, unique_keys
from study.errors import shown
from workloads.command import Command

_MAX_LINE = 2**24
"""Bytes beyond which a line cannot be a measurement."""

_NOT_FINITE = re.compile(r":\s*[-+]?(?:nan|inf|infinity)\s*(?=[,}])", re.IGNORECASE)
"""Numbers that are not finite as C's printf and Python's f-strings write them, unlike JSON."""


class BadLineError(Exception):
    """A program reported something that cannot be a measurement; the message says what."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """One measurement; NaN stands for what the program does not report."""

    step: int
    train_loss: float
    val_loss: float
    val_error: float
    finite: bool  # False if a reported loss or error is NaN or infinite
    further: tuple[float, ...] = ()  # the values of `workload_options.quantities`


class Lines:
    """Splits the output of a program into lines, piece by piece."""

    def __init__(self) -> None:
        self._rest = b""

    def add(self, piece: bytes) -> list[str]:
        """Return the lines that a piece completes; a carriage return ends one too."""
        *whole, rest = (self._rest + piece).replace(b"\r", b"\n").split(b"\n")
        self._rest = rest[: _MAX_LINE + 1]
        return [_text(line) for line in whole if len(line) <= _MAX_LINE]

    def end(self) -> list[str]:
        """Return the last line, which has no line break; empty if it is missing or incomplete."""
        rest, self._rest = _text(self._rest), b""
        # a program that is killed may leave half a line
        torn = rest.count("{") > rest.count("}")
        return [rest] if rest and not torn else []


def _text(line: bytes) -> str:
    return line.decode("utf-8", errors="replace").strip()


class Reader:
    """Reads the measurements of one program by the keys that its workload names."""

    def __init__(self, command: Command) -> None:
        self._options, self._measured = command.options, command.measured
        self._is_fraction = command.target.quantity == "error"
        # keys of JSON objects that were not measurements, for messages
        self.keys: set[str] = set()
        # step of the first null after the last measurement: many languages write NaN as null
        self.null_at: int | None = None
        self._has_gaps = False  # whether a measurement followed a null, which then was not NaN

    def read(self, line: str, *, only_json: bool) -> Measurement | None:
        """Return the measurement in a line; None for other output, and for other JSON.

        Progress bars, loggers and terminals may put text around it. `only_json` refuses lines that
        are not JSON objects.

        Raises:
            BadLineError: the line must be a measurement and is not.
        """
        fields = _object(line)
        if fields is None:
            if self._resembles_measurement(line):
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
        step = fields.get(self._options.step)
        if step is None or fields.get(self._measured) is None:
            self.keys.update(fields)
            if isinstance(step, int) and self._measured in fields and not self._has_gaps:
                self.null_at = step if self.null_at is None else self.null_at
            return None
        self._has_gaps |= self.null_at is not None
        self.null_at = None
        return self._measurement(fields)

    def _resembles_measurement(self, line: str) -> bool:
        """Return whether a line was meant as a measurement, which must not be ignored."""
        keys = (self._options.step, self._measured)
        return "{" in line and all(json.dumps(key) in line for key in keys)

    def _measurement(self, fields: dict[str, Any]) -> Measurement:
        step = _number(self._options.step, fields)
        if not (step >= 0 and step.is_integer() and step < 2**53):
            raise BadLineError(
                f"{self._options.step} must be a whole number of at least 0, got "
                f"{shown(fields[self._options.step])}"
            )
        keys = (self._options.train_loss, self._options.loss, self._measured)
        train_loss, val_loss, error = (_number(key, fields) for key in keys)
        if self._is_fraction and not (0 <= error <= 1 or not math.isfinite(error)):
            raise BadLineError(
                f"{self._measured} must be a fraction from 0 to 1, got {error:g}; divide it, or "
                'set workload_options.quantity = "loss" if the target is on a loss'
            )
        reported = [key for key in keys if fields.get(key) is not None]
        finite = all(math.isfinite(_number(key, fields)) for key in reported)
        further = [_number(key, fields) for key in self._options.quantities]
        further = [value if math.isfinite(value) else math.nan for value in further]
        return Measurement(int(step), train_loss, val_loss, error, finite, tuple(further))


def _object(line: str) -> dict[str, Any] | None:
    """Return the JSON object in a line, with dotted keys for nested ones."""
    if "{" not in line:
        return None
    text = line[line.find("{") : line.rfind("}") + 1]
    for candidate in (text, _NOT_FINITE.sub(": NaN", text)):
        with contextlib.suppress(ValueError, RecursionError):
            return dict(leaves(json.loads(candidate, object_pairs_hook=unique_keys)))
    return None


def _number(key: str, fields: dict[str, Any]) -> float:
    """Return a field as a float; NaN if it is missing or null."""
    value = fields.get(key)
    if value is None:
        return math.nan
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadLineError(f"{key} must be a number, got {shown(value)}")
    try:
        return float(value)
    except OverflowError:
        return math.inf
