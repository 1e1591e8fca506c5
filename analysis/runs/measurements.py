"""The measurements of runs, and how each run ended: status, last step, steps to target."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from analysis.runs.columns import MEASURED
from analysis.runs.rows import is_absent
from analysis.runs.run_table import ATTEMPT, RunTable
from analysis.tables.schema import STATUSES

_WORDS: Mapping[str, str] = {
    "exhausted": "finished complete completed done success succeeded",
    "capped": "killed stopped incomplete running pending preempted scheduled preempting",
    "diverged": "infeasible nan",
    "failed": "crashed error",
}
STATUS_OF = {
    **{word: status for status, words in _WORDS.items() for word in words.split()},
    **{status: status for status in STATUSES},
    "reached": "exhausted",  # the measurements say at which target
}
"""Statuses by the words of tables and trackers."""


def curves_of(
    table: RunTable, runs: pd.DataFrame, metric: str, quantities: Sequence[str]
) -> "tuple[pd.DataFrame, pd.Series[int]]":
    """Return the finite measurements, if any, and how many of each run are not finite."""
    if not table.measured:
        names = ["run", "step", *MEASURED]
        return pd.DataFrame(columns=names, dtype="float64"), pd.Series(0, index=runs.index)
    rows, columns = table.rows, table.columns
    steps, stepped = table.updates(runs)
    curves = pd.DataFrame({"run": table.codes, "step": steps})
    given = {}
    for name in (*(name for name in MEASURED if name in columns), *quantities):
        curves[name], given[name] = rows.numbers(columns.by_name.get(name, name))
    curves["val_error"] = _error(table, metric, curves[metric], given[metric])
    measured = given[metric]
    if (measured & ~stepped).any():
        row = measured.index[measured & ~stepped][0]
        rows.refuse("a measurement must have a step", "none", [row])
    kept = curves[measured]
    _check_rising(table, kept, columns.by_name["step"])
    # trackers write each quantity of a step in a row of its own
    for name in given:
        if name != metric:
            known = curves[given[name] & stepped].drop_duplicates(["run", "step"])
            values = known.set_index(["run", "step"])[name]
            kept[name] = values.reindex(pd.MultiIndex.from_frame(kept[["run", "step"]])).to_numpy()
    finite = np.isfinite(kept["val_error"])
    return kept[finite].reset_index(drop=True), (~finite).groupby(kept["run"]).sum()


def ends_blank(table: RunTable, metric: str, quantities: Sequence[str]) -> "pd.Series[bool]":
    """Return which runs end in rows that have a step and no measurement: many tables omit NaN.

    A run that has such rows before its last measurement too was only measured now and then.
    """
    frame, codes, columns = table.rows.frame, table.codes, table.columns
    measured = (*MEASURED, *quantities)
    settings = {column for name, column in columns.by_name.items() if name not in measured}
    filled = pd.Series(False, frame.index)
    for name in frame.columns:
        if name not in settings and (name == columns.by_name[metric] or table.varies(name)):
            filled |= ~frame[name].map(is_absent).astype(bool)
    blank = ~filled & table.rows.texts(columns.by_name["step"]).notna()
    place = codes.groupby(codes).cumcount()
    last_filled = place[filled].groupby(codes[filled]).max()
    first_blank = place[blank].groupby(codes[blank]).min()
    ends = codes[blank & ~codes.duplicated(keep="last")]
    return first_blank.gt(last_filled.reindex(first_blank.index, fill_value=-1)) & pd.Series(
        first_blank.index.isin(ends), index=first_blank.index
    )


def _error(
    table: RunTable, metric: str, values: "pd.Series[float]", given: "pd.Series[bool]"
) -> "pd.Series[float]":
    if metric == "val_loss":
        return values
    beyond = given & ((values < 0) | (values > 1)) & np.isfinite(values)
    if beyond.any():
        row = beyond.index[beyond][0]
        column = table.columns.by_name[metric]
        rule = f"{column} must be a share from 0 to 1"
        remedy = f"divide percentages by 100, or name a loss as such, --columns val_loss={column}"
        table.rows.refuse(rule, f"{values[row]:g}", [row], remedy)
    return 1 - values if metric == "val_accuracy" else values


def _check_rising(table: RunTable, kept: pd.DataFrame, column: str) -> None:
    falling = (kept.groupby("run")["step"].diff() <= 0).to_numpy()
    if not falling.any():
        return
    row = kept.index[falling][0]
    steps = kept.loc[kept["run"] == kept["run"][row], "step"].loc[:row].tail(2)
    table.rows.refuse(
        f"{column} must rise from each measurement of a run to the next",
        "{:.0f} and then {:.0f} in run {!r}".format(*steps, table.ids[row]),
        list(steps.index),
        f"sort them by run and step, keep one of each, and {ATTEMPT}",
    )


def statuses(table: RunTable, runs: pd.DataFrame) -> "pd.Series[str]":
    """Return the status of each run before a target is applied; refuse unknown words."""
    words = runs["status"].fillna("exhausted").astype(str).str.lower()
    unknown = runs[~words.isin(list(STATUS_OF))]
    table.rows.refuse_any(unknown, f"a status must be one of {', '.join(STATUS_OF)}", "{status!r}")
    return words.map(STATUS_OF).mask(runs["diverged"], "diverged")


def stops(table: RunTable, runs: pd.DataFrame) -> "pd.Series[float]":
    """Return the last step of each run: `stopped_at`, or else the step of its last row."""
    last = table.updates(runs)[0].groupby(table.codes).max().reindex(runs.index).fillna(0)
    stated = table.units.updates(runs["stopped_at"], runs["batch_size"])
    early = stated < last
    if early.any():
        at = runs[early].iloc[0]
        table.rows.refuse(
            "stopped_at must be the last step of a run",
            f"{stated[early].iloc[0]:.0f} where run {at['run']!r} was measured at "
            f"{last[early].iloc[0]:.0f}",
            [at["row"]],
        )
    return stated.fillna(last)


def outcomes(table: RunTable, runs: pd.DataFrame) -> pd.DataFrame:
    """Return the runs of a table that has one row per run, with their outcomes."""
    rows, columns, units, runs = table.rows, table.columns, table.units, runs.copy()
    for name, least in (("steps", 1), ("steps_before", 0)):
        runs[name] = np.nan
        if name in columns:
            values = rows.counts(columns.by_name[name], least)[0].reset_index(drop=True)
            runs[name] = units.updates(values, runs["batch_size"])
    runs["best_error"] = np.nan
    if "best_error" in columns:
        error, given = (part.to_numpy() for part in rows.numbers(columns.by_name["best_error"]))
        runs["diverged"] |= given & ~np.isfinite(error)
        runs["best_error"] = np.where(np.isfinite(error), error, np.nan)
    stated = units.updates(runs["stopped_at"], runs["batch_size"])
    # often unrecorded for a run that diverged or failed, and no bound there
    broke = statuses(table, runs).isin(["diverged", "failed"])
    known = stated.fillna(runs["steps"])
    runs["stopped_at"] = known.mask(broke & known.isna(), 0)
    rule = "a run without steps must have stopped_at, the steps it took"
    rows.refuse_any(runs[runs["stopped_at"].isna()], rule, "none")
    late = runs[runs["stopped_at"] < runs["steps"]]
    rows.refuse_any(late, "steps must be at most stopped_at", "{stopped_at:g}, {steps:g}")
    early = runs[runs["steps_before"] >= runs["steps"]]
    rows.refuse_any(early, "steps_before must be below steps", "{steps_before:g} and {steps:g}")
    return runs
