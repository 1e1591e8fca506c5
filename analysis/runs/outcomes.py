"""How runs ended: their status, and their last step or their steps to target."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from analysis.runs.run_table import RunTable
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
"""Status by the words of tables and trackers; a run that crosses the target has reached it."""


def statuses(table: RunTable, runs: pd.DataFrame) -> "pd.Series[str]":
    """Return the status of each run, without a target: none is `reached`; refuse other words."""
    words = runs["status"].fillna("exhausted").astype(str).str.lower()
    unknown = ~words.isin(list(STATUS_OF))
    if unknown.any():
        at = runs[unknown].iloc[0]
        rule = f"a status must be of {', '.join(STATUS_OF)}"
        table.rows.refuse(rule, repr(at["status"]), [at["row"]])
    return words.map(STATUS_OF).mask(runs["diverged"], "diverged")


def stops(table: RunTable, runs: pd.DataFrame) -> "pd.Series[float]":
    """Return the last step of each run: the last with a row, or what `stopped_at` says."""
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
    """Return the runs of a table of one row per run with their outcomes."""
    rows, columns, units, runs = table.rows, table.columns, table.units, runs.copy()
    for name, least in (("steps", 1), ("steps_before", 0)):
        runs[name] = np.nan
        if name in columns:
            values = rows.counts(columns.of[name], least)[0].reset_index(drop=True)
            runs[name] = units.updates(values, runs["batch_size"])
    runs["best_error"] = np.nan
    if "best_error" in columns:
        error, given = (found.to_numpy() for found in rows.numbers(columns.of["best_error"]))
        runs["diverged"] |= given & ~np.isfinite(error)
        runs["best_error"] = np.where(np.isfinite(error), error, np.nan)
    stated = units.updates(runs["stopped_at"], runs["batch_size"])
    # how long a run trained that broke is often not recorded, and bounds nothing
    broke = statuses(table, runs).isin(["diverged", "failed"])
    known = stated.fillna(runs["steps"])
    runs["stopped_at"] = known.mask(broke & known.isna(), 0)
    for lacking, rule in (
        (runs["stopped_at"].isna(), "a run without steps must have stopped_at, the steps it took"),
        (runs["stopped_at"] < runs["steps"], "steps must be at most stopped_at"),
        (runs["steps_before"] >= runs["steps"], "steps_before must be below steps"),
    ):
        if lacking.any():
            at = runs[lacking].iloc[0]
            got = f"{at['stopped_at']:g}, {at['steps']:g}" if rule.startswith("steps") else "none"
            rows.refuse(rule, got, [at["row"]])
    return runs
