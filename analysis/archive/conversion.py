"""Convert an archived workload to the tables of a results folder."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from analysis.archive.layout import COMPLETE, METRICS, STATUS_OF, TRAIN_LOSS, VAL_LOSS, Metric
from analysis.archive.reading import ArchivedTrial, ArchivedWorkload
from analysis.archive.spaces import Entry, entries, hyperparameter_name, union
from analysis.errors import AnalysisError
from analysis.measures.targets import judge
from analysis.tables.schema import (
    BOXES_FILE,
    CURVE_COLUMNS,
    OPTIONAL_TRIAL_COLUMNS,
    TRIAL_COLUMNS,
    curve_schema,
    file_schema,
    trial_schema,
)

_ROLE = "search"


@dataclass(frozen=True, kw_only=True, slots=True)
class Tables:
    """The tables of an imported study."""

    trials: pa.Table  # as in `trial_schema`
    curves: pa.Table  # as in `curve_schema`, with a column for each further quantity
    boxes: pa.Table  # as in `BOX_COLUMNS`, one region per batch size
    space: Mapping[str, Entry]  # the smallest space that contains all boxes
    not_finite: int  # measurements left out because their error is not finite
    unmeasured: int  # trials without a measurement


def choose_metric(workload: ArchivedWorkload, name: str | None) -> Metric:
    """Return the metric of that name, or the first known one that the workload has.

    Raises:
        AnalysisError: the workload has no such measurement, or no known one.
    """
    columns = _measured(workload)
    for candidate in METRICS if name is None else (name,):
        if METRICS[candidate].column in columns:
            return METRICS[candidate]
    wanted = ", ".join(METRICS) if name is None else name
    raise AnalysisError(
        f"{'/'.join(workload.path)} must have measurements val/ of {wanted}, got "
        f"{', '.join(columns) or 'none'}; choose another --metric or leave it out with --only"
    )


def convert(
    workload: ArchivedWorkload,
    metric: Metric,
    first_trials: int | None = None,
    target: float | None = None,
) -> Tables:
    """Return a workload as tables; COMPLETE trials are `exhausted` unless they reach the target.

    Trials have no seed, cohort or time, as the archive records none. With `first_trials`, each
    batch size keeps its trials up to that many COMPLETE ones.
    """
    trials = [
        (size, trial)
        for size in workload.descriptions
        for trial in _first_trials(workload, size, first_trials)
    ]
    for own in {tuple(sorted(trial.parameters)) for _, trial in trials}:
        names = [hyperparameter_name(name) for name in own]
        _check_names(workload, names, {**TRIAL_COLUMNS, **OPTIONAL_TRIAL_COLUMNS})
    curves, not_finite = _curves(workload, trials, metric)
    spaces = {size: entries(study) for size, study in workload.descriptions.items()}
    boxes = [
        {"batch_size": size, "region": 0, "hyperparameter": name, **entry}
        for size, space in spaces.items()
        for name, entry in space.items()
        if isinstance(entry, Mapping)
    ]
    return Tables(
        trials=judge(_trials(trials, curves), curves, target, ["exhausted"]),
        curves=curves,
        boxes=pa.Table.from_pylist(boxes, schema=file_schema(BOXES_FILE)),
        space=union(spaces.values()),
        not_finite=not_finite,
        unmeasured=sum(len(trial.measurements) == 0 for _, trial in trials),
    )


def _trials(trials: Sequence[tuple[int, ArchivedTrial]], curves: pa.Table) -> pa.Table:
    """Return the trials with their archived status, and the lowest error after the start."""
    after_start = curves.filter(pa.compute.greater_equal(curves["step"], 1))
    least = after_start.group_by(["batch_size", "trial"]).aggregate([("val_error", "min")])
    best = {(row["batch_size"], row["trial"]): row["val_error_min"] for row in least.to_pylist()}
    rows = [
        {
            **{hyperparameter_name(name): value for name, value in trial.parameters.items()},
            "batch_size": size,
            "trial": trial.trial,
            "role": _ROLE,
            "status": STATUS_OF[trial.status],
            "stopped_at": trial.steps,
            "best_error": best.get((size, trial.trial)),
            "message": "",
        }
        for size, trial in trials
    ]
    names = (hyperparameter_name(name) for _, t in trials for name in sorted(t.parameters))
    return pa.Table.from_pylist(rows, schema=trial_schema(tuple(dict.fromkeys(names))))


def _measured(workload: ArchivedWorkload) -> list[str]:
    trials = chain.from_iterable(workload.trials.values())
    names = (name for trial in trials for name in trial.measurements.column_names)
    return [name for name in dict.fromkeys(names) if name != "step"]


def _first_trials(
    workload: ArchivedWorkload, size: int, count: int | None
) -> tuple[ArchivedTrial, ...]:
    """Return the trials of a batch size up to its n-th COMPLETE one."""
    trials = workload.trials[size]
    if count is None:
        return trials
    complete = [trial.trial for trial in trials if trial.status == COMPLETE]
    if len(complete) < count:
        raise AnalysisError(
            f"--first-trials must not exceed the {COMPLETE} trials of any batch size, got {count} "
            f"where {'/'.join(workload.path)} has {len(complete)} at batch size {size}; lower it"
        )
    return tuple(trial for trial in trials if trial.trial <= complete[count - 1])


def _curves(
    workload: ArchivedWorkload, trials: Sequence[tuple[int, ArchivedTrial]], metric: Metric
) -> tuple[pa.Table, int]:
    """Return the curves, and how many measurements were left out as not finite."""
    parts = []
    for size, trial in trials:
        table = trial.measurements
        if len(table) and metric.column not in table.column_names and trial.status == COMPLETE:
            raise AnalysisError(
                f"a {COMPLETE} trial must have measurements of {metric.column}, got "
                f"{', '.join(table.column_names)} in {'/'.join(workload.path)}/{size}/"
                f"{trial.trial}; choose another --metric"
            )
        for name, value in (("batch_size", size), ("trial", trial.trial)):
            table = table.append_column(name, pa.repeat(pa.scalar(value, pa.int64()), len(table)))
        parts.append(table)
    table = pa.concat_tables(parts, promote_options="default")
    error = metric.error(_floats(table, metric.column))
    kept = np.isfinite(error)
    if not kept.all():
        table, error = table.filter(pa.array(kept)), error[kept]
    renamed = {TRAIN_LOSS, VAL_LOSS} | (set() if metric.maximized else {metric.column})
    others = [name for name in _measured(workload) if name not in renamed]
    _check_names(workload, others, CURVE_COLUMNS)
    columns = {
        **{name: table[name] for name in ("batch_size", "trial", "step")},
        "role": pa.repeat(pa.scalar(_ROLE, pa.string()), len(table)),
        "train_loss": _finite(_floats(table, TRAIN_LOSS)),
        "val_loss": _finite(_floats(table, VAL_LOSS)),
        "val_error": _finite(error),
        **{name: _finite(_floats(table, name)) for name in others},
    }
    schema, nothing = curve_schema(others), pa.nulls(len(table), pa.float64())
    arrays = [columns.get(name, nothing) for name in schema.names]
    return pa.Table.from_arrays(arrays, schema=schema), int((~kept).sum())


def _floats(table: pa.Table, name: str) -> NDArray[np.float64]:
    """Return a column, NaN where it is null or missing."""
    if name not in table.column_names:
        return np.full(len(table), np.nan)
    values: NDArray[np.float64] = table[name].to_numpy()
    return values


def _finite(values: NDArray[np.float64]) -> pa.Array:
    return pa.array(values, mask=~np.isfinite(values))


def _check_names(workload: ArchivedWorkload, names: list[str], taken: Mapping[str, Any]) -> None:
    clash = [name for name in names if name in taken or names.count(name) > 1]
    if clash:
        raise AnalysisError(
            f"a parameter or measurement must not have the name of a column of the tables, got "
            f"{clash[0]} in {'/'.join(workload.path)}; rename it, or leave that workload out with "
            "--only"
        )
