"""Curves as columns: a list per trial in parts, a row per measurement in `curves.parquet`."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from analysis.tables.schema import curve_schema
from study.records import CURVE_FIELDS, Curve, Steps, TrialResult

CURVE_STEP = "curve_step"
_NEVER_NULL = {"step", "val_error", "seconds"}


def curve_kinds(further: Iterable[str]) -> dict[str, pa.DataType]:
    """Return the types of the columns of a part that contain curves, one list per trial.

    `further` names what is measured besides loss and error.
    """
    return {f"curve_{name}": pa.list_(_kind(name)) for name in (*CURVE_FIELDS, *further)}


def _kind(name: str) -> pa.DataType:
    return pa.int64() if name == "step" else pa.float64()


def curve_lists(curves: Sequence[Curve], further: Sequence[str]) -> list[pa.Array]:
    """Return curves as the columns of `curve_kinds`; NaN becomes null, except in errors."""
    ends = np.cumsum([0, *(curve.step.size for curve in curves)], dtype=np.int32)
    values = _arrays(_together(curves, further))
    return [pa.ListArray.from_arrays(pa.array(ends), column) for column in values.values()]


def curve_values(table: pa.Table, further: Sequence[str]) -> tuple[Steps, dict[str, NDArray[Any]]]:
    """Return the lengths of the curves in a part's columns, and all their measurements by name.

    Raises:
        ValueError: a column has nulls, or the columns differ in length.
    """
    values, lengths = {}, []
    for name in (*CURVE_FIELDS, *further):
        column = table[f"curve_{name}"].combine_chunks()
        numbers = column.flatten()
        if column.null_count or (name == "step" and numbers.null_count):
            raise ValueError(f"curve_{name} without a list of numbers for every trial")
        values[name] = numbers.to_numpy(zero_copy_only=False)
        lengths.append(column.value_lengths().to_numpy())
    if any(not np.array_equal(own, lengths[0]) for own in lengths):
        raise ValueError("a curve whose columns differ in length")
    return lengths[0].astype(np.int64), values


def read_curves(table: pa.Table, further: Sequence[str]) -> list[Curve]:
    """Return the curves of a part, one per row; raises what `curve_values` raises."""
    sizes, values = curve_values(table, further)
    own, ends = {name: values.pop(name) for name in CURVE_FIELDS}, np.cumsum(sizes).tolist()
    return [
        Curve(
            **{name: column[start:end] for name, column in own.items()},
            further={name: column[start:end] for name, column in values.items()},
        )
        for start, end in zip([0, *ends], ends, strict=False)
    ]


def curve_table(results: Sequence[TrialResult], further: Sequence[str] = ()) -> pa.Table:
    """Return the curves of trials as rows of `curves.parquet`."""
    keys = {
        "batch_size": pa.array([result.batch_size for result in results], pa.int64()),
        "role": pa.array([str(result.point.role) for result in results], pa.string()),
        "trial": pa.array([result.point.trial for result in results], pa.int64()),
    }
    sizes = np.array([result.curve.step.size for result in results], dtype=np.int64)
    return curve_rows(keys, sizes, _together([result.curve for result in results], further))


def curve_rows(
    keys: Mapping[str, pa.Array], sizes: Steps, values: Mapping[str, NDArray[Any]]
) -> pa.Table:
    """Return the rows of `curves.parquet`.

    Args:
        keys: batch size, role and number of each trial.
        sizes: number of measurements of each.
        values: all measurements by name, in the order of the trials; NaN becomes null, except in
            errors.
    """
    further = [name for name in values if name not in CURVE_FIELDS]
    schema, trial = curve_schema(further), pa.array(np.repeat(np.arange(sizes.size), sizes))
    columns = {name: column.take(trial) for name, column in keys.items()} | _arrays(values)
    return pa.Table.from_arrays([columns[field.name] for field in schema], schema=schema)


def _together(curves: Sequence[Curve], further: Sequence[str]) -> dict[str, NDArray[Any]]:
    return {
        name: np.concatenate([curve.column(name) for curve in curves]) if curves else np.empty(0)
        for name in (*CURVE_FIELDS, *further)
    }


def _arrays(values: Mapping[str, NDArray[Any]]) -> dict[str, pa.Array]:
    return {
        name: pa.array(column, _kind(name), mask=None if name in _NEVER_NULL else np.isnan(column))
        for name, column in values.items()
    }
