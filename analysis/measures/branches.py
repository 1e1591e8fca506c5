"""What branches from a trial show of the local critical batch size, in sentences and as rows."""

from collections.abc import Iterator
from typing import Any

import pandas as pd

from analysis.fitting.estimates import Estimate, rounded

BRANCH = "branch"
LOSS, EXCESS, CRITICAL = "branch_loss", "excess_loss", "critical_batch_size"
TOLERANCE = 0.05
"""Share by which the loss of a larger batch may be worse."""
ENOUGH = 0.25
"""Share from which on no larger batch is tried."""


def branch_rows(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of branches in a table of diagnostics, by step and batch size."""
    return table[table["what"] == BRANCH].sort_values(["step", "x"]).reset_index(drop=True)


def local_sentences(table: pd.DataFrame, b_crit: Estimate | None, unit: str) -> Iterator[str]:
    """Yield the local critical batch sizes in a table of diagnostics, and what they stand beside.

    `b_crit` is that of steps to target, if identified; `unit` what batch sizes count.
    """
    rows = branch_rows(table)
    local = rows[rows["quantity"] == CRITICAL]
    first = local.iloc[0]
    if (rows["quantity"] == CRITICAL).all():
        yield (
            f"The run at B = {first['batch_size']} is too short to branch from, or uses most of "
            "the data in one step; choose a smaller batch size with --batch-sizes."
        )
        return
    most = f"{rows['x'].max():.0f}"
    told = "; ".join(
        f"{f'above {most}' if pd.isna(one['value']) else rounded(one['value'])}"
        f"{interval_text(one)} at step {one['step']}"
        for _, one in local.iterrows()
    )
    yield (
        f"In branches from the run at B = {first['batch_size']}, the largest batch whose loss is "
        f"at most {TOLERANCE:.0%} worse after the next {first['examples']:.0f} {unit} is {told}."
    )
    beside = "" if b_crit is None else f" {b_crit.text('b_crit')} is that of tuned runs."
    yield (
        f"The learning rate follows the {first['variant']} rule and is not tuned at the larger "
        f"batches, so these may be too low.{beside}"
    )


def interval_text(row: "pd.Series[Any]") -> str:
    """Return the interval of a row as text; empty where it has none."""
    if pd.isna(row["low"]):
        return ""
    high = "no upper bound" if pd.isna(row["high"]) else rounded(row["high"])
    return f" ({rounded(row['low'])} to {high})"
