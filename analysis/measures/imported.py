"""Imported trials, judged by their curves before the study is written."""

from collections.abc import Sequence

import pyarrow as pa

from analysis.measures.targets import trials_at
from analysis.tables.schema import TRIAL_KEY
from analysis.tables.study import StudyTables


def judged(
    trials: pa.Table, curves: pa.Table, target: float | None, counted: Sequence[str]
) -> pa.Table:
    """Return a table of trials as they stand at a target; unchanged for None.

    Trials whose status is among those `counted` may reach it.
    """
    if target is None:
        return trials
    study = StudyTables(
        name="",
        config={"race": {"to": "budget"}, "imported": {"counted_statuses": list(counted)}},
        trials=trials.to_pandas(),
        curves=curves.select([*TRIAL_KEY, "step", "val_error"]).to_pandas(),
    )
    roles = tuple(trials["role"].unique().to_pylist())
    found = trials_at(study, roles, target)
    return pa.Table.from_pandas(found, schema=trials.schema, preserve_index=False)
