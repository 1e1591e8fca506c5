"""Checks of the files in a results folder, which may come from anybody.

Everything is checked before anything is computed, and files are refused as a whole.
"""

import re
from collections.abc import Collection, Mapping
from typing import Annotated, Any, Literal, NoReturn, Self

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationError,
    model_validator,
)

from analysis.errors import AnalysisError
from analysis.escaping import printable
from analysis.tables.nested import leaves
from analysis.tables.scales import SCALES
from analysis.tables.schema import OPTIONAL_TRIAL_COLUMNS, ROLES, STATUSES

MAX_VALUES = 2**28
"""Limit on the values in one file; the largest published workload has about 2^25."""
MAX_FURTHER = 100
"""Limit on the hyperparameters, or measured quantities, in a table."""
_CHOICES: Mapping[str, Collection[str]] = {"status": STATUSES, "role": ROLES, "scale": SCALES}
_FROM_0 = ("trial", "steps_before", "stopped_at", "seconds", "region", "step", "memory")
_FROM_1 = ("batch_size", "steps", "max_steps", "repeats", "parameters", "threads")
_MINIMUM = dict.fromkeys((*_FROM_0, "micro_batch"), 0) | dict.fromkeys(_FROM_1, 1)
_NEEDED = (
    *("batch_size", "trial", "role", "status", "stopped_at", "step", "val_error", "region"),
    *("hyperparameter", "scale", "step_seconds", "device", "source"),
)
_MAXIMUM = 2**53
_NAME = re.compile(r"\w[\w.+-]{0,99}")
_MEASUREMENT = re.compile(r"[\w/][\w/.+ -]{0,199}")
BROKEN_PARQUET = (pa.ArrowException, OSError, MemoryError)


_Text = Annotated[str, Field(min_length=1, max_length=4096)]
_Finite = Annotated[float, Field(strict=True, allow_inf_nan=False, ge=-1e300, le=1e300)]
_FORMS = ("number", "range")


class _Range(BaseModel):
    model_config = ConfigDict(extra="forbid")

    low: _Finite
    high: _Finite
    scale: Literal["linear", "log", "reverse-log"]

    @model_validator(mode="after")
    def _within_domain(self) -> Self:
        if self.low >= self.high:
            raise ValueError("low must be below high")
        if not SCALES[self.scale].allows(self.low, self.high):
            raise ValueError(f"the bounds must be in the domain of the scale {self.scale}")
        return self


class _Race(BaseModel):
    to: Literal["target", "budget"] = "target"
    target: Annotated[_Finite, Field(gt=0)] = 1.0
    quantity: Literal["error", "loss"] | None = None


_Count = Annotated[int, Field(strict=True, ge=0, lt=2**53)]


class _Replicates(BaseModel):
    seeds: _Count = 0
    confirm: _Count = 0


class _Grant(BaseModel):
    batch_size: _Count
    trials: _Count
    seeds: _Count


class _Search(BaseModel):
    trials: _Count = 0
    space: dict[
        str,
        Annotated[
            Annotated[_Range, Tag("range")] | Annotated[_Finite, Tag("number")],
            Discriminator(lambda entry: "range" if isinstance(entry, Mapping) else "number"),
        ],
    ]


class _Imported(BaseModel):
    path: _Text | None = None  # in an archive
    metric: _Text
    counted_statuses: list[
        Literal["reached", "exhausted", "capped", "pruned", "diverged", "failed"]
    ] = []


_Stage = tuple[_Count, Annotated[_Count, Field(ge=1)]]
"""A stage of a batch schedule: its first step and its batch size."""


def _rising(stages: list[_Stage]) -> list[_Stage]:
    first = [step for step, _ in stages]
    if not first or first[0] != 0 or first != sorted(set(first)):
        raise ValueError("the first steps of stages must begin at 0 and rise")
    return stages


class _Config(BaseModel):
    """The keys of a study file that the analysis reads."""

    workload: _Text
    optimizer: _Text
    race: _Race
    search: _Search
    batch_sizes: list[_Count] = []
    replicates: _Replicates = _Replicates()
    granted: list[_Grant] = []
    adaptive: Annotated[bool, Field(strict=True)]
    batch_plans: dict[str, Annotated[list[_Stage], AfterValidator(_rising)]] = {}
    imported: _Imported | None = None


def read_parquet(content: bytes, columns: Collection[str] | None = None) -> pa.Table:
    """Return the table in untrusted bytes, or those of the columns that exist, with valid UTF-8.

    Raises:
        ArrowInvalid: the file has more than `MAX_VALUES` values, or two columns of one name.
    """
    file = pq.ParquetFile(pa.BufferReader(content))
    groups = [file.metadata.row_group(number) for number in range(file.metadata.num_row_groups)]
    values = sum(group.column(n).num_values for group in groups for n in range(group.num_columns))
    if values > MAX_VALUES:
        raise pa.ArrowInvalid(f"{values:,} values, more than {MAX_VALUES:,}")
    # there are many small parts: threads would cost more than they save
    table = file.read(None if columns is None else list(columns), use_threads=False)
    if len(set(table.column_names)) != table.num_columns:
        raise pa.ArrowInvalid("two columns of one name")
    table.validate(full=True)
    return table


def check_table(where: str, table: pa.Table, columns: Mapping[str, pa.DataType]) -> None:
    """Check a table of the file `where`; columns beyond the schema must be float64."""
    if "status" in columns:
        there = {n: k for n, k in OPTIONAL_TRIAL_COLUMNS.items() if n in table.column_names}
        columns = {**columns, **there}
    further = [name for name in table.column_names if name not in columns]
    _check_names(where, further, _MEASUREMENT if "step" in columns else _NAME)
    kinds = {**columns, **dict.fromkeys(further, pa.float64())}
    for name, kind in kinds.items():
        if name not in table.column_names or table.schema.field(name).type != kind:
            got = table.schema.field(name).type if name in table.column_names else "no such column"
            _refuse(where, f"a column {name} of type {kind}", got)
        _check_values(where, name, table[name])
    if "status" in columns:
        _check_steps(where, table)
    if "scale" in columns:
        for row in table.select(["low", "high", "scale"]).to_pylist():
            try:
                _Range.model_validate(row)
            except ValidationError:
                _refuse(where, "ranges with low below high, in the domain of their scale", row)


def is_name(text: str) -> bool:
    """Return whether a hyperparameter may have this name."""
    return _NAME.fullmatch(text) is not None


def is_quantity(text: str) -> bool:
    """Return whether a measured quantity may have this name."""
    return _MEASUREMENT.fullmatch(text) is not None


def _check_names(where: str, names: list[str], form: re.Pattern[str]) -> None:
    if len(names) > MAX_FURTHER:
        _refuse(where, f"at most {MAX_FURTHER} further columns", len(names))
    for name in names:
        if not form.fullmatch(name):
            _refuse(where, "names of letters, digits and any of _ . + -", repr(name))


def _check_values(where: str, name: str, column: pa.ChunkedArray) -> None:
    if name in _NEEDED and column.null_count:
        _refuse(where, f"a {name} in every row", f"{column.null_count:,} rows without")
    if name in _CHOICES:
        found = set(pc.unique(column).to_pylist()) - set(_CHOICES[name])
        if found:
            _refuse(where, f"a {name} of {', '.join(_CHOICES[name])}", repr(min(found)))
    if name == "hyperparameter":
        _check_names(where, pc.unique(column).to_pylist(), _NAME)
    if pa.types.is_floating(column.type) and pc.any(pc.invert(pc.is_finite(column))).as_py():
        _refuse(where, f"a finite {name} or none", "NaN or infinity")
    if name in _MINIMUM:
        ends = pc.min_max(column).as_py()
        low, high = ends["min"], ends["max"]
        if low is not None and not _MINIMUM[name] <= low <= high <= _MAXIMUM:
            _refuse(where, f"a {name} from {_MINIMUM[name]} to {_MAXIMUM}", f"{low} to {high}")


def _check_steps(where: str, table: pa.Table) -> None:
    # pyarrow would import pandas to compare with a string
    reached = [status == "reached" for status in table["status"].to_pylist()]
    if reached != pc.is_valid(table["steps"]).to_pylist():
        _refuse(where, "steps where the status is reached, and nowhere else", "others")
    late = pc.greater(table["steps"], table["stopped_at"])
    if pc.any(late).as_py():
        _refuse(where, "steps of at most stopped_at", "more")


def check_config(where: str, config: Mapping[str, Any]) -> None:
    """Check those keys of the study file `where` that the analysis reads."""
    for key, value in leaves(config, lists=True):
        for text in (key, value):
            if isinstance(text, str) and (printable(text) != text or "\n" in text):
                _refuse(where, "text without control characters", repr(text)[:100])
    try:
        _Config.model_validate(config)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"] if part not in _FORMS)
        _refuse(where, f"a valid {key}", f"{first['input']!r}"[:100] + f" ({first['msg']})")
    _check_names(where, list(config["search"]["space"]), _NAME)


def _refuse(where: str, rule: str, got: object) -> NoReturn:
    raise AnalysisError(
        f"{where} must have {rule}, got {got}; restore it, or use a folder that batchscale wrote"
    )
