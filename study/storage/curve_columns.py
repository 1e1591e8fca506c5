"""Curves as columns: one list per trial in parts, one row per measurement in `curves.parquet`."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from analysis.tables.schema import curve_schema
from study.records import Curve, TrialResult

FIELDS = ("step", "train_loss", "val_loss", "val_error", "seconds")
"""Values of one measurement, in the order of the columns."""
_INNER = {name: pa.int64() if name == "step" else pa.float64() for name in FIELDS}
CURVE_LISTS: Mapping[str, pa.DataType] = {
    f"curve_{name}": pa.list_(kind) for name, kind in _INNER.items()
}
"""Columns of a part that hold the curves of its trials."""


def curve_lists(curves: Sequence[Curve]) -> list[pa.Array]:
    """Return curves as the columns of `CURVE_LISTS`; a loss that is NaN becomes null."""
    ends = np.cumsum([0, *(curve.step.size for curve in curves)], dtype=np.int32)
    values = _values(curves)
    return [pa.ListArray.from_arrays(pa.array(ends), values[name]) for name in FIELDS]


def read_curves(table: pa.Table) -> list[Curve]:
    """Return the curves of a part, one per row of the table.

    Raises:
        ValueError: a column has another type or nulls, or the columns differ in length.
    """
    columns, lengths = {}, set()
    for name, kind in CURVE_LISTS.items():
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
    return [Curve(**dict(zip(FIELDS, arrays, strict=True))) for arrays in zip(*split, strict=True)]


def curve_table(results: Sequence[TrialResult]) -> pa.Table:
    """Return the curves of trials as rows of `curves.parquet`."""
    sizes = [result.curve.step.size for result in results]
    batch_sizes = np.repeat([result.batch_size for result in results], sizes)
    roles = np.repeat([str(result.point.role) for result in results], sizes)
    trials = np.repeat([result.point.trial for result in results], sizes)
    keys = {"batch_size": batch_sizes, "role": roles, "trial": trials}
    schema = curve_schema()
    columns = keys | _values([result.curve for result in results])
    arrays = [pa.array(columns[field.name], field.type) for field in schema]
    return pa.Table.from_arrays(arrays, schema=schema)


def _values(curves: Sequence[Curve]) -> dict[str, pa.Array]:
    found = {}
    for name, kind in _INNER.items():
        parts = [getattr(curve, name) for curve in curves]
        values = np.concatenate(parts) if parts else np.empty(0)
        absent = np.isnan(values) if name in {"train_loss", "val_loss"} else None
        found[name] = pa.array(values, kind, mask=absent)
    return found
