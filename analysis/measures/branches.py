"""The local critical batch size, from branches of a trial with larger batches."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.optimize import isotonic_regression

from analysis.fitting.estimates import Estimate, rounded
from analysis.tables.scales import Floats

BRANCH = "branch"
LOSS, EXCESS, CRITICAL = "branch_loss", "excess_loss", "critical_batch_size"
TOLERANCE = 0.05
"""Share by which the loss with a larger batch may be worse."""
ENOUGH = 0.25
"""Share of excess loss beyond which no larger batch is tried."""


def local_critical(
    batches: Floats, mean: Floats, low: Floats, high: Floats
) -> tuple[float | None, float | None, float | None]:
    """Return the local critical batch size and its interval, given the excess loss and its own.

    If the excess stays within the tolerance, there is no value and no upper end, and the lower end
    is the largest batch.
    """
    value, bottom, top = (_crossing(batches, excess) for excess in (mean, high, low))
    return value, float(batches[-1]) if bottom is None else bottom, top


def _crossing(batches: Floats, excess: Floats) -> float | None:
    """Return where the excess, made monotonic, passes the tolerance; None if it does not."""
    if np.isnan(excess).any():
        return None
    rising = isotonic_regression(excess).x
    if rising[-1] <= TOLERANCE:
        return None
    after = int(np.argmax(rising > TOLERANCE))
    share = (TOLERANCE - rising[after - 1]) / (rising[after] - rising[after - 1])
    return float(batches[after - 1] * (batches[after] / batches[after - 1]) ** share)


def local_over_seeds(means: pd.DataFrame, at: Sequence[str]) -> pd.DataFrame:
    """Return means over seeds with local critical batch sizes computed from the mean excess."""
    for _, own in means[means["what"] == BRANCH].groupby(list(at)):
        excess = own[own["quantity"] == EXCESS].sort_values("x")
        if len(excess) and excess["low"].notna().all():
            columns = (excess[name].to_numpy(float) for name in ("x", "value", "low", "high"))
            critical = own.index[own["quantity"] == CRITICAL]
            means.loc[critical, ["value", "low", "high"]] = local_critical(*columns)
            means.loc[critical, "samples"] = excess["samples"].iloc[0]
    return means


def branch_rows(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows on branches in a table of diagnostics, by step and batch size."""
    return table[table["what"] == BRANCH].sort_values(["step", "x"]).reset_index(drop=True)


def local_sentences(table: pd.DataFrame, b_crit: Estimate | None, unit: str) -> Iterator[str]:
    """Yield sentences on the local critical batch sizes in a table of diagnostics.

    `b_crit` is from steps to target, if identified; `unit` is what batch sizes count.
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
    most = f"above {rows['x'].max():.0f}"
    sizes = "; ".join(
        f"{most if pd.isna(one['value']) else rounded(one['value'])}"
        f"{interval_text(one)} at step {one['step']}"
        for _, one in local.iterrows()
    )
    yield (
        f"In branches from the run at B = {first['batch_size']}, the largest batch whose loss is "
        f"at most {TOLERANCE:.0%} worse after the next {first['examples']:.0f} {unit} is {sizes}."
    )
    tuned = "" if b_crit is None else f" For tuned runs, {b_crit.text('b_crit')}."
    yield (
        f"The learning rate follows the {first['variant']} rule and is not tuned at the larger "
        f"batches, so these may be too low.{tuned}"
    )


def interval_text(row: "pd.Series[Any]") -> str:
    """Return the interval of a row as text; empty if it has none."""
    if pd.isna(row["low"]):
        return ""
    high = "no upper bound" if pd.isna(row["high"]) else rounded(row["high"])
    return f" ({rounded(row['low'])} to {high})"
