"""The table of what replayed trials were found to be like."""

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from analysis.tables.files import read_table_file, write_table
from analysis.tables.folder import ResultsFolder
from analysis.tables.schema import DIAGNOSTICS_FILE, diagnostic_schema
from study.records import TrialResult


def write_diagnostics(
    folder: ResultsFolder, rows: Sequence[Mapping[str, Any]], best: Sequence[TrialResult]
) -> None:
    """Write `diagnostics.parquet`, with what it has of other diagnostics.

    Args:
        folder: of the study.
        rows: of some diagnostics, which replace all that the table has of these.
        best: the best trials of the study: the table keeps nothing of others, which were the best
            before the search went on.
    """
    new, kept = {row["what"] for row in rows}, []
    if folder.exists(DIAGNOSTICS_FILE):
        current = {(t.batch_size, str(t.point.role), t.point.trial) for t in best}
        kept = [
            row
            for row in read_table_file(folder, DIAGNOSTICS_FILE).to_pylist()
            if row["what"] not in new and (row["batch_size"], row["role"], row["trial"]) in current
        ]
    table = pa.Table.from_pylist([*kept, *rows], schema=diagnostic_schema())
    write_table(folder, DIAGNOSTICS_FILE, table)
