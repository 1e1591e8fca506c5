"""What the files of a results folder may hold: they may come from anybody, and are data.

Each rule is checked before anything is computed. What is refused is refused whole, in words.
"""

import math
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, NoReturn

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from analysis.errors import AnalysisError
from analysis.escaping import printable
from analysis.tables.schema import ROLES, STATUSES

MOST_VALUES = 2**28
"""Numbers and strings in one file; the largest published workload has some 2^25."""
MOST_HYPERPARAMETERS = 100
SCALES = ("linear", "log", "reverse-log")
_CHOICES: Mapping[str, Collection[str]] = {"status": STATUSES, "role": ROLES, "scale": SCALES}
_LEAST: Mapping[str, int] = {
    "batch_size": 1,
    "trial": 0,
    "steps": 1,
    "steps_before": 0,
    "stopped_at": 0,
    "seconds": 0,
    "region": 0,
    "step": 0,
}
_NEEDED = {"batch_size", "trial", "role", "status", "stopped_at", "step", "val_error"} | {
    "region",
    "hyperparameter",
    "low",
    "high",
    "scale",
}
_MOST = 2**53
_NAME = re.compile(r"\w[\w.+-]{0,99}")
_MEASUREMENT = re.compile(r"[\w/][\w/.+ -]{0,199}")
BROKEN_PARQUET = (pa.ArrowException, OSError, MemoryError)


def read_parquet(content: bytes) -> pa.Table:
    """Reads a parquet file from bytes that may be anything.

    Args:
        content: the file.

    Returns:
        Its table, whose text is UTF-8 and whose columns have different names.

    Raises:
        ArrowInvalid: it holds more than `MOST_VALUES`, or two columns of one name.
    """
    file = pq.ParquetFile(pa.BufferReader(content))
    groups = [file.metadata.row_group(number) for number in range(file.metadata.num_row_groups)]
    values = sum(group.column(n).num_values for group in groups for n in range(group.num_columns))
    if values > MOST_VALUES:
        raise pa.ArrowInvalid(f"{values:,} values, more than {MOST_VALUES:,}")
    names = file.schema_arrow.names
    if len(set(names)) != len(names):
        raise pa.ArrowInvalid("two columns of one name")
    table = file.read(use_threads=False)  # parts are small and many
    table.validate(full=True)
    return table


def check_table(where: str, table: pa.Table, columns: Mapping[str, pa.DataType]) -> None:
    """Checks columns and values of trials, curves or boxes.

    Args:
        where: the file, for messages.
        table: what it holds.
        columns: of the schema; further ones are hyperparameters or measurements.

    Raises:
        AnalysisError: a column is missing, of another type or badly named, or a value cannot be.
    """  # noqa: DOC502  (raised by _refuse)
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
            if not _is_range(row):
                _refuse(where, "ranges, low below high, that their scale allows", row)


def _check_names(where: str, names: list[str], form: re.Pattern[str]) -> None:
    if len(names) > MOST_HYPERPARAMETERS:
        _refuse(where, f"at most {MOST_HYPERPARAMETERS} further columns", len(names))
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
    if name in _LEAST:
        ends = pc.min_max(column).as_py()
        low, high = ends["min"], ends["max"]
        if low is not None and not _LEAST[name] <= low <= high <= _MOST:
            _refuse(where, f"a {name} from {_LEAST[name]} to {_MOST}", f"{low} to {high}")


def _check_steps(where: str, table: pa.Table) -> None:
    reached = pc.equal(table["status"], "reached")
    if not pc.all(pc.equal(reached, pc.is_valid(table["steps"]))).as_py() and len(table):
        _refuse(where, "steps where the status is reached, and nowhere else", "others")
    late = pc.greater(table["steps"], table["stopped_at"])
    if pc.any(late).as_py():
        _refuse(where, "steps of at most stopped_at", "more")


def check_config(where: str, config: Mapping[str, Any]) -> None:
    """Checks a resolved study file as far as it is read.

    Args:
        where: the file, for messages.
        config: what it holds.

    Raises:
        AnalysisError: a key is missing, or a value is none that batchscale writes.
    """  # noqa: DOC502  (raised by _refuse)
    for text in _texts(config):
        if printable(text) != text or "\n" in text:
            _refuse(where, "text without control characters", repr(text)[:100])
    race, search = config.get("race"), config.get("search")
    space = search.get("space") if isinstance(search, Mapping) else None
    if not isinstance(race, Mapping) or not isinstance(space, Mapping):
        _refuse(where, "as batchscale wrote it", "no table race, or no search.space")
    rules: Mapping[str, tuple[object, Callable[[Any], bool], str]] = {
        "workload": (config.get("workload"), _is_text, "a name"),
        "optimizer": (config.get("optimizer"), _is_text, "a name"),
        "race.target": (race.get("target", 1.0), _is_above_0, "a finite number above 0"),
        "race.to": (
            race.get("to", "target"),
            ("target", "budget").__contains__,
            "target or budget",
        ),
        "race.quantity": (
            race.get("quantity"),
            (None, "error", "loss").__contains__,
            "error or loss",
        ),
        "imported": (config.get("imported"), _is_imported, "path, metric and counted_statuses"),
    }
    for key, (value, right, words) in rules.items():
        if not right(value):
            _refuse(where, f"{key} = {words}", repr(value)[:100])
    _check_names(where, list(space), _NAME)
    for name, entry in space.items():
        if not _is_number(entry) and not _is_range(entry):
            _refuse(where, f"search.space.{name} a number or a range", repr(entry)[:100])


def _texts(value: object) -> Iterator[str]:
    """Gives all keys and all values that are text, at any depth."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, entry in value.items():
            yield str(key)
            yield from _texts(entry)
    elif isinstance(value, list):
        for entry in value:
            yield from _texts(entry)


def _is_text(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= 4096


def _is_number(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) <= 1e300 and math.isfinite(value)


def _is_above_0(value: Any) -> bool:
    return _is_number(value) and value > 0


def _is_range(entry: object) -> bool:
    if not isinstance(entry, Mapping) or set(entry) != {"low", "high", "scale"}:
        return False
    low, high, scale = entry["low"], entry["high"], entry["scale"]
    if scale not in SCALES or not _is_number(low) or not _is_number(high) or low >= high:
        return False
    return not (scale == "log" and low <= 0) and not (scale == "reverse-log" and high >= 1)


def _is_imported(value: Any) -> bool:
    if value is None:
        return True
    if not isinstance(value, Mapping) or not isinstance(value.get("counted_statuses", []), list):
        return False
    known = all(status in STATUSES for status in value.get("counted_statuses", []))
    return known and _is_text(value.get("path")) and _is_text(value.get("metric"))


def _refuse(where: str, rule: str, got: object) -> NoReturn:
    raise AnalysisError(
        f"{where} must have {rule}, got {got}; restore it, or use a folder that batchscale wrote"
    )
