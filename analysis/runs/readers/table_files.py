"""Reads tables of finished runs: CSV, TSV, Parquet, and JSON lines."""

import csv
import io
import json
import re
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path

import pandas as pd

from analysis.errors import AnalysisError
from analysis.runs.rows import MAX_CELLS, Rows, is_absent
from analysis.tables.nested import leaves, unique_keys
from analysis.tables.validation import BROKEN_PARQUET, read_parquet
from batchscale.files import gunzipped, read_file

MAX_BYTES = 2**31
_GZIP = b"\x1f\x8b"
_COLUMN = re.compile(r"(?P<run>.+) - (?P<metric>.+?)(?P<bound>__MIN|__MAX)?")


def read_table_of_runs(path: Path) -> Rows:
    """Return the rows of a file, by its suffix one of `READERS`.

    Raises:
        AnalysisError: it cannot be read, has no rows, or has two columns with one name.
    """
    suffix = next(s for s in reversed(path.suffixes) if s != ".gz")
    try:
        content = read_file(path, MAX_BYTES)
        if content.startswith(_GZIP):
            content = gunzipped(content, MAX_BYTES)
        return READERS[suffix](str(path), content)
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise AnalysisError(
            f"a table must be a readable file, UTF-8 if it is text, got {path}: "
            f"{error}; check the path, or export it again"
        ) from error


def is_table(path: Path | str) -> bool:
    """Return whether a file name has one of the suffixes in `READERS`."""
    suffixes = [suffix for suffix in Path(path).suffixes if suffix != ".gz"]
    return bool(suffixes) and suffixes[-1] in READERS


def _read_csv(where: str, content: bytes) -> Rows:
    text = content.decode("utf-8-sig")
    separator = max(",;\t", key=next(iter(text.splitlines()), "").count)
    try:
        names, *cells = list(csv.reader(io.StringIO(text, newline=""), delimiter=separator)) or [[]]
    except csv.Error as error:
        raise AnalysisError(
            f"a table must be CSV, got something else in {where}: {error}; export it again"
        ) from error
    names = [name.strip() for name in names]
    # the header is row 1
    rows = {number: row for number, row in enumerate(cells, start=2) if any(map(str.strip, row))}
    for number, row in rows.items():
        if len(row) != len(names):
            raise AnalysisError(
                f"every row must have as many cells as the header, {len(names)}, got {len(row)} in "
                f"row {number} of {where}; correct it"
            )
    frame = pd.DataFrame(list(rows.values()), columns=names, index=pd.Index(rows), dtype=object)
    return Rows(where=where, frame=frame)


def _read_parquet(where: str, content: bytes) -> Rows:
    try:
        table = read_parquet(content)
        columns = {name: table[name].to_pylist() for name in table.column_names}
    except BROKEN_PARQUET as error:
        raise AnalysisError(
            f"{where} must be a parquet table, got: {error}; export it again"
        ) from error
    index = pd.RangeIndex(1, table.num_rows + 1)
    frame = pd.DataFrame(columns, dtype=object, index=index)
    return Rows(where=where, frame=frame)


def _read_json_lines(where: str, content: bytes) -> Rows:
    records, numbers = [], []
    for number, line in enumerate(content.decode("utf-8-sig").split("\n"), start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line, object_pairs_hook=unique_keys)
            if not isinstance(record, dict):
                raise ValueError(f"{line[:40]!r} is not an object")
        except (ValueError, RecursionError) as error:
            raise AnalysisError(
                f"every line must be a JSON object, got something else in line {number} of "
                f"{where}: {error}; correct it"
            ) from error
        records.append(dict(leaves(record)))
        numbers.append(number)
    names = dict.fromkeys(name for record in records for name in record)
    if len(names) * len(records) > MAX_CELLS:
        raise AnalysisError(f"a table must have at most {MAX_CELLS:,} cells, got more in {where}")
    columns = {name: [record.get(name) for record in records] for name in names}
    frame = pd.DataFrame(columns, dtype=object, index=pd.Index(numbers))
    return Rows(where=where, frame=frame, label="line")


def melt_chart(rows: Rows) -> Rows:
    """Return the CSV of a chart of Weights & Biases with a row for each measurement.

    It has a column `run - metric` for each run. Other tables are returned unchanged.
    """
    axis, *names = rows.names
    matches = {name: _COLUMN.fullmatch(name) for name in names}
    columns = {name: match for name, match in matches.items() if match}
    if len(columns) < len(names) or not any(match["bound"] for match in columns.values()):
        return rows
    parts = [
        pd.DataFrame(
            {"run": match["run"], axis: rows.frame[axis], match["metric"]: rows.frame[name]}
        )
        # cells are empty at the steps of other runs
        .loc[[not is_absent(cell) for cell in rows.frame[name]]]
        for name, match in columns.items()
        if not match["bound"]
    ]
    long = pd.concat(parts).astype(object)
    long = long.where(long.notna(), None).set_axis(pd.RangeIndex(1, len(long) + 1))
    return Rows(where=rows.where, frame=long, label="measurement", remarks=rows.remarks)


READERS: Mapping[str, Callable[[str, bytes], Rows]] = {
    ".csv": _read_csv,
    ".tsv": _read_csv,
    ".parquet": _read_parquet,
    ".jsonl": _read_json_lines,
    ".ndjson": _read_json_lines,
}
"""Readers by file suffix."""
