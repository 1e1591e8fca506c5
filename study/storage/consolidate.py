"""The tables of a study, made from its parts."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from analysis.tables.files import as_parquet, write_file
from analysis.tables.folder import ResultsFolder
from analysis.tables.schema import (
    BOXES_FILE,
    CURVES_FILE,
    TRIALS_FILE,
    box_schema,
    curve_schema,
)
from study.config.study import ResolvedStudy
from study.engine.outcomes import final_results
from study.records import TrialResult
from study.storage.boxes import Regions, box_rows
from study.storage.curve_columns import curve_table
from study.storage.parts import Parts
from study.storage.trial_rows import schema_of, trial_table

Ended = tuple[int, str, str]
"""A trial's batch size, status and message."""


@dataclass(frozen=True, slots=True)
class Consolidated:
    """The tables of a study, as they will be written.

    Attributes:
        files: content by file name.
        ended: how each trial ended, in the order of the tables.
    """

    files: Mapping[str, pa.Buffer]
    ended: list[Ended]

    def write(self, folder: ResultsFolder) -> None:
        """Write the tables.

        Raises:
            AnalysisError: the folder cannot be written.
        """  # noqa: DOC502  (raised by the folder)
        for name, content in self.files.items():
            write_file(folder, name, content)


def consolidate(parts: Parts) -> list[Ended]:
    """Write `trials.parquet`, `curves.parquet` and `boxes.parquet` beside the parts.

    Returns:
        How each trial ended, in the order of the tables.
    """
    tables = consolidated(parts)
    tables.write(parts.folder)
    return tables.ended


def consolidated(parts: Parts) -> Consolidated:
    """Return the tables of a study; the trials of one batch size at a time are held as rows.

    Raises:
        StudyError: a part is damaged.
        AnalysisError: the folder cannot be read.
    """  # noqa: DOC502  (raised by the parts)
    resolved = parts.resolved
    regions: Regions = {}
    ended: list[Ended] = []
    files = pa.BufferOutputStream(), pa.BufferOutputStream()
    schemas = schema_of(resolved), curve_schema(resolved.further)
    with (
        pq.ParquetWriter(files[0], schemas[0], compression="zstd") as trials,
        pq.ParquetWriter(files[1], schemas[1], compression="zstd") as curves,
    ):
        for _, recorded in parts.by_size():
            results = final_results(resolved, recorded)
            trials.write_table(trial_table(resolved, results))
            curves.write_table(curve_table(results, resolved.further))
            regions.update(_regions(results))
            ended += [(r.batch_size, str(r.outcome.status), r.message) for r in results]
    tables = {TRIALS_FILE: files[0].getvalue(), CURVES_FILE: files[1].getvalue()}
    tables[BOXES_FILE] = as_parquet(_box_table(resolved, regions))
    return Consolidated(tables, ended)


def tables_of(resolved: ResolvedStudy, results: Sequence[TrialResult]) -> dict[str, pa.Table]:
    """Return the tables of a study by file name.

    Args:
        resolved: the study.
        results: all its trials, with their final outcomes.

    Returns:
        `trials.parquet`, `curves.parquet` and `boxes.parquet`.
    """
    return {
        TRIALS_FILE: trial_table(resolved, results),
        CURVES_FILE: curve_table(results, resolved.further),
        BOXES_FILE: _box_table(resolved, _regions(results)),
    }


def _box_table(resolved: ResolvedStudy, regions: Regions) -> pa.Table:
    return pa.Table.from_pylist(box_rows(resolved, regions), schema=box_schema())


def _regions(results: Iterable[TrialResult]) -> Regions:
    return {
        (result.batch_size, result.region.number): result.region.box
        for result in results
        if result.region is not None
    }
