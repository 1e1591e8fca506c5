"""Runs of an experiment tracker as rows: one per measured value, each with the settings."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from analysis.errors import AnalysisError
from analysis.runs.columns import MEASURED
from analysis.runs.rows import MAX_CELLS, Rows

Curve = Sequence[tuple[float, float]]
"""Steps and values in the order in which they were recorded."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TrackedRun:
    """A run in a tracker: its settings, and its curves, empty if they are not wanted."""

    settings: Mapping[str, Any]
    curves: Mapping[str, Curve] = field(repr=False)


def wanted(mapping: Mapping[str, str]) -> frozenset[str]:
    """Return the names of the measurements that an import reads."""
    return frozenset(mapping.get(name, name) for name in MEASURED)


def tracked_rows(
    where: str, runs: Iterable[TrackedRun], mapping: Mapping[str, str], step: str = "step"
) -> Rows:
    """Return the runs of a tracker as rows; `where` names it in messages.

    Raises:
        AnalysisError: there is no run, or the runs have too many values.
    """
    names = wanted(mapping)
    records: list[dict[str, Any]] = []
    others: dict[str, None] = {}
    for run in runs:
        others |= dict.fromkeys(run.curves)
        curves = {name: curve for name, curve in run.curves.items() if name in names}
        if not any(curves.values()) and mapping.get("batch_size", "batch_size") not in run.settings:
            continue  # nothing to import: a summary, or a run of another kind
        # a parameter and a measurement may share a name
        settings = {k: v for k, v in run.settings.items() if k not in curves and k != step}
        rows = [
            {**settings, step: at, name: value}
            for name, curve in curves.items()
            for at, value in curve
        ]
        records += rows or [settings]
        if len(records) * max(len(settings), 1) > MAX_CELLS:
            raise AnalysisError(f"the runs in {where} must fit into memory, got too many values")
    if not records:
        raise AnalysisError(f"{where} must contain a run, got none; check the path")
    keys = dict.fromkeys([*(name for record in records for name in record), *others])
    columns = {name: [record.get(name) for record in records] for name in keys}
    index = pd.RangeIndex(1, len(records) + 1)
    return Rows(
        where=where,
        frame=pd.DataFrame(columns, dtype=object, index=index),
        label="measurement",
    )
