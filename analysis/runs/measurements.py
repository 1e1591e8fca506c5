"""The measurements of runs: steps that rise, errors that are finite, losses of the same step."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from analysis.runs.columns import MEASURED
from analysis.runs.rows import is_absent
from analysis.runs.run_table import ATTEMPT, RunTable


def curves_of(
    table: RunTable, runs: pd.DataFrame, metric: str, quantities: Sequence[str]
) -> "tuple[pd.DataFrame, pd.Series[int]]":
    """Return the finite measurements, and how many of each run are not; of one row per run none."""
    if not table.measured:
        names = ["run", "step", *MEASURED]
        return pd.DataFrame(columns=names, dtype="float64"), pd.Series(0, index=runs.index)
    rows, columns = table.rows, table.columns
    steps, stepped = table.updates(runs)
    curves = pd.DataFrame({"run": table.codes, "step": steps})
    given = {}
    for name in (*(name for name in MEASURED if name in columns), *quantities):
        curves[name], given[name] = rows.numbers(columns.of.get(name, name))
    curves["val_error"] = _error(table, metric, curves[metric], given[metric])
    measured = given[metric]
    if (measured & ~stepped).any():
        row = measured.index[measured & ~stepped][0]
        rows.refuse("a measurement must have a step", "none", [row])
    kept = curves[measured]
    _check_rising(table, kept, columns.of["step"])
    # a tracker writes the losses of one step in rows of their own
    for name in given:
        if name != metric:
            there = curves[given[name] & stepped].drop_duplicates(["run", "step"])
            values = there.set_index(["run", "step"])[name]
            kept[name] = values.reindex(pd.MultiIndex.from_frame(kept[["run", "step"]])).to_numpy()
    finite = np.isfinite(kept["val_error"])
    return kept[finite].reset_index(drop=True), (~finite).groupby(kept["run"]).sum()


def ends_blank(table: RunTable, metric: str, quantities: Sequence[str]) -> "pd.Series[bool]":
    """Return which runs end in rows of a step alone: NaN, as many a table leaves such cells empty.

    A run of which a row before its last measurement is so has no such end: it was measured only now
    and then.
    """
    frame, codes, columns = table.rows.frame, table.codes, table.columns
    same = {columns.of[name] for name in columns.of if name not in (*MEASURED, *quantities)}
    filled = pd.Series(False, index=frame.index)
    for name in frame.columns:
        there = pd.Series([not is_absent(cell) for cell in frame[name]], index=frame.index)
        varies = name == columns.of[metric] or table.varies(name)
        if name not in same and varies:
            filled |= there
    blank = ~filled & table.rows.texts(columns.of["step"]).notna()
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
        column = table.columns.of[metric]
        rule = f"{column} must be a share from 0 to 1"
        remedy = f"divide percentages by 100, or name a loss as such, --columns val_loss={column}"
        table.rows.refuse(rule, f"{values[row]:g}", [row], remedy)
    return 1 - values if metric == "val_accuracy" else values


def _check_rising(table: RunTable, kept: pd.DataFrame, column: str) -> None:
    falling = (kept.groupby("run")["step"].diff() <= 0).to_numpy()
    if not falling.any():
        return
    row = kept.index[falling][0]
    run = kept[kept["run"] == kept["run"][row]]
    place = list(run.index).index(row)
    previous = run.index[place - 1]
    steps = run["step"].tolist()
    remedy = "sort them by run and step, keep one of each, and " + ATTEMPT
    table.rows.refuse(
        f"{column} must rise from each measurement of a run to the next",
        f"{steps[place - 1]:.0f} and then {steps[place]:.0f} in run {table.ids[row]!r}",
        [previous, row],
        remedy,
    )
