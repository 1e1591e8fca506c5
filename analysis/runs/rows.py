"""Rows as the user wrote them: cells of any kind, and the number that each row has in its file."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, NoReturn

import numpy as np
import pandas as pd

from analysis.errors import AnalysisError

MAX_CELLS = 2**28
_NULLS = frozenset({"", "none", "null", "n/a", "na", "<na>"})
"""Words for "not measured"; `nan` is a measurement that was not a number."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Rows:
    """A table of finished runs, not yet checked."""

    where: str  # file or folder, for messages
    # None for an empty cell; the index numbers the rows
    frame: pd.DataFrame = field(repr=False)
    label: str = "row"  # what a row is called: row, line or measurement
    remarks: tuple[str, ...] = ()  # what the reader left out, for the user

    def __post_init__(self) -> None:
        """Refuse a table without rows, or with two columns of one name."""
        if self.frame.empty:
            raise AnalysisError(
                "a table of runs must have a header and at least one row, got none in "
                f"{self.where}; check the export"
            )
        twice = [name for name in self.names if self.names.count(name) > 1]
        if twice:
            raise AnalysisError(
                f"columns must have different names, got {twice[0]!r} more than once in "
                f"{self.where}; rename one, or add the row of names"
            )

    @property
    def names(self) -> list[str]:
        """The names of the columns."""
        return [str(name) for name in self.frame.columns]

    def numbers(self, column: str) -> "tuple[pd.Series[float], pd.Series[bool]]":
        """Return a column as numbers, NaN if empty, and which cells are filled; refuse text."""
        values = [as_number(cell) for cell in self.frame[column]]
        for row, cell, value in zip(self.frame.index, self.frame[column], values, strict=True):
            if value is None and not is_absent(cell):
                remedy = "write it as 0.05, not as 0,05 or 5%, or leave the cell empty"
                self.refuse(f"{column} must be a number", repr(cell)[:60], [row], remedy)
        numbers = pd.Series(values, self.frame.index, dtype="float64")
        return numbers, pd.Series([value is not None for value in values], self.frame.index)

    def counts(self, column: str, least: int = 0) -> "tuple[pd.Series[float], pd.Series[bool]]":
        """Return a column of integers from `least`, as `numbers` does; NaN is an empty cell."""
        values, given = self.numbers(column)
        given &= values.notna()
        for row, value in values[given].items():
            if not (least <= value <= 2**53 and value == int(value)):
                self.refuse(f"{column} must be an integer from {least}", f"{value:g}", [row])
        return values, given

    def texts(self, column: str) -> "pd.Series[Any]":
        """Return a column as text, None for an empty cell; 3.0 becomes 3."""
        cells = [None if is_absent(cell) else _text(cell) for cell in self.frame[column]]
        return pd.Series(cells, self.frame.index, dtype=object)

    def is_numeric(self, column: str) -> bool:
        """Return whether a column has numbers and nothing else."""
        cells = [cell for cell in self.frame[column] if not is_absent(cell)]
        return bool(cells) and all(as_number(cell) is not None for cell in cells)

    def refuse(
        self, rule: str, got: object, rows: Sequence[Any], remedy: str = "correct it"
    ) -> NoReturn:
        """Raise the error that names these rows."""
        plural = "s" if len(rows) > 1 else ""
        at = " and ".join(str(row) for row in rows)
        raise AnalysisError(
            f"{rule}, got {got} in {self.label}{plural} {at} of {self.where}; {remedy}"
        )

    def refuse_any(self, runs: pd.DataFrame, rule: str, got: str) -> None:
        """Refuse the first of these runs, if any; `got` is a format string for its columns."""
        if len(runs):
            first = runs.iloc[0]
            self.refuse(rule, got.format_map(first), [first["row"]])


def is_absent(cell: object) -> bool:
    """Return whether a cell is empty; the number NaN is a value."""
    return (
        cell is None or cell is pd.NA or (isinstance(cell, str) and cell.strip().lower() in _NULLS)
    )


def as_number(cell: object) -> float | None:
    """Return the number in a cell; None for anything else.

    >>> as_number(" 1e-3 "), as_number("nan"), as_number("0,1"), as_number(True)
    (0.001, nan, None, None)
    """
    if isinstance(cell, bool | np.bool_):
        return None
    if isinstance(cell, str) and "_" in cell:  # Python reads 1_0 as 10
        return None
    if isinstance(cell, str | int | float | Decimal | np.number):
        try:
            return float(cell)
        except (ValueError, OverflowError):
            return None
    return None


def _text(cell: object) -> str:
    if isinstance(cell, float) and math.isfinite(cell) and cell == int(cell):
        return str(int(cell))
    return str(cell).strip()
