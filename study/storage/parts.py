"""Parts: what each cohort leaves, one atomic parquet file, one row per trial with its curve."""

import hashlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from analysis.tables.folder import ResultsFolder
from analysis.tables.schema import SCHEMA_VERSION, VERSION_KEY, trial_schema
from analysis.tables.validation import BROKEN_PARQUET, read_parquet
from study.config.study import ResolvedStudy
from study.errors import StudyError, cause
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
from study.storage.curve_columns import CURVE_LISTS, curve_lists, read_curves

PARTS = "parts"
_DIGEST_KEY = b"batchscale.study"
_NODE_KEY = b"batchscale.node"
_REGION_KEY = b"batchscale.region"
_HASH_KEY = b"batchscale.sha256"
_LETTERS = {Role.SEARCH: "c", Role.EXTENSION: "x", Role.REPLICATE: "r", Role.RECIPE: "s"}
"""Warm points have none: they join a cohort of the search."""
_PART = re.compile(
    rf"{PARTS}/b(?P<size>\d+)-(?P<letter>[{''.join(_LETTERS.values())}])(?P<cohort>\d+)\.parquet"
)


class CorruptPartError(ValueError):
    """A part holds what no worker writes; the message is that."""


def part_name(batch_size: int, cohort: int, role: Role = Role.SEARCH) -> str:
    """Gives the name of a cohort's part in the results folder; `role` is its first trial's."""
    return f"{PARTS}/{cohort_stem(batch_size, cohort, role)}.parquet"


def cohort_stem(batch_size: int, cohort: int, role: Role) -> str:
    """Gives what a cohort's files are called, without suffix; `role` is its first trial's."""
    return f"b{batch_size:05d}-{_LETTERS[role]}{cohort:03d}"


def write_part(
    folder: ResultsFolder, resolved: ResolvedStudy, results: Sequence[TrialResult], node: str = ""
) -> str:
    """Writes a cohort's results in one atomic step.

    Args:
        folder: the results folder.
        resolved: the study that they belong to.
        results: the cohort's trials.
        node: the machine that trained them; noted in the part's metadata.

    Returns:
        The name of the part.
    """
    schema = trial_schema(resolved.hyperparameters)
    first = results[0]
    ours = {_DIGEST_KEY: resolved.digest().encode(), _NODE_KEY: node.encode()}
    if first.region is not None:
        ours[_REGION_KEY] = json.dumps(asdict(first.region)).encode()
    table = pa.Table.from_pylist([trial_row(result) for result in results], schema=schema)
    columns = curve_lists([result.curve for result in results])
    for (column, kind), values in zip(CURVE_LISTS.items(), columns, strict=True):
        table = table.append_column(pa.field(column, kind), values)
    name = part_name(first.batch_size, first.cohort, first.point.role)
    told = table.replace_schema_metadata({**schema.metadata, **ours})
    hashed = {**told.schema.metadata, _HASH_KEY: _content_hash(told).encode()}
    write_table(folder, name, told.replace_schema_metadata(hashed))
    return name


def _content_hash(table: pa.Table) -> str:
    """Gives the sha256 of all that a part says, however parquet lays it out."""
    metadata = {key.decode(): value.decode() for key, value in table.schema.metadata.items()}
    metadata.pop(_HASH_KEY.decode(), None)
    content = json.dumps([metadata, table.to_pylist()], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()


def hash_holds(folder: ResultsFolder, name: str) -> bool:
    """Tells whether a part still says what was written into it.

    Args:
        folder: the results folder.
        name: a part that can be read.

    Returns:
        Whether its content has the hash in its metadata.
    """
    table = pq.read_table(pa.BufferReader(folder.read(name)))
    recorded: bytes = table.schema.metadata.get(_HASH_KEY, b"")
    return recorded.decode() == _content_hash(table)


def read_part(folder: ResultsFolder, name: str, resolved: ResolvedStudy) -> list[TrialResult]:
    """Reads one part.

    Args:
        folder: the results folder.
        name: the part.
        resolved: the study that it must belong to.

    Returns:
        The cohort's trials.

    Raises:
        StudyError: it is truncated, of another study, of another schema version, or holds what no
            worker writes.
    """
    path, content = folder / name, folder.read(name)
    try:
        table = read_parquet(content)
    except BROKEN_PARQUET as error:
        raise StudyError(
            f"a part must be a whole parquet file, got {path}: {error}; delete it, and `sweep` "
            "runs its trials again"
        ) from error
    metadata = table.schema.metadata or {}
    version = metadata.get(VERSION_KEY, b"none").decode(errors="replace")
    if version != str(SCHEMA_VERSION):
        raise StudyError(
            f"a part must have schema version {SCHEMA_VERSION}, got {version} in "
            f"{path}; read it with the release that wrote it"
        )
    if metadata.get(_DIGEST_KEY, b"") != resolved.digest().encode():
        raise StudyError(
            f"a part must belong to the study in its folder, got another one's in {path}; "
            "move it away"
        )
    try:
        return _results(table, resolved, _region(metadata.get(_REGION_KEY)))
    except (KeyError, TypeError, ValueError, RecursionError, OverflowError) as error:
        got = str(error) if isinstance(error, CorruptPartError) else cause(error)
        raise StudyError(
            f"a part must be as a worker writes it, got {got} in {path}; delete it, and "
            "`sweep` runs its trials again"
        ) from error


def _results(table: pa.Table, resolved: ResolvedStudy, region: Region | None) -> list[TrialResult]:
    rows = table.drop_columns(list(CURVE_LISTS)).to_pylist()
    if not rows:
        raise CorruptPartError("no trial")
    names = resolved.hyperparameters
    results = [
        replace(from_row(row, names), curve=curve, region=region)
        for row, curve in zip(rows, read_curves(table), strict=True)
    ]
    for result in results:
        _check(result, resolved)
    return results


def _check(result: TrialResult, resolved: ResolvedStudy) -> None:
    """Checks what types alone do not say; a part may come from anybody."""
    curve, outcome = result.curve, result.outcome
    if result.batch_size not in resolved.batch_sizes or not 0 <= result.point.trial <= 2**53:
        raise CorruptPartError(f"trial {result.point.trial} at batch size {result.batch_size}")
    if not all(math.isfinite(value) for value in result.point.values.values()):
        raise CorruptPartError(f"hyperparameters {dict(result.point.values)}")
    if curve.step.size and (curve.step[0] < 0 or (np.diff(curve.step) <= 0).any()):
        raise CorruptPartError("a curve whose steps do not rise from 0")
    if not np.isfinite(curve.val_error).all():
        raise CorruptPartError("a curve with errors that are not finite")
    if min(outcome.stopped_at, outcome.steps or 0, outcome.steps_before or 0) < 0:
        raise CorruptPartError("steps below 0")
    if (outcome.steps is not None) is not (outcome.status is Status.REACHED):
        raise CorruptPartError(f"status {outcome.status} with steps {outcome.steps}")
    if result.region is not None and not set(result.region.box) <= set(resolved.hyperparameters):
        raise CorruptPartError(f"a region of {', '.join(map(str, result.region.box))}")


def part_names(folder: ResultsFolder) -> list[str]:
    """Gives the parts of a results folder, sorted by batch size, role and cohort."""
    return [name for names in parts_by_size(folder).values() for name in names]


def parts_by_size(folder: ResultsFolder) -> dict[int, list[str]]:
    """Gives the parts of each batch size in rising order, sorted by role and cohort."""
    found = [(match, name) for name in folder.names(PARTS) if (match := _PART.fullmatch(name))]
    letters = list(_LETTERS.values())
    places = sorted(
        ((int(m["size"]), letters.index(m["letter"]), int(m["cohort"])), name) for m, name in found
    )
    sizes: dict[int, list[str]] = {}
    for (size, _, _), name in places:
        sizes.setdefault(size, []).append(name)
    return sizes


def trial_row(result: TrialResult) -> dict[str, Any]:
    """Gives a trial as a row of `trials.parquet`."""
    point, outcome, execution = result.point, result.outcome, result.execution
    return {
        "batch_size": result.batch_size,
        "trial": point.trial,
        "role": str(point.role),
        "cohort": result.cohort,
        **point.values,
        "seed": point.seed,
        **_source_columns(point.source),
        "status": str(outcome.status),
        "steps": outcome.steps,
        "steps_before": outcome.steps_before,
        "stopped_at": outcome.stopped_at,
        "best_error": outcome.best_error,
        "seconds": result.seconds.whole,
        "training_seconds": result.seconds.training,
        "evaluation_seconds": result.seconds.evaluation,
        "mode": None if execution is None else execution.mode,
        "pack": None if execution is None else execution.pack,
        "micro_batch": None if execution is None else execution.micro_batch,
        "message": result.message,
    }


def _source_columns(source: Source | None) -> dict[str, Any]:
    if source is None:
        return dict.fromkeys(("source_batch_size", "source_role", "source_trial", "rule"))
    return {
        "source_batch_size": source.batch_size,
        "source_role": None if source.role is None else str(source.role),
        "source_trial": source.trial,
        "rule": str(source.rule),
    }


def from_row(row: Mapping[str, Any], hyperparameters: Sequence[str]) -> TrialResult:
    """Gives the trial of a row, as `trial_row` made it; its curve stands elsewhere."""
    outcome_fields = ("steps", "steps_before", "stopped_at", "best_error")
    return TrialResult(
        batch_size=row["batch_size"],
        cohort=row["cohort"],
        point=Point(
            trial=row["trial"],
            seed=row["seed"],
            role=Role(row["role"]),
            values={name: row[name] for name in hyperparameters},
            source=_source(row),
        ),
        curve=Curve.empty(),
        outcome=Outcome(status=Status(row["status"]), **{k: row[k] for k in outcome_fields}),
        seconds=Seconds(row["seconds"], row["training_seconds"], row["evaluation_seconds"]),
        message=row["message"],
        execution=_execution(row),
    )


def _source(row: Mapping[str, Any]) -> Source | None:
    if row["rule"] is None:
        return None
    role = None if row["source_role"] is None else Role(row["source_role"])
    return Source(row["source_batch_size"], role, row["source_trial"], ScalingRule(row["rule"]))


def _region(text: bytes | None) -> Region | None:
    return None if text is None else Region.of(json.loads(text))


def _execution(row: Mapping[str, Any]) -> Execution | None:
    if row["mode"] is None:
        return None
    return Execution(row["mode"], row["pack"], row["micro_batch"])


def write_table(folder: ResultsFolder, name: str, table: pa.Table) -> None:
    """Writes a parquet file in one atomic step."""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    folder.write(name, sink.getvalue())
