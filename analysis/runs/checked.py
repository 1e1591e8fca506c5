"""Runs out of rows: settings, measurements, outcome; what contradicts itself is refused."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import pandas as pd

from analysis.errors import AnalysisError
from analysis.runs.columns import (
    ALIASES,
    HYPERPARAMETERS,
    KNOWN,
    METRICS,
    Columns,
    Units,
    check_needed,
    columns_of,
)
from analysis.runs.measurements import curves_of, ends_blank, no_curves
from analysis.runs.outcomes import outcomes, statuses, stops
from analysis.runs.rows import Rows
from analysis.runs.run_table import ATTEMPT, RunTable
from analysis.tables.schema import RESERVED_COLUMNS
from analysis.tables.validation import is_name

_SHOWN = 8
"""Columns that a remark names."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Runs:
    """Checked runs.

    Attributes:
        runs: one row per run in the order of the table: run (its id), row (its first), the other
            `columns.KNOWN` that are no measurement, and the hyperparameters, NaN or None if absent;
            not_finite, the measurements left out because their error is not finite.
        curves: one row per measurement whose error is finite: run (row of `runs`), step in
            updates, val_error and the other `columns.MEASURED`.
        hyperparameters: their names.
        metric: what became the error, one of `columns.METRICS`.
        measured: whether there are curves; else `runs` has the steps to target.
        remarks: what was left out, for the user.
    """

    runs: pd.DataFrame = field(repr=False)
    curves: pd.DataFrame = field(repr=False)
    hyperparameters: tuple[str, ...]
    metric: str
    measured: bool
    remarks: tuple[str, ...] = ()


def checked_runs(
    rows: Rows, mapping: Mapping[str, str], units: Units, metric: str | None = None
) -> Runs:
    """Return the runs in a table; the arguments are those of `importing.Choices`.

    Raises:
        AnalysisError: columns are missing, a cell is no number, or rows contradict each other.
    """  # noqa: DOC502  (raised inside)
    columns = columns_of(rows, mapping)
    check_needed(rows, columns)
    chosen = _metric(columns, metric)
    measured = "step" in columns
    ids = _run_ids(rows, columns)
    codes = pd.Series(pd.factorize(ids)[0], index=ids.index)
    table = RunTable(rows, ids, codes)
    if not measured and ids.duplicated().any():
        second = ids.index[ids.duplicated()][0]
        first = ids.index[ids == ids[second]][0]
        rows.refuse("a run must have one row", f"run {ids[second]!r}", [first, second], ATTEMPT)
    names, left_out = _hyperparameters(table, columns)
    runs = table.frame(columns, names)
    sizes = codes.map(runs["batch_size"])
    curves, not_finite = (
        curves_of(table, columns, chosen, units, sizes) if measured else no_curves(runs)
    )
    runs["not_finite"] = not_finite.reindex(runs.index, fill_value=0)
    runs["diverged"] = runs["not_finite"] > 0
    if measured:
        blank = ends_blank(table, columns, chosen).reindex(runs.index, fill_value=False)
        runs["diverged"] |= blank & runs["status"].isna()
        runs["stopped_at"] = stops(table, columns, units, sizes, runs)
    else:
        runs = outcomes(table, columns, units, runs)
    runs["status"] = statuses(table, runs)
    remarks = list(rows.remarks)
    if left_out:
        more = " and more" if len(left_out) > _SHOWN else ""
        remarks.append(
            f"columns left out: {', '.join(left_out[:_SHOWN])}{more}; name what is a "
            "hyperparameter in --columns"
        )
    return Runs(
        runs=runs,
        curves=curves,
        hyperparameters=names,
        metric=chosen,
        measured=measured,
        remarks=tuple(remarks),
    )


def _metric(columns: Columns, wanted: str | None) -> str:
    found = [name for name in METRICS if name in columns]
    if wanted is not None and wanted not in found:
        raise AnalysisError(
            f"--metric must be one of the measurements that there are, {', '.join(found) or 'none'}"
            f", got {wanted!r}; map it with --columns, or leave --metric out"
        )
    return wanted or (found[0] if found else METRICS[0])


def _run_ids(rows: Rows, columns: Columns) -> "pd.Series[str]":
    """Return the id of each row's run; without a column for it, what its settings are."""
    if "run" in columns:
        ids = rows.texts(columns.of["run"])
        if ids.isna().any():
            rows.refuse("every row must name its run", "none", [ids.index[ids.isna()][0]])
        return ids
    index = rows.frame.index
    if "step" not in columns:  # each row is a run
        return pd.Series([f"{rows.label} {row}" for row in index], index=index)
    settings = ("batch_size", "role", "trial", *HYPERPARAMETERS, *columns.given, "seed")
    names = [name for name in dict.fromkeys(settings) if name in columns]
    texts = [rows.texts(columns.of[name]).tolist() for name in names]
    made = [
        ", ".join(f"{name} {text}" for name, text in zip(names, cells, strict=True))
        for cells in zip(*texts, strict=True)
    ]
    return pd.Series(made, index=index)


def _hyperparameters(table: RunTable, columns: Columns) -> tuple[tuple[str, ...], list[str]]:
    """Return the hyperparameters of a table, and the columns that are left out."""
    found = [name for name in (*HYPERPARAMETERS, *columns.given) if name in columns]
    used = {*columns.of.values(), *columns.dropped, *ALIASES["run"]}
    left_out = []
    for name in table.rows.names:
        if name in used or name.startswith("_"):
            continue
        ours = is_name(name) and name not in RESERVED_COLUMNS and name not in KNOWN
        if columns.given or not ours or not table.rows.is_numeric(name):
            left_out.append(name)
            continue
        varying, several = table.varying(name)
        if varying and 2 * varying >= several:
            left_out.append(name)  # a measurement
        else:
            found.append(name)  # where it differs within a run, that is refused
    return tuple(dict.fromkeys(found)), left_out
