"""Curves as columns: one list per trial in parts, one row per measurement in `curves.parquet`."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from analysis.tables.schema import curve_schema
from study.records import CURVE_FIELDS, Curve, TrialResult

_NEVER_NULL = {"step", "val_error", "seconds"}


def curve_kinds(further: Iterable[str]) -> dict[str, pa.DataType]:
    """Return the columns of a part that hold the curves of its trials, a list each.

    `further` names what is measured besides loss and error.
    """
    return {
        f"curve_{name}": pa.list_(pa.int64() if name == "step" else pa.float64())
        for name in (*CURVE_FIELDS, *further)
    }


def curve_lists(curves: Sequence[Curve], further: Sequence[str]) -> list[pa.Array]:
    """Return curves as the columns of `curve_kinds`; what is NaN, and no error, becomes null."""
    ends = np.cumsum([0, *(curve.step.size for curve in curves)], dtype=np.int32)
    values = _values(curves, further)
    return [pa.ListArray.from_arrays(pa.array(ends), column) for column in values.values()]


def read_curves(table: pa.Table, further: Sequence[str]) -> list[Curve]:
    """Return the curves of a part, one per row of the table.

    Raises:
        ValueError: a column has another type or nulls, or the columns differ in length.
    """
    columns, lengths = {}, set()
    for name, kind in curve_kinds(further).items():
        column = table[name].combine_chunks()
        if column.type != kind or column.null_count:
            raise ValueError(f"{name} is a list of numbers for every trial, not {column.type}")
        inner = column.flatten()
        if name == "curve_step" and inner.null_count:
            raise ValueError("a measurement without a step")
        columns[name] = inner.to_numpy(zero_copy_only=False)
        lengths.add(tuple(column.value_lengths().to_pylist()))
    if len(lengths) != 1:
        raise ValueError("a curve whose columns differ in length")
    ends = np.cumsum(lengths.pop(), dtype=np.int64)[:-1]
    split: list[list[NDArray[Any]]] = [np.split(values, ends) for values in columns.values()]
    names = (*CURVE_FIELDS, *further)
    return [Curve.of(dict(zip(names, arrays, strict=True))) for arrays in zip(*split, strict=True)]


def curve_table(results: Sequence[TrialResult], further: Sequence[str] = ()) -> pa.Table:
    """Return the curves of trials as rows of `curves.parquet`."""
    sizes = [result.curve.step.size for result in results]
    batch_sizes = np.repeat([result.batch_size for result in results], sizes)
    roles = np.repeat([str(result.point.role) for result in results], sizes)
    trials = np.repeat([result.point.trial for result in results], sizes)
    keys = {"batch_size": batch_sizes, "role": roles, "trial": trials}
    schema = curve_schema(further)
    columns = keys | _values([result.curve for result in results], further)
    arrays = [pa.array(columns[field.name], field.type) for field in schema]
    return pa.Table.from_arrays(arrays, schema=schema)


def _values(curves: Sequence[Curve], further: Sequence[str]) -> dict[str, pa.Array]:
    found = {}
    for name in (*CURVE_FIELDS, *further):
        parts = [curve.column(name) for curve in curves]
        values = np.concatenate(parts) if parts else np.empty(0)
        absent = None if name in _NEVER_NULL else np.isnan(values)
        found[name] = pa.array(values, pa.int64() if name == "step" else pa.float64(), mask=absent)
    return found
