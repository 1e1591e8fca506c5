"""Tables of a study, made from its parts, which are the only truth."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from analysis.tables.folder import ResultsFolder
from analysis.tables.schema import (
    BOXES_FILE,
    CURVES_FILE,
    TRIALS_FILE,
    box_schema,
    curve_schema,
    trial_schema,
)
from study.config.space import Range
from study.config.study import ResolvedStudy
from study.engine.outcomes import final_results
from study.records import Role, TrialResult
from study.storage.curve_columns import curve_table
from study.storage.parts import parts_by_size, read_part, trial_row, write_table

Ended = tuple[int, str, str]
"""A trial's batch size, status and message."""


_Regions = Mapping[tuple[int, int], Mapping[str, tuple[float, float]]]


_ROLES = list(Role)


def read_parts(folder: ResultsFolder, resolved: ResolvedStudy) -> Iterator[TrialResult]:
    """Reads every part, sorted by batch size, role and trial, each trial once.

    Args:
        folder: the results folder.
        resolved: the study that they belong to.

    Yields:
        All recorded trials; those of one batch size are in memory at a time.
    """
    for names in parts_by_size(folder).values():
        yield from _read(folder, resolved, names)


def read_parts_at(
    folder: ResultsFolder, resolved: ResolvedStudy, batch_size: int
) -> list[TrialResult]:
    """Reads the parts of one batch size, sorted by role and trial, each trial once."""
    return _read(folder, resolved, parts_by_size(folder).get(batch_size, []))


def _read(
    folder: ResultsFolder, resolved: ResolvedStudy, names: Iterable[str]
) -> list[TrialResult]:
    """Reads parts of one batch size, sorted by role and trial, each trial once."""
    results: dict[tuple[int, int], TrialResult] = {}
    for name in names:
        for result in read_part(folder, name, resolved):
            role = _ROLES.index(result.point.role)
            results.setdefault((role, result.point.trial), result)
    return [results[key] for key in sorted(results)]


def consolidate(folder: ResultsFolder, resolved: ResolvedStudy) -> list[Ended]:
    """Writes `trials.parquet`, `curves.parquet` and `boxes.parquet` from the parts.

    One batch size is in memory at a time.

    Args:
        folder: the results folder.
        resolved: its study.

    Returns:
        Batch size, status and message of every trial, as the tables have them.
    """
    regions: dict[tuple[int, int], Mapping[str, tuple[float, float]]] = {}
    ended: list[Ended] = []
    files = pa.BufferOutputStream(), pa.BufferOutputStream()
    schemas = trial_schema(resolved.hyperparameters), curve_schema()
    with (
        pq.ParquetWriter(files[0], schemas[0], compression="zstd") as trials,
        pq.ParquetWriter(files[1], schemas[1], compression="zstd") as curves,
    ):
        for names in parts_by_size(folder).values():
            results = final_results(resolved, _read(folder, resolved, names))
            trials.write_table(_trial_table(resolved, results))
            curves.write_table(curve_table(results))
            regions.update(_regions(results))
            ended += [(r.batch_size, str(r.outcome.status), r.message) for r in results]
    for name, file in zip((TRIALS_FILE, CURVES_FILE), files, strict=True):
        folder.write(name, file.getvalue())
    write_table(folder, BOXES_FILE, _box_table(resolved, regions))
    return ended


def tables_of(resolved: ResolvedStudy, results: Sequence[TrialResult]) -> dict[str, pa.Table]:
    """Gives the tables that a study's trials make, by the names of their files.

    Args:
        resolved: the study.
        results: all its trials, finally judged.

    Returns:
        `trials.parquet`, `curves.parquet` and `boxes.parquet`.
    """
    return {
        TRIALS_FILE: _trial_table(resolved, results),
        CURVES_FILE: curve_table(results),
        BOXES_FILE: _box_table(resolved, _regions(results)),
    }


def _trial_table(resolved: ResolvedStudy, results: Sequence[TrialResult]) -> pa.Table:
    rows = [trial_row(result) for result in results]
    return pa.Table.from_pylist(rows, schema=trial_schema(resolved.hyperparameters))


def _regions(results: Iterable[TrialResult]) -> _Regions:
    return {
        (result.batch_size, result.region.number): result.region.box
        for result in results
        if result.region is not None
    }


def _box_table(resolved: ResolvedStudy, regions: _Regions) -> pa.Table:
    ranges = {n: entry for n, entry in resolved.search.space.items() if isinstance(entry, Range)}
    whole = {n: (r.low, r.high) for n, r in ranges.items()}
    boxes = {(size, 0): whole for size in resolved.searched} | dict(regions)
    rows = [
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
    return pa.Table.from_pylist(rows, schema=box_schema())
