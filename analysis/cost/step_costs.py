"""The cost of a training step at each batch size: `cost.parquet`, or a table of the user's own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
import pyarrow as pa

from analysis.errors import AnalysisError
from analysis.fitting.estimates import Estimate
from analysis.runs.readers.table_files import READERS, is_table, read_table_of_runs
from analysis.runs.rows import Rows
from analysis.tables.files import write_table
from analysis.tables.folder import ResultsFolder
from analysis.tables.schema import COST_COLUMNS, COST_FILE, file_schema
from analysis.tables.study import read_table

SIZE, SECONDS, LOW, HIGH, ENERGY = "batch_size", "seconds_per_step", "low", "high", "energy"
"""Columns of a table of step times measured elsewhere; the last three may be absent."""
ELSEWHERE = "a device elsewhere"
DISTURBED = 0.1
"""Cores lacking per thread beyond which step times count as disturbed."""
MEASURED = "measured"
"""Source of step times that batchscale measured itself."""
MINIMUM, MAXIMUM = 1e-15, 1e15
"""Bounds of a time in seconds, an energy in joules and a price, so that no product overflows."""
_LACKING = "cores_lacking"
_OPTIONAL = (*("repeats", "evaluation_seconds", "memory", "micro_batch", "step_joules", _LACKING),)
_NUMBERS = [n for n, kind in COST_COLUMNS.items() if kind == pa.float64() and n != _LACKING]
_COLUMNS = {
    SECONDS: "step_seconds",
    LOW: "step_seconds_low",
    HIGH: "step_seconds_high",
    ENERGY: "step_joules",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class StepCost:
    """The cost of a training step at one batch size, on one device; None where unknown."""

    batch_size: int  # examples per step
    # to fetch a batch, go forward and backward, and update; an unknown end is the value itself
    seconds: Estimate
    repeats: int | None = None  # how often it was timed
    evaluation_seconds: float | None = None  # of one measurement on the validation set
    memory: int | None = None  # peak bytes of the GPU's memory, or of the process on a CPU
    micro_batch: int | None = None  # examples per forward and backward pass
    step_joules: float | None = None
    # cores that the threads lacked because other programs used them
    cores_lacking: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class StepCosts:
    """The cost of a step at the batch sizes of a study, on one device; None where unknown."""

    rows: tuple[StepCost, ...]  # one per batch size, ascending
    device: str  # its name
    threads: int | None  # of the CPU; None for a GPU too
    precision: str | None
    parameters: int | None  # number of trainable parameters
    source: str  # `measured`, or the name of the file that the times come from

    @classmethod
    def of(cls, records: Sequence[Mapping[str, Any]]) -> Self:
        """Return the costs in one or more rows of `cost.parquet`."""
        first = records[0]
        return cls(
            rows=tuple(sorted(map(_row, records), key=lambda row: row.batch_size)),
            device=first["device"],
            source=first["source"],
            **{name: first.get(name) for name in ("threads", "precision", "parameters")},
        )

    @property
    def disturbed(self) -> tuple[StepCost, ...]:
        """Rows that were timed while other programs used cores that the threads lacked."""
        least = DISTURBED * (self.threads or 1)
        return tuple(row for row in self.rows if (row.cores_lacking or 0.0) > least)

    def at(self, batch_size: int) -> StepCost | None:
        """Return the row of a batch size, if it was timed."""
        return next((row for row in self.rows if row.batch_size == batch_size), None)


def read_costs(folder: ResultsFolder) -> StepCosts | None:
    """Return the costs in `cost.parquet`; None where the folder has none.

    Raises:
        AnalysisError: the file is damaged, or holds values that batchscale does not write.
    """
    if not folder.exists(COST_FILE):
        return None
    table = read_table(folder, COST_FILE)
    wrong = [
        rule
        for rule, broken in (
            ("a row", table.empty),
            ("each batch size once", table["batch_size"].duplicated().any()),
            (
                f"numbers from {MINIMUM:g} to {MAXIMUM:g}",
                any(_out_of_range(table[name].dropna()).any() for name in _NUMBERS),
            ),
            ("the time of a step within its interval", _outside(table).any()),
            (f"{_LACKING} of at least 0", (table[_LACKING].dropna() < 0).any()),
        )
        if broken
    ]
    if wrong:
        raise AnalysisError(
            f"{folder / COST_FILE} must have {wrong[0]}, but does not; run `cost` to make it again"
        )
    return StepCosts.of(_records(table))


def write_costs(folder: ResultsFolder, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write `cost.parquet` from rows by column; a missing column is null."""
    write_table(folder, COST_FILE, pa.Table.from_pylist(list(rows), schema=file_schema(COST_FILE)))


def step_times(path: Path) -> list[dict[str, Any]]:
    """Return the rows of `cost.parquet` for step times measured elsewhere.

    Args:
        path: a CSV, TSV, Parquet or JSON lines file with the columns batch_size and
            seconds_per_step, and optionally low and high (ends of the interval, seconds) and
            energy (joules per step).

    Raises:
        AnalysisError: a column or a value is not as described; the rows are named.
    """
    if not is_table(path):
        raise AnalysisError(
            f"--step-times must be a file with one of the suffixes {', '.join(READERS)}, got "
            f"{path}; export the times as one of these"
        )
    rows = read_table_of_runs(path)
    _check_columns(rows)
    sizes = _positive(rows, SIZE, needed=True)
    fraction = sizes[sizes != sizes.round()]
    if len(fraction):
        rows.refuse(f"{SIZE} must be an integer", f"{fraction.iloc[0]:g}", list(fraction.index))
    repeated = sizes[sizes.duplicated(keep=False)]
    if len(repeated):
        first = repeated[repeated == repeated.iloc[0]]
        rows.refuse("each batch size must have one row", f"{first.iloc[0]:g}", list(first.index))
    table = pd.DataFrame({"batch_size": sizes.astype("int64")})
    for column, name in _COLUMNS.items():
        table[name] = _positive(rows, column, needed=column == SECONDS)
    outside = _outside(table)
    if outside.any():
        at = table[outside].iloc[0]
        got = " to ".join(f"{at[_COLUMNS[end]]:g}" for end in (LOW, HIGH))
        rows.refuse(
            f"{SECONDS} must lie within {LOW} and {HIGH}",
            f"{at['step_seconds']:g} with {got}",
            list(table.index[outside]),
        )
    return _records(table.assign(device=ELSEWHERE, source=path.name))


def _check_columns(rows: Rows) -> None:
    known = (SIZE, *_COLUMNS)
    missing = [name for name in (SIZE, SECONDS) if name not in rows.names]
    further = [name for name in rows.names if name not in known]
    if missing or further:
        got = f"no {missing[0]}" if missing else repr(further[0])[:60]
        raise AnalysisError(
            f"step times must have the columns {SIZE} and {SECONDS}, and may have {LOW}, {HIGH} "
            f"and {ENERGY}, got {got} in {rows.where}; rename the columns"
        )


def _positive(rows: Rows, column: str, needed: bool) -> "pd.Series[float]":
    """Return a column of numbers in range; NaN where there is none, unless it is needed."""
    if column not in rows.names:
        return pd.Series(np.nan, index=rows.frame.index)
    values, given = rows.numbers(column)
    wrong = (given | needed) & _out_of_range(values)
    if wrong.any():
        first = values[wrong].iloc[0]
        got = f"{first:g}" if given[wrong].iloc[0] else "none"
        rule = f"{column} must be a number from {MINIMUM:g} to {MAXIMUM:g}"
        rows.refuse(rule, got, list(values.index[wrong]))
    return values


def _out_of_range(values: "pd.Series[float]") -> "pd.Series[bool]":
    return ~values.between(MINIMUM, MAXIMUM)  # NaN is not between


def _outside(table: pd.DataFrame) -> "pd.Series[bool]":
    seconds = table["step_seconds"]
    low = table["step_seconds_low"].astype(float).fillna(0.0)
    high = table["step_seconds_high"].astype(float).fillna(np.inf)
    return (seconds < low) | (seconds > high)


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    records = table.astype(object).where(table.notna(), None).to_dict("records")
    return [{str(name): value for name, value in record.items()} for record in records]


def _row(record: Mapping[str, Any]) -> StepCost:
    seconds = record["step_seconds"]
    low, high = (record.get(f"step_seconds_{end}") for end in ("low", "high"))
    return StepCost(
        batch_size=record["batch_size"],
        seconds=Estimate(value=seconds, low=low or seconds, high=high or seconds),
        **{name: record.get(name) for name in _OPTIONAL},
    )
