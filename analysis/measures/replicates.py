"""Replicates: what the best points need on fresh seeds, beside the fewest steps of the search.

The minimum over trials falls with their number and with luck. The median over re-runs of one point
does neither: it is what another researcher may expect of that point.
"""

import math
from typing import Any

import numpy as np
import pandas as pd

from analysis.fitting.likelihood import LEAST_VALUES, location
from analysis.fitting.points import Points
from analysis.measures.recipes import follows_rule, rule_runs
from analysis.measures.targets import trials_at
from analysis.tables.study import StudyTables

_TYPES = {
    "batch_size": "int64",
    "replicate_of": "str",
    "seeds": "int64",
    "seeds_missed": "int64",
    "steps_median": "Float64",
    "median_bound": "Float64",
    "low": "Float64",
    "high": "Float64",
}
_SOURCE = ["batch_size", "source_role", "source_trial"]


def replicates(study: StudyTables, target: float | None = None) -> pd.DataFrame:
    """Gives the median steps to target over fresh seeds at each batch size.

    Where several points were run again, the one of least median stands for the batch size.

    Args:
        study: the study.
        target: validation error to get below; None for the one raced to. The points are those that
            were best at the raced one, so that at another one they need not be the best.

    Returns:
        One row per batch size with replicates: batch_size, replicate_of (role and number of the
        trial), seeds (re-runs), seeds_missed (those that missed the target, counted as slower than
        all that reached it), steps_median (the sample median; null where half or more missed),
        median_bound (then: steps that the median is above), low and high (95 % interval of the
        median for log-normal steps, misses as lower bounds; null below two seeds that reached).

    Raises:
        AnalysisError: the target cannot be judged from the curves.
    """  # noqa: DOC502  (raised by trials_at)
    runs = _fresh_seeds(study, target)
    rows = [_row(key, group) for key, group in runs.groupby(_SOURCE, sort=True, dropna=False)]
    table = pd.DataFrame(rows, columns=list(_TYPES)).astype(_TYPES)
    ranked = table.sort_values(["batch_size", "steps_median"], na_position="last", kind="stable")
    return ranked.drop_duplicates("batch_size").reset_index(drop=True)


def standing_runs(study: StudyTables) -> pd.DataFrame:
    """Gives the runs whose median stands for their batch size.

    Args:
        study: the study.

    Returns:
        Trials of one point on fresh seeds at each batch size that has them, as recorded.
    """
    runs = _fresh_seeds(study, None)
    names = [_of(role, trial) for role, trial in zip(*(runs[n] for n in _SOURCE[1:]), strict=True)]
    chosen = replicates(study)[["batch_size", "replicate_of"]]
    return runs.assign(replicate_of=names).merge(chosen, on=["batch_size", "replicate_of"])


def _fresh_seeds(study: StudyTables, target: float | None) -> pd.DataFrame:
    roles = ("replicate", "recipe")
    runs = trials_at(rule_runs(study) if follows_rule(study) else study, roles, target)
    return runs[(runs["status"] != "failed") & (runs["stopped_at"] > 0)]


def _of(role: str | None, trial: int | None) -> str:
    return "published" if pd.isna(role) else f"{role} {trial}"


def with_replicates(
    table: pd.DataFrame, study: StudyTables, target: float | None = None
) -> pd.DataFrame:
    """Gives a table of steps to target with the replicates' columns beside the minimum.

    Args:
        table: one row per batch size, from `analysis.measures.targets.steps_to_target`.
        study: the study.
        target: that table's target; None for the one raced to.

    Returns:
        The table, null where a batch size has no replicates. At another target than the study's
        all is null: the replicates are of the points that were best at its own. A recipe's point is
        one at every target.
    """
    again = replicates(study, target)
    other = target is not None and target != study.config["race"].get("target")
    if other and not follows_rule(study):
        again = again.iloc[:0]
    return table.merge(again, on="batch_size", how="left")


def medians_known(table: pd.DataFrame) -> bool:
    """Tells whether every batch size that reached the target has replicates."""
    if "seeds" not in table:
        return False
    reached = table[table["steps"].notna()]
    return bool(len(reached)) and bool(reached["seeds"].notna().all())


def fitted_points(table: pd.DataFrame) -> Points:
    """Gives the points that curves are fitted to: medians where all have them, else minima.

    Args:
        table: as `with_replicates` gives it, or without its columns.

    Returns:
        One point per batch size; one that missed the target is a lower bound, and so is a median
        of seeds of which half or more missed it.
    """
    steps, bound = table["steps"], table["stopped_at"]
    if medians_known(table):
        steps = table["steps_median"].where(table["steps"].notna())
        bound = table["median_bound"].fillna(table["stopped_at"].astype("Float64"))
    values = steps.astype("Float64").fillna(bound.astype("Float64"))
    said = (values > 0).fillna(False)  # a batch size where no trial took a step says nothing
    return Points.of(
        table.loc[said, "batch_size"].to_numpy(float),
        values[said].to_numpy(float),
        steps[said].isna().to_numpy(bool),
    )


def replicate_sentences(table: pd.DataFrame) -> tuple[str, ...]:
    """Says what the replicates add to the minima, one sentence each.

    Args:
        table: as `with_replicates` gives it.

    Returns:
        How much the minimum flatters, which batch sizes' seeds often miss the target, and what
        the fits use.
    """
    known = table[table["seeds"].notna() & table["steps"].notna()]
    if known.empty:
        return (
            "No replicates: the fewest steps over trials flatter, and nothing says by how much; "
            "set replicates.seeds.",
        )
    words = []
    known = known.assign(ratio=known["steps_median"] / known["steps"])
    ratio = known["ratio"].dropna()
    if len(ratio):
        seeds = _span(known["seeds"])
        worst = int(known.sort_values("ratio", na_position="first")["batch_size"].iloc[-1])
        words.append(
            f"Fresh seeds ({seeds} at each batch size) take {ratio.median():.2f} x the fewest "
            f"steps of the search (median), at most {ratio.max():.2f} x, at B = {worst}."
        )
    words += seed_sentences(table)
    if not medians_known(table):
        words.append(
            "Some batch sizes have no replicates yet, so that the fits use the fewest steps of the "
            "searches; `sweep` again runs what is missing."
        )
    return tuple(words)


def seed_sentences(table: pd.DataFrame) -> tuple[str, ...]:
    """Says which fresh seeds missed the target, and whether the fits use their medians.

    Args:
        table: as `with_replicates` gives it.

    Returns:
        One sentence each.
    """
    words = []
    known = table[table["seeds"].notna() & table["steps"].notna()]
    often = known[known["seeds_missed"] > 0]
    if len(often):
        listed = ", ".join(
            f"{row['seeds_missed']} of {row['seeds']} at B = {row['batch_size']}"
            for row in often.to_dict("records")
        )
        words.append(f"Fresh seeds that missed the target, counted as lower bounds: {listed}.")
    if medians_known(table):
        words.append("The fits use the medians of the replicates.")
    return tuple(words)


def _span(counts: "pd.Series[int]") -> str:
    low, high = int(counts.min()), int(counts.max())
    return str(low) if low == high else f"{low} to {high}"


def _row(key: tuple[Any, ...], runs: pd.DataFrame) -> dict[str, object]:
    batch_size, role, trial = key
    missed = runs["steps"].isna().to_numpy(bool)
    # one that diverged never gets there, however early it broke: it counts as the longest miss
    stops = runs["stopped_at"].mask(runs["status"] == "diverged", runs["stopped_at"].max())
    steps = runs["steps"].fillna(stops).to_numpy(float)
    order = np.lexsort((steps, missed))  # a miss is slower than whatever reached the target
    middle = order[[(len(order) - 1) // 2, len(order) // 2]]
    median = math.sqrt(float(steps[middle].prod()))
    median_missed = bool(missed[middle].any())
    row: dict[str, object] = {
        "batch_size": batch_size,
        "replicate_of": _of(role, trial),
        "seeds": len(runs),
        "seeds_missed": int(missed.sum()),
        "steps_median": None if median_missed else median,
        "median_bound": float(steps[middle].min()) if median_missed else None,
        "low": None,
        "high": None,
    }
    if (~missed).sum() >= LEAST_VALUES:
        interval = location(steps, missed)
        row |= {"low": interval.low, "high": interval.high}
    return row
