"""The CSV that a chart of Weights & Biases exports: a column for each run, `run - metric`."""

import re

import pandas as pd

from analysis.runs.rows import Rows, is_absent

_COLUMN = re.compile(r"(?P<run>.+) - (?P<metric>.+?)(?P<bound>__MIN|__MAX)?")


def unfolded(rows: Rows) -> Rows:
    """Return such an export with a row for each measurement; other tables as they are."""
    columns = {name: _COLUMN.fullmatch(name) for name in rows.names[1:]}
    metrics = {name: found for name, found in columns.items() if found and not found["bound"]}
    bounds = [name for name, found in columns.items() if found and found["bound"]]
    if not bounds or not all(columns.values()):
        return rows
    axis = rows.names[0]
    parts = [
        pd.DataFrame(
            {"run": found["run"], axis: rows.frame[axis], found["metric"]: rows.frame[name]}
        )
        # a run has no measurement where only others have
        .loc[[not is_absent(cell) for cell in rows.frame[name]]]
        for name, found in metrics.items()
    ]
    long = pd.concat(parts).astype(object)
    long = long.where(long.notna(), None).set_axis(pd.RangeIndex(1, len(long) + 1))
    return Rows(where=rows.where, frame=long, label="measurement", remarks=rows.remarks)
