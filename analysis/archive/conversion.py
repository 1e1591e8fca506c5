"""Converts an archived workload to the tables of a results folder."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from analysis.archive.layout import (
    COMPLETE,
    METRICS,
    STATUS_OF,
    TRAIN_LOSS,
    VAL_LOSS,
    Metric,
)
from analysis.archive.reading import ArchivedTrial, ArchivedWorkload
from analysis.archive.spaces import Entry, entries, hyperparameter_name, union
from analysis.errors import AnalysisError
from analysis.measures.targets import judged
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
    """The tables of an imported study.

    Attributes:
        trials: as in `trial_schema`.
        curves: as in `curve_schema`, then one column for each further measurement.
        boxes: as in `BOX_COLUMNS`, one region per batch size.
        space: the smallest space that contains all boxes.
        not_finite: number of measurements left out because their error is not finite.
        unmeasured: number of trials without a measurement.
    """

    trials: pa.Table
    curves: pa.Table
    boxes: pa.Table
    space: Mapping[str, Entry]
    not_finite: int
    unmeasured: int

    def at_target(self, target: float | None) -> "Tables":
        """Return the tables with the COMPLETE trials judged at a target; unchanged for None."""
        return replace(self, trials=judged(self.trials, self.curves, target, ["exhausted"]))


def choose_metric(workload: ArchivedWorkload, name: str | None) -> Metric:
    """Return a metric of a workload, by its name or as the first known one.

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


def convert(workload: ArchivedWorkload, metric: Metric, first_trials: int | None = None) -> Tables:
    """Return a workload as tables, without a target: COMPLETE trials are `exhausted`.

    Trials have no seed, cohort or time, which the archive does not record. Of each batch size the
    first COMPLETE ones are kept, as many as asked for, and those up to there.
    """
    trials = {size: _first_trials(workload, size, first_trials) for size in workload.descriptions}
    curves, not_finite = _curves(workload, trials, metric)
    best = _least_error(curves)
    rows = [
        _trial_row(size, trial, best.get((size, trial.trial)))
        for size, found in trials.items()
        for trial in found
    ]
    names = dict.fromkeys(
        hyperparameter_name(name) for _, t in _all_trials(trials) for name in sorted(t.parameters)
    )
    taken = {**TRIAL_COLUMNS, **OPTIONAL_TRIAL_COLUMNS}
    _check_names(workload, names, taken, [t.parameters for _, t in _all_trials(trials)])
    spaces = {size: entries(study) for size, study in workload.descriptions.items()}
    boxes = [
        {"batch_size": size, "region": 0, "hyperparameter": name, **entry}
        for size, space in spaces.items()
        for name, entry in space.items()
        if isinstance(entry, Mapping)
    ]
    return Tables(
        trials=pa.Table.from_pylist(rows, schema=trial_schema(tuple(names))),
        curves=curves,
        boxes=pa.Table.from_pylist(boxes, schema=file_schema(BOXES_FILE)),
        space=union(spaces.values()),
        not_finite=not_finite,
        unmeasured=sum(len(trial.measurements) == 0 for _, trial in _all_trials(trials)),
    )


def _all_trials(
    trials: Mapping[int, tuple[ArchivedTrial, ...]],
) -> list[tuple[int, ArchivedTrial]]:
    return [(size, trial) for size, found in trials.items() for trial in found]


def _measured(workload: ArchivedWorkload) -> list[str]:
    return list(
        dict.fromkeys(
            name
            for _, trial in _all_trials(workload.trials)
            for name in trial.measurements.column_names
            if name != "step"
        )
    )


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
    workload: ArchivedWorkload,
    trials: Mapping[int, tuple[ArchivedTrial, ...]],
    metric: Metric,
) -> tuple[pa.Table, int]:
    """Return the curves, and how many measurements they leave out."""
    parts = []
    for size, trial in _all_trials(trials):
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
    values = {"val_error": error} | {
        column: _floats(table, name)
        for column, name in (("train_loss", TRAIN_LOSS), ("val_loss", VAL_LOSS))
    }
    held = {TRAIN_LOSS, VAL_LOSS} | (set() if metric.maximized else {metric.column})
    others = [name for name in _measured(workload) if name not in held]
    _check_names(workload, others, CURVE_COLUMNS, [])
    schema = curve_schema()
    columns: list[Any] = [_column(table, field, values) for field in schema]
    for name in others:
        schema = schema.append(pa.field(name, pa.float64()))
        columns.append(_finite(_floats(table, name)))
    return pa.Table.from_arrays(columns, schema=schema), int((~kept).sum())


def _column(table: pa.Table, field: pa.Field, values: Mapping[str, Any]) -> Any:
    if field.name in values:
        return _finite(values[field.name])
    if field.name == "role":
        return pa.repeat(pa.scalar(_ROLE, field.type), len(table))
    if field.name in table.column_names:
        return table[field.name]
    return pa.nulls(len(table), field.type)


def _floats(table: pa.Table, name: str) -> NDArray[np.float64]:
    """Return a column, NaN where it is null or missing."""
    if name not in table.column_names:
        return np.full(len(table), np.nan)
    values: NDArray[np.float64] = table[name].to_numpy()
    return values


def _finite(values: NDArray[np.float64]) -> pa.Array:
    return pa.array(values, mask=~np.isfinite(values))


def _least_error(curves: pa.Table) -> dict[tuple[int, int], float]:
    after_start = curves.filter(pa.compute.greater_equal(curves["step"], 1))
    least = after_start.group_by(["batch_size", "trial"]).aggregate([("val_error", "min")])
    return {(row["batch_size"], row["trial"]): row["val_error_min"] for row in least.to_pylist()}


def _trial_row(size: int, trial: ArchivedTrial, best: float | None) -> dict[str, Any]:
    return {
        **{hyperparameter_name(name): value for name, value in trial.parameters.items()},
        "batch_size": size,
        "trial": trial.trial,
        "role": _ROLE,
        "status": STATUS_OF[trial.status],
        "stopped_at": trial.steps,
        "best_error": best,
        "message": "",
    }


def _check_names(
    workload: ArchivedWorkload,
    names: Iterable[str],
    taken: Mapping[str, Any],
    parameters: Iterable[Mapping[str, float]],
) -> None:
    clash = [name for name in names if name in taken]
    for given in parameters:
        hyperparameters = [hyperparameter_name(name) for name in given]
        clash += [name for name in hyperparameters if hyperparameters.count(name) > 1]
    if clash:
        raise AnalysisError(
            f"a parameter or measurement must not have the name of a column of the tables, got "
            f"{clash[0]} in {'/'.join(workload.path)}; rename it, or leave that workload out with "
            "--only"
        )
