"""Conversion of checked runs to the tables of a results folder."""

from collections.abc import Sequence
from typing import Any

import pandas as pd
import pyarrow as pa

from analysis.measures.targets import judge
from analysis.runs.checked import Runs
from analysis.runs.space import Space
from analysis.tables.schema import (
    BOXES_FILE,
    CURVES_FILE,
    STATUSES,
    TEST_ERROR,
    TRIAL_KEY,
    TRIALS_FILE,
    curve_schema,
    file_schema,
    hyperparameters,
    trial_schema,
)


def convert(runs: Runs, space: Space, target: float | None) -> dict[str, pa.Table]:
    """Return the tables of a study by file name, in the order in which they are written.

    Runs of one point with other seeds are replicates of its first run. Runs with curves are judged
    at the target, if any.
    """
    frame = _with_roles(runs)
    keys = frame.loc[runs.curves["run"].to_numpy(), list(TRIAL_KEY)].reset_index(drop=True)
    measured = runs.curves.reset_index(drop=True).assign(**{name: keys[name] for name in TRIAL_KEY})
    curves = _table(measured, curve_schema(runs.quantities), (*TRIAL_KEY, "step"))
    messages = zip(frame["run"], frame["message"], strict=True)
    columns = frame.assign(
        message=[f"run {run}{'' if text is None else f': {text}'}"[:500] for run, text in messages]
    )
    if runs.measured:
        least = runs.curves[runs.curves["step"] >= 1].groupby("run")["val_error"].min()
        columns["best_error"] = least.reindex(frame.index)
    else:
        columns["status"] = columns["status"].mask(frame["steps"].notna(), "reached")
    trials = _table(columns, trial_schema(runs.hyperparameters), TRIAL_KEY)
    if runs.measured:
        trials = judge(trials, curves, target, STATUSES)
    if TEST_ERROR in runs.quantities:
        trials = _with_test_errors(trials, curves)
    boxes = [
        {"batch_size": size, "region": 0, "hyperparameter": name, **entry}
        for size in sorted(frame["batch_size"].astype(int).unique().tolist())
        for name, entry in space.items()
    ]
    return {
        BOXES_FILE: pa.Table.from_pylist(boxes, schema=file_schema(BOXES_FILE)),
        CURVES_FILE: curves,
        TRIALS_FILE: trials,
    }


def _with_roles(runs: Runs) -> pd.DataFrame:
    """Return the runs with their role, number and, for replicates, source."""
    frame = runs.runs.copy()
    if frame["role"].notna().all() and frame["trial"].notna().all():
        return frame
    point = ["batch_size", *runs.hyperparameters, "apart"]
    # replicates differ only in their seed; without hyperparameters points are unknown
    first = frame.groupby(point, dropna=False)["seed"].transform("first")
    again = frame.duplicated(point) & frame["seed"].notna() & first.notna()
    again &= ~frame.duplicated([*point, "seed"])
    if not runs.hyperparameters:
        again[:] = False
    frame["role"] = again.map({True: "replicate", False: "search"})
    frame["trial"] = frame.groupby(["batch_size", "role"]).cumcount()
    sources = frame[~again].drop_duplicates(point)[[*point, "trial"]]
    numbers = frame[point].merge(sources, on=point, how="left")["trial"].set_axis(frame.index)
    frame["source_trial"] = numbers.where(again)
    frame["source_batch_size"] = frame["batch_size"].where(again)
    frame["source_role"] = again.map({True: "search", False: None})
    frame["rule"] = again.map({True: "same", False: None})
    return frame


def _table(columns: pd.DataFrame, schema: pa.Schema, order: Sequence[str]) -> pa.Table:
    """Return a sorted table of a schema; a column that is missing becomes null."""
    arrays = [
        _array(columns[field.name], field)
        if field.name in columns
        else pa.nulls(len(columns), field.type)
        for field in schema
    ]
    table = pa.Table.from_arrays(arrays, schema=schema)
    return table.sort_by([(name, "ascending") for name in order])


def _with_test_errors(trials: pa.Table, curves: pa.Table) -> pa.Table:
    """Return trials with their test error at the target, or else at the last measurement."""
    measured = curves.select([*TRIAL_KEY, "step", TEST_ERROR]).to_pandas()
    ends = trials.select([*TRIAL_KEY, "steps"]).to_pandas()
    steps = measured.merge(ends, on=list(TRIAL_KEY), how="left")["steps"]
    last = measured[~(measured["step"] > steps)].drop_duplicates(list(TRIAL_KEY), keep="last")
    found = ends.merge(last, on=list(TRIAL_KEY), how="left")[TEST_ERROR]
    schema = trial_schema(hyperparameters(trials.column_names), [TEST_ERROR])
    return pa.Table.from_arrays(
        [*trials.columns, _array(found, schema.field(TEST_ERROR))], schema=schema
    )


def _array(column: "pd.Series[Any]", field: pa.Field) -> pa.Array:
    if pa.types.is_floating(field.type):
        finite = pd.to_numeric(column).astype("float64")
        return pa.array(finite.where(finite.abs() < float("inf")), field.type, from_pandas=True)
    kind = int if pa.types.is_integer(field.type) else str
    return pa.array([None if pd.isna(cell) else kind(cell) for cell in column], field.type)
