"""Curves as columns: one list per trial in parts, one row per measurement in `curves.parquet`."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from analysis.tables.schema import curve_schema
from study.records import Curve, Steps, TrialResult

FIELDS = ("step", "train_loss", "val_loss", "val_error", "seconds")
"""Values of one measurement, in the order of the columns."""
_INNER = {name: pa.int64() if name == "step" else pa.float64() for name in FIELDS}
CURVE_LISTS: Mapping[str, pa.DataType] = {
    f"curve_{name}": pa.list_(kind) for name, kind in _INNER.items()
}
"""Columns of a part that hold the curves of its trials."""
CURVE_STEP = "curve_step"


def curve_lists(curves: Sequence[Curve]) -> list[pa.Array]:
    """Return curves as the columns of `CURVE_LISTS`; a loss that is NaN becomes null."""
    ends = np.cumsum([0, *(curve.step.size for curve in curves)], dtype=np.int32)
    values = _arrays(_together(curves))
    return [pa.ListArray.from_arrays(pa.array(ends), values[name]) for name in FIELDS]


def curve_values(table: pa.Table) -> tuple[Steps, dict[str, NDArray[Any]]]:
    """Return the lengths of the curves in a part's columns, and all their measurements by name.

    Raises:
        ValueError: a column has nulls, or the columns differ in length.
    """
    values, lengths = {}, []
    for name in FIELDS:
        column = table[f"curve_{name}"].combine_chunks()
        inner = column.flatten()
        if column.null_count or (name == "step" and inner.null_count):
            raise ValueError(f"curve_{name} is a list of numbers for every trial")
        values[name] = inner.to_numpy(zero_copy_only=False)
        lengths.append(column.value_lengths().to_numpy())
    if any(not np.array_equal(own, lengths[0]) for own in lengths):
        raise ValueError("a curve whose columns differ in length")
    return lengths[0].astype(np.int64), values


def read_curves(table: pa.Table) -> list[Curve]:
    """Return the curves of a part, one per row of the table.

    Raises:
        ValueError: as of `curve_values`.
    """  # noqa: DOC502  (raised there)
    sizes, values = curve_values(table)
    ends = np.cumsum(sizes).tolist()
    return [
        Curve(**{name: values[name][start:end] for name in FIELDS})
        for start, end in zip([0, *ends], ends, strict=False)
    ]


def curve_table(results: Sequence[TrialResult]) -> pa.Table:
    """Return the curves of trials as rows of `curves.parquet`."""
    keys = {
        "batch_size": pa.array([result.batch_size for result in results], pa.int64()),
        "role": pa.array([str(result.point.role) for result in results], pa.string()),
        "trial": pa.array([result.point.trial for result in results], pa.int64()),
    }
    sizes = np.array([result.curve.step.size for result in results], dtype=np.int64)
    return curve_rows(keys, sizes, _together([result.curve for result in results]))


def curve_rows(
    keys: Mapping[str, pa.Array], sizes: Steps, values: Mapping[str, NDArray[Any]]
) -> pa.Table:
    """Return the rows of `curves.parquet`.

    Args:
        keys: batch size, role and number of each trial.
        sizes: number of measurements of each.
        values: all measurements by name, in the order of the trials; a loss that is NaN becomes
            null.
    """
    schema, trial = curve_schema(), pa.array(np.repeat(np.arange(sizes.size), sizes))
    columns = {name: column.take(trial) for name, column in keys.items()} | _arrays(values)
    return pa.Table.from_arrays([columns[field.name] for field in schema], schema=schema)


def _together(curves: Sequence[Curve]) -> dict[str, NDArray[Any]]:
    return {
        name: np.concatenate([getattr(curve, name) for curve in curves]) if curves else np.empty(0)
        for name in FIELDS
    }


def _arrays(values: Mapping[str, NDArray[Any]]) -> dict[str, pa.Array]:
    found = {}
    for name, kind in _INNER.items():
        absent = np.isnan(values[name]) if name in {"train_loss", "val_loss"} else None
        found[name] = pa.array(values[name], kind, mask=absent)
    return found
