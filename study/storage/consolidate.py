"""The tables of a study, made from its parts."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from analysis.errors import AnalysisError
from analysis.tables.files import as_parquet, coding, read_file, read_table_file, write_file
from analysis.tables.folder import ResultsFolder
from analysis.tables.schema import (
    BOXES_FILE,
    BUDGET,
    CURVES_FILE,
    TEST_ERROR,
    TRIAL_KEY,
    TRIALS_FILE,
    curve_schema,
    file_schema,
)
from study.config.study import ResolvedStudy
from study.engine.outcomes import Runs, judge_recorded
from study.records import Status, Steps, TrialResult
from study.storage.curve_columns import curve_rows, curve_table, curve_values
from study.storage.parts import Parts, part_names
from study.storage.study_folder import read_study_toml
from study.storage.trial_rows import Regions, box_rows, schema_of, trial_table

if TYPE_CHECKING:
    from analysis.tables.study import StudyTables

Ended = tuple[int, str, str]
"""A trial's batch size, status and message."""
_ENDED = ("batch_size", "status", "message")
_OfSize = tuple[pa.Table, pa.Table, Regions]
"""Trials, curves and regions of one batch size."""


def consolidate(parts: Parts) -> list[Ended]:
    """Return how each trial ended, in the order of the tables, after writing them.

    Only the trials of one batch size are in memory at a time.
    """
    return [end for rows, _, _ in _writing(parts) for end in _ended(rows)]


def _writing(parts: Parts) -> Iterator[_OfSize]:
    """Yield the tables of each batch size as they are written; the files appear at the end."""
    resolved = parts.resolved
    regions: Regions = {}
    files = pa.BufferOutputStream(), pa.BufferOutputStream()
    schemas = schema_of(resolved), curve_schema(resolved.further)
    with (
        pq.ParquetWriter(files[0], schemas[0], **coding(schemas[0])) as trials,
        pq.ParquetWriter(files[1], schemas[1], **coding(schemas[1])) as curves,
    ):
        for rows, measurements, of_size in _by_size(parts):
            trials.write_table(rows)
            curves.write_table(measurements)
            regions.update(of_size)
            yield rows, measurements, of_size
    write_file(parts.folder, TRIALS_FILE, files[0].getvalue())
    write_file(parts.folder, CURVES_FILE, files[1].getvalue())
    write_file(parts.folder, BOXES_FILE, as_parquet(_box_table(resolved, regions)))


def ended_by_tables(folder: ResultsFolder, trials: int) -> list[Ended] | None:
    """Return how each trial ended according to the tables; None if they are not whole.

    `trials` is the number of trials that whole tables have.
    """
    try:
        for name in (CURVES_FILE, BOXES_FILE):
            read_file(folder, name)
        table = read_table_file(folder, TRIALS_FILE, _ENDED)
    except AnalysisError:
        return None
    return _ended(table) if table.num_rows == trials and len(table.schema) == len(_ENDED) else None


def study_tables(
    folder: ResultsFolder, measured: Collection[str] | None = None, *, write: bool = False
) -> "StudyTables":
    """Return the tables that `consolidate` writes, made from the parts.

    The tables in the folder may be older: a sweep may be running, or was stopped before it wrote
    them. They are read only if there are no parts, as in a study that was imported.

    Args:
        folder: the results folder.
        measured: columns of the curves to keep; None for all.
        write: whether to write the tables too.
    """
    # imports pandas, which few sweeps need
    from analysis.tables.study import StudyTables, as_frame, read_study, require_planned

    if not part_names(folder):
        return read_study(folder, measured)
    resolved = read_study_toml(folder)
    trials, curves, regions = [], [], Regions()
    tables_by_size = _writing if write else _by_size
    # no name for the parts, so that their memory is freed after the loop
    for rows, measurements, of_size in tables_by_size(Parts(folder, resolved)):
        trials.append(rows)
        curves.append(measurements if measured is None else measurements.select(list(measured)))
        regions.update(of_size)
    study = StudyTables(
        name=folder.name,
        config=resolved.as_data(),
        trials=as_frame(pa.concat_tables(trials)),
        curves=as_frame(pa.concat_tables(curves)),
        boxes=as_frame(_box_table(resolved, regions)),
    )
    require_planned(str(folder), study)
    del trials, curves  # they are large, and so is what the caller makes next
    pa.default_memory_pool().release_unused()
    return study


def tables_of(resolved: ResolvedStudy, results: Sequence[TrialResult]) -> dict[str, pa.Table]:
    """Return the tables of all trials of a study, with their final outcomes, by file name."""
    regions = {(r.batch_size, r.region.number): r.region.box for r in results if r.region}
    return {
        TRIALS_FILE: trial_table(resolved, results),
        CURVES_FILE: curve_table(results, resolved.further),
        BOXES_FILE: _box_table(resolved, regions),
    }


def _ended(trials: pa.Table) -> list[Ended]:
    return list(zip(*(trials[name].to_pylist() for name in _ENDED), strict=True))


def _by_size(parts: Parts) -> Iterator[_OfSize]:
    """Yield the trials, curves and regions of each batch size, ascending."""
    for size, table, regions in parts.tables():
        boxes = {(size, region.number): region.box for region in regions}
        yield *_judged(parts.resolved, size, table), boxes


def _judged(resolved: ResolvedStudy, batch_size: int, table: pa.Table) -> tuple[pa.Table, pa.Table]:
    """Return the trials of a batch size and their curves, judged as by `final_results`.

    It works on columns, because a study may have very many trials.
    """
    sizes, values = curve_values(table, resolved.further)
    status, stopped_at = (table[name].to_numpy() for name in ("status", "stopped_at"))
    failed = status == Status.FAILED
    runs = Runs.recorded(sizes, values, status, stopped_at)
    names = ("role", "trial", "steps", "source_role", "source_trial")
    rows = zip(*(table[name].to_pylist() for name in names), strict=True)
    trials = [(role, trial, steps, tuple(source)) for role, trial, steps, *source in rows]
    judged = judge_recorded(resolved, batch_size, trials, runs)

    def column(name: str) -> pa.Array:
        if name == BUDGET:
            return pa.array([resolved.budget(batch_size)] * table.num_rows)
        recorded = table[name].combine_chunks()
        final = getattr(judged, name, None)
        if final is None:
            return recorded
        absent = None if name in {"status", "stopped_at"} else np.isnan(final) | (final < 0)
        return pc.if_else(pa.array(failed), recorded, pa.array(final, recorded.type, mask=absent))

    kept = np.where(failed, sizes, judged.rows)
    row = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    within = row < np.repeat(kept, sizes)
    if not within.all():
        values = {name: measured[within] for name, measured in values.items()}
    schema = schema_of(resolved)
    columns = {name: column(name) for name in schema.names if name != TEST_ERROR}
    if TEST_ERROR in schema.names:
        ends = pc.coalesce(columns["steps"], columns["stopped_at"]).to_numpy()
        columns[TEST_ERROR] = _test_errors(ends, kept, values)
    final = pa.Table.from_arrays([columns[name] for name in schema.names], schema=schema)
    keys = {name: table[name].combine_chunks() for name in TRIAL_KEY}
    return final, curve_rows(keys, kept, values)


def _test_errors(ends: Steps, kept: Steps, values: Mapping[str, NDArray[Any]]) -> pa.Array:
    """Return each trial's last test error up to its end, like `trial_rows.test_error`."""
    trial = np.repeat(np.arange(kept.size), kept)
    counts = np.bincount(trial[values["step"] <= ends[trial]], minlength=kept.size)
    last = np.full(kept.size, np.nan)
    measured = counts > 0
    last[measured] = values[TEST_ERROR][(np.cumsum(kept) - kept + counts - 1)[measured]]
    return pa.array(last, pa.float64(), mask=~np.isfinite(last))


def _box_table(resolved: ResolvedStudy, regions: Regions) -> pa.Table:
    return pa.Table.from_pylist(box_rows(resolved, regions), schema=file_schema(BOXES_FILE))
