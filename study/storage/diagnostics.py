"""The table of diagnostics that were measured on replayed trials."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import pyarrow as pa

from analysis.tables.files import read_table_file, write_table
from analysis.tables.folder import ResultsFolder
from analysis.tables.schema import DIAGNOSTICS_FILE, file_schema
from study.records import TrialResult

Rows = Sequence[Mapping[str, Any]]


def rows_to_keep(folder: ResultsFolder, what: Collection[str], best: Sequence[TrialResult]) -> Rows:
    """Return the rows of `diagnostics.parquet` to keep when some diagnostics are measured again.

    Rows of trials that are no longer among the best are dropped.
    """
    if not folder.exists(DIAGNOSTICS_FILE):
        return []
    current = {(t.batch_size, str(t.point.role), t.point.trial) for t in best}
    return [
        row
        for row in read_table_file(folder, DIAGNOSTICS_FILE).to_pylist()
        if row["what"] not in what and (row["batch_size"], row["role"], row["trial"]) in current
    ]


def write_diagnostics(folder: ResultsFolder, rows: Rows) -> None:
    """Write `diagnostics.parquet`."""
    table = pa.Table.from_pylist(list(rows), schema=file_schema(DIAGNOSTICS_FILE))
    write_table(folder, DIAGNOSTICS_FILE, table)
