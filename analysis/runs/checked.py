"""Runs from rows: settings, measurements and outcome; contradictions are refused."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd

from analysis.errors import AnalysisError
from analysis.runs.columns import (
    ALIASES,
    HYPERPARAMETERS,
    KNOWN,
    MEASURED,
    METRICS,
    NOT_SETTINGS,
    Columns,
    Units,
    check_needed,
    columns_of,
)
from analysis.runs.measurements import curves_of, ends_blank, outcomes, statuses, stops
from analysis.runs.rows import Rows
from analysis.runs.run_table import ATTEMPT, RunTable
from analysis.tables.schema import CURVE_COLUMNS, QUANTITIES, RESERVED_COLUMNS
from analysis.tables.validation import MAX_FURTHER, is_name, is_quantity

_SHOWN = 8
"""Columns that a remark lists."""


def listed(names: Sequence[str]) -> str:
    """Return the first of some names as text."""
    return ", ".join(names[:_SHOWN]) + " and more" * (len(names) > _SHOWN)


@dataclass(frozen=True, kw_only=True, slots=True)
class Runs:
    """Checked runs."""

    # one row per run in the order of the table: run (its id), row (its first), the other
    # `columns.KNOWN` except measurements, and the hyperparameters, NaN or None if absent;
    # not_finite, how many measurements were dropped because their error is not finite; apart, the
    # values of left-out columns in which runs with the same settings differ
    runs: pd.DataFrame = field(repr=False)
    # one row per measurement whose error is finite: run (row of `runs`), step in updates,
    # val_error, the other `columns.MEASURED` and the quantities
    curves: pd.DataFrame = field(repr=False)
    hyperparameters: tuple[str, ...]  # their names
    quantities: tuple[str, ...]  # names of the other measured quantities
    metric: str  # what became the error, one of `columns.METRICS`
    measured: bool  # whether there are curves; if not, `runs` has the steps to target
    remarks: tuple[str, ...] = ()  # what was left out, for the user


def checked_runs(
    rows: Rows, mapping: Mapping[str, str], units: Units, metric: str | None = None
) -> Runs:
    """Return the runs in a table; the arguments are those of `importing.Choices`.

    Raises:
        AnalysisError: columns are missing, a cell is no number, or rows contradict each other.
    """  # noqa: DOC502  (raised inside)
    columns = columns_of(rows, mapping)
    check_needed(rows, columns)
    metric = _metric(columns, metric)
    ids = _run_ids(rows, columns)
    codes = pd.Series(pd.factorize(ids)[0], index=ids.index)
    table = RunTable(rows, columns, units, ids, codes)
    if not table.measured and ids.duplicated().any():
        second = ids.index[ids.duplicated()][0]
        first = ids.index[ids == ids[second]][0]
        rows.refuse("a run must have one row", f"run {ids[second]!r}", [first, second], ATTEMPT)
    names, quantities, left_out = _settings_and_quantities(table, metric)
    frame = table.frame(names)
    curves, not_finite = curves_of(table, frame, metric, quantities)
    frame["not_finite"] = not_finite.reindex(frame.index, fill_value=0)
    runs = _with_ends(table, frame, metric, quantities)
    remarks = list(rows.remarks)
    if left_out:
        remarks.append(
            f"columns left out: {listed(left_out)}; map those that are hyperparameters with "
            "--columns"
        )
    runs["apart"] = ""
    for name in _differing(table, runs, names, left_out):
        runs["apart"] += _first_texts(table, name) + "\n"
        remarks.append(
            f"runs that differ in {name} are not replicates; leave it out with --columns {name}= "
            "if it is not a setting, or map it to optimizer or workload for a study of each"
        )
    return Runs(
        runs=runs,
        curves=curves,
        hyperparameters=names,
        quantities=quantities,
        metric=metric,
        measured=table.measured,
        remarks=tuple(remarks),
    )


def _with_ends(
    table: RunTable, runs: pd.DataFrame, metric: str, quantities: Sequence[str]
) -> pd.DataFrame:
    """Return the runs with the columns diverged, stopped_at and status."""
    runs["diverged"] = runs["not_finite"] > 0
    if table.measured:
        blank = ends_blank(table, metric, quantities).reindex(runs.index, fill_value=False)
        runs["diverged"] |= blank & runs["status"].isna()
        runs["stopped_at"] = stops(table, runs)
    else:
        runs = outcomes(table, runs)
    beyond = runs[runs["stopped_at"] * runs["batch_size"] > 2**53]
    rule = "a run must take at most 2^53 examples, steps x batch_size"
    table.rows.refuse_any(beyond, rule, "{stopped_at:.3g} x {batch_size:.3g}")
    runs["status"] = statuses(table, runs)
    return runs


def _differing(
    table: RunTable, runs: pd.DataFrame, hyperparameters: Sequence[str], left_out: Sequence[str]
) -> list[str]:
    """Return the left-out columns in which runs differ that would otherwise be replicates.

    A column in which most runs have a value of their own, such as a name, is not a setting.
    """
    key = ["workload", "optimizer", "batch_size", *hyperparameters]
    seeded = runs["seed"].notna()
    names = []
    for name in left_out if hyperparameters else ():
        if name and not NOT_SETTINGS.match(name) and not table.varies(name):
            values = _first_texts(table, name)
            differ = values[seeded].groupby([runs.loc[seeded, k] for k in key], dropna=False)
            if 2 * values.nunique() <= len(runs) and (differ.nunique() > 1).any():
                names.append(name)
    return names


def _first_texts(table: RunTable, column: str) -> "pd.Series[str]":
    """Return a column as text in the first row of each run."""
    texts = table.rows.texts(column)[~table.codes.duplicated()]
    return texts.fillna("").astype(str).reset_index(drop=True)


def _metric(columns: Columns, wanted: str | None) -> str:
    known = [name for name in METRICS if name in columns]
    if wanted is not None and wanted not in known:
        raise AnalysisError(
            f"--metric must be one of the measurements of the runs, {', '.join(known) or 'none'}, "
            f"got {wanted!r}; map it with --columns, or leave --metric out"
        )
    return wanted or (known[0] if known else METRICS[0])


def _run_ids(rows: Rows, columns: Columns) -> "pd.Series[str]":
    """Return the id of each row's run; without such a column, it is made of the settings."""
    if "run" in columns:
        ids = rows.texts(columns.by_name["run"])
        if ids.isna().any():
            rows.refuse("every row must name its run", "none", [ids.index[ids.isna()][0]])
        return ids
    index = rows.frame.index
    if "step" not in columns:  # each row is a run
        return pd.Series([f"{rows.label} {row}" for row in index], index=index)
    settings = ("batch_size", "role", "trial", *HYPERPARAMETERS, *columns.mapped, "seed")
    names = [name for name in dict.fromkeys(settings) if name in columns]
    texts = [rows.texts(columns.by_name[name]).tolist() for name in names]
    made = [
        ", ".join(f"{name} {text}" for name, text in zip(names, cells, strict=True))
        for cells in zip(*texts, strict=True)
    ]
    return pd.Series(made, index=index)


def _settings_and_quantities(
    table: RunTable, metric: str
) -> tuple[tuple[str, ...], tuple[str, ...], list[str]]:
    """Return hyperparameters, further measured quantities, and the columns left out."""
    measured, rows, columns = table.measured, table.rows, table.columns
    used = {*columns.by_name.values(), *columns.dropped, *ALIASES["run"]}
    known = [name for name in HYPERPARAMETERS if name in columns]
    given = [name for name in columns.mapped if name not in known]
    quantities = [n for n in (*MEASURED, *QUANTITIES) if n in columns and n != metric and measured]
    quantities = [name for name in quantities if name not in CURVE_COLUMNS]
    quantities += [n for n in given if measured and table.is_measured(columns.by_name[n])]
    named = [name for name in given if name not in quantities]
    odd = [name for name in named if not is_name(name)]
    if odd:
        raise AnalysisError(
            "the name of a hyperparameter must consist of letters, digits and any of _ . + -, got "
            f"{odd[0]!r} in --columns for a column that is constant in each run; choose another"
        )
    settings, left_out = [*known, *named], []
    for name in rows.names:
        if name in used or not name or name.startswith("_"):
            continue
        ours = name not in RESERVED_COLUMNS and name not in KNOWN and rows.is_numeric(name)
        if ours and measured and is_quantity(name) and table.is_measured(name):
            quantities.append(name)
        elif ours and is_name(name) and not named and not NOT_SETTINGS.match(name):
            settings.append(name)  # refused later if it differs within a run
        else:
            left_out.append(name)
    left_out += quantities[MAX_FURTHER:]
    return tuple(dict.fromkeys(settings)), tuple(dict.fromkeys(quantities[:MAX_FURTHER])), left_out
