"""Trials as rows of `trials.parquet` and back, and searched ranges as rows of `boxes.parquet`."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import pyarrow as pa

from analysis.tables.schema import BUDGET, TEST_ERROR, trial_schema
from study.config.study import ResolvedStudy
from study.records import (
    Curve,
    Execution,
    Outcome,
    Point,
    Region,
    Role,
    ScalingRule,
    Seconds,
    Source,
    Status,
    TrialResult,
)

_OUTCOME = ("steps", "steps_before", "stopped_at", "best_error")
_EXECUTION = ("mode", "pack", "micro_batch")
_ROLES = {role.value: role for role in Role}
_STATUSES = {status.value: status for status in Status}
"""Faster than calling an enum, because a study may have very many trials."""
SOURCE_COLUMNS = ("source_batch_size", "source_role", "source_trial", "rule")
"""The origin of a trial's point; null if the search proposed it."""
Regions = dict[tuple[int, int], Mapping[str, tuple[float, float]]]
"""Boxes of hyperparameters by batch size and number of the region."""


def schema_of(resolved: ResolvedStudy) -> pa.Schema:
    """Return the schema of a study's trials."""
    optional = {BUDGET: resolved.budgets_differ, TEST_ERROR: TEST_ERROR in resolved.further}
    return trial_schema(resolved.hyperparameters, [name for name, has in optional.items() if has])


def trial_table(resolved: ResolvedStudy, results: Sequence[TrialResult]) -> pa.Table:
    """Return one row per trial; curves are stored elsewhere."""
    rows = [_row(result) | {BUDGET: resolved.budget(result.batch_size)} for result in results]
    return pa.Table.from_pylist(rows, schema=schema_of(resolved))


def _row(result: TrialResult) -> dict[str, Any]:
    point, outcome = result.point, result.outcome
    execution = dict.fromkeys(_EXECUTION) if result.execution is None else asdict(result.execution)
    return {
        "batch_size": result.batch_size,
        "trial": point.trial,
        "role": str(point.role),
        "cohort": result.cohort,
        **point.values,
        "seed": point.seed,
        **source_columns(point.source),
        "status": str(outcome.status),
        **{name: getattr(outcome, name) for name in _OUTCOME},
        "seconds": result.seconds.total,
        "training_seconds": result.seconds.training,
        "evaluation_seconds": result.seconds.evaluation,
        **execution,
        "message": result.message,
        TEST_ERROR: test_error(result),
    }


def test_error(result: TrialResult) -> float | None:
    """Return the test error at the target, else at the end of training; None if unknown."""
    outcome = result.outcome
    end = outcome.stopped_at if outcome.steps is None else outcome.steps
    curve = result.curve.until(int(np.searchsorted(result.curve.step, end, "right")))
    measured = curve.column(TEST_ERROR)
    return float(measured[-1]) if measured.size and np.isfinite(measured[-1]) else None


def from_row(
    row: Mapping[str, Any],
    hyperparameters: Sequence[str],
    curve: Curve,
    region: Region | None = None,
) -> TrialResult:
    """Return the trial of a row of `trial_table`, with its curve and the region of its cohort."""
    return TrialResult(
        batch_size=row["batch_size"],
        cohort=row["cohort"],
        point=Point(
            trial=row["trial"],
            seed=row["seed"],
            role=_ROLES[row["role"]],
            values={name: row[name] for name in hyperparameters},
            source=_source(row),
        ),
        curve=curve,
        region=region,
        outcome=Outcome(
            status=_STATUSES[row["status"]],
            steps=row["steps"],
            steps_before=row["steps_before"],
            stopped_at=row["stopped_at"],
            best_error=row["best_error"],
        ),
        seconds=Seconds(row["seconds"], row["training_seconds"], row["evaluation_seconds"]),
        message=row["message"],
        execution=None if row["mode"] is None else Execution(*(row[name] for name in _EXECUTION)),
    )


def source_columns(source: Source | None) -> dict[str, Any]:
    """Return the `SOURCE_COLUMNS` of a trial."""
    if source is None:
        return dict.fromkeys(SOURCE_COLUMNS)
    role = None if source.role is None else str(source.role)
    values = (source.batch_size, role, source.trial, str(source.rule))
    return dict(zip(SOURCE_COLUMNS, values, strict=True))


def _source(row: Mapping[str, Any]) -> Source | None:
    if row["rule"] is None:
        return None
    batch_size, role, trial, rule = (row[name] for name in SOURCE_COLUMNS)
    return Source(batch_size, None if role is None else Role(role), trial, ScalingRule(rule))


def box_rows(resolved: ResolvedStudy, regions: Regions) -> list[dict[str, Any]]:
    """Return the rows of `boxes.parquet`."""
    ranges = resolved.ranges
    study_box = {n: (r.low, r.high) for n, r in ranges.items()}
    boxes = {(size, 0): study_box for size in resolved.searched} | dict(regions)
    return [
        {
            "batch_size": size,
            "region": region,
            "hyperparameter": name,
            "low": low,
            "high": high,
            "scale": str(ranges[name].scale),
        }
        for (size, region), box in sorted(boxes.items())
        for name, (low, high) in box.items()
    ]
