"""Replicates: the steps of the best points on fresh seeds, beside the fewest steps of the search.

The minimum over trials falls with their number and with luck. The median over re-runs of one point
does not: it estimates what a new run of that point needs.
"""

import math
from dataclasses import replace

import numpy as np
import pandas as pd

from analysis.fitting.estimates import NOT_IDENTIFIED, Estimate
from analysis.fitting.models import Floats, Mask
from analysis.fitting.points import Points
from analysis.measures.medians import (
    LEAST_FREE,
    LEAST_VALUES,
    estimate_median,
    median_interval,
)
from analysis.measures.recipes import follows_rule, recipe_runs
from analysis.measures.targets import trials_at
from analysis.tables.study import StudyTables

MEDIANS = "medians over fresh seeds"
FEWEST = "fewest steps over trials"
FEWEST_OF_SEEDS = "fewest steps over fresh seeds"
"""What steps to target are, in words."""

_TYPES = {
    "batch_size": "int64",
    "replicate_of": "str",
    "seeds": "int64",
    "seeds_missed": "int64",
    "steps_median": "Float64",
    "median_before": "Float64",
    "median_bound": "Float64",
    "low": "Float64",
    "high": "Float64",
    "interval": "str",
}


def replicates(study: StudyTables, target: float | None = None) -> pd.DataFrame:
    """Return the median steps to target over fresh seeds at each batch size.

    Where several points were replicated, no seed counts that chose among them: see
    `representative_runs`. The points are those that were best at the target raced to (`target`
    None), so at another target they need not be the best.

    Returns:
        One row per batch size with replicates: batch_size, replicate_of (role and number of the
        trial), seeds (re-runs that count), seeds_missed (those that missed the target, ranked as
        slower than all that reached it), steps_median (sample median; null if half or more missed),
        median_before (median of the measurements before, where its bracket begins; null where these
        are not known), median_bound (a lower bound of the median where half or more missed), low
        and high (95 % interval of the median, `_interval`; null where the data set no bound),
        interval (`Interval`: which ends they set).
    """
    runs = representative_runs(study, target)
    granted = "granted" in study.config  # further seeds then went beyond the cap of earlier ones
    groups = runs.groupby("batch_size", sort=True)
    rows = [_row(int(str(size)), group, granted) for size, group in groups]
    return pd.DataFrame(rows, columns=list(_TYPES)).astype(_TYPES)


def representative_runs(study: StudyTables, target: float | None = None) -> pd.DataFrame:
    """Return the runs behind `replicates`, with the column replicate_of.

    The least of several medians is biased low, as it is lucky too (the winner's curse). Points with
    more seeds than others, or than the study plans for each, were chosen by as many as those have:
    only seeds after that count. Among several such points, each seed counts for the one that the
    other seeds find best. So no run has chosen itself.
    """
    runs = _fresh_seeds(study, target)
    sources = zip(runs["source_role"], runs["source_trial"], strict=True)
    runs = runs.assign(replicate_of=[_point_name(role, trial) for role, trial in sources])
    planned = int(study.config.get("replicates", {}).get("seeds", 0))
    chosen = [_unchosen(group, planned) for _, group in runs.groupby("batch_size", sort=True)]
    return pd.concat(chosen) if chosen else runs


def _unchosen(runs: pd.DataFrame, planned: int = 0) -> pd.DataFrame:
    """Return the runs of a batch size that have not chosen among its points.

    The runs have the column replicate_of; the study file may plan seeds of each point.
    """
    points = [group.sort_values("trial") for _, group in runs.groupby("replicate_of", sort=True)]
    if len(points) == 1:
        return points[0]
    counts = list(map(len, points))
    # a seed more is no choice: another run failed
    enough = max(counts) - LEAST_VALUES
    chose = max((n for n in (*counts, planned) if n <= enough), default=0)
    points = [group.iloc[chose:] for group in points if len(group) > chose]
    seeds = min(map(len, points))
    if len(points) == 1 or seeds < LEAST_VALUES:
        return points[0]
    times = np.array([_ranked(group)[:seeds] for group in points])
    best = [
        int(np.median(np.delete(times, seed, axis=1), axis=1).argmin()) for seed in range(seeds)
    ]
    found = pd.concat([points[point].iloc[[seed]] for seed, point in enumerate(best)])
    # most seeds agree on one point, which gives the name
    return found.assign(replicate_of=found["replicate_of"].mode().iloc[0])


def _ranked(runs: pd.DataFrame) -> Floats:
    """Return log steps, infinite where missed."""
    steps = runs["steps"].astype("Float64").to_numpy(float, na_value=math.inf)
    logs: Floats = np.log(steps)
    return logs


def _fresh_seeds(study: StudyTables, target: float | None) -> pd.DataFrame:
    roles = ("replicate", "recipe")
    runs = trials_at(recipe_runs(study) if follows_rule(study) else study, roles, target)
    return runs[(runs["status"] != "failed") & (runs["stopped_at"] > 0)]


def _point_name(role: str | None, trial: int | None) -> str:
    return "published" if pd.isna(role) else f"{role} {trial}"


def with_replicates(
    table: pd.DataFrame, study: StudyTables, target: float | None = None
) -> pd.DataFrame:
    """Return a table of `steps_to_target` at a target with the columns of `replicates` added.

    They are null if a batch size has no replicates. At another target than the study's own
    (`target` None) all are null, as the replicates are of the points best at that one; the single
    point of a recipe, and the seeds of imported runs, count at every target.
    """
    found = replicates(study, target)
    other = target is not None and target != study.config["race"].get("target")
    if other and not follows_rule(study) and not study.imported:
        found = found.iloc[:0]
    return table.merge(found, on="batch_size", how="left")


def fitted_quantity(study: StudyTables, table: pd.DataFrame) -> str:
    """Return which steps of a table of `with_replicates` are fitted, in words."""
    if all_have_replicates(table):
        return MEDIANS
    return FEWEST_OF_SEEDS if follows_rule(study) else FEWEST


def all_have_replicates(table: pd.DataFrame) -> bool:
    """Return whether every batch size that reached the target has replicates."""
    if "seeds" not in table:
        return False
    reached = table[table["steps"].notna()]
    return bool(len(reached)) and bool(reached["seeds"].notna().all())


def fitted_points(table: pd.DataFrame) -> Points:
    """Return the points to fit: medians if all batch sizes have replicates, else minima.

    The two are never mixed, as the minimum is biased low. Each has the bracket that it was found
    in. A batch size that missed the target is a lower bound, and so is a median of seeds of which
    half or more missed it. The table is one of `with_replicates`, or lacks its columns.
    """
    steps, before, bound = table["steps"], "steps_before", table["stopped_at"]
    if all_have_replicates(table):
        before = "median_before"
        steps = table["steps_median"].where(table["steps"].notna())
        bound = table["median_bound"].fillna(table["stopped_at"].astype("Float64"))
    values = steps.astype("Float64").fillna(bound.astype("Float64"))
    ran = (values > 0).fillna(False)  # no trial took a step: neither steps nor a bound
    return Points.of(
        table.loc[ran, "batch_size"].to_numpy(float),
        values[ran].to_numpy(float),
        steps[ran].isna().to_numpy(bool),
        table.loc[ran, before].astype("Float64").to_numpy(float, na_value=np.nan),
    )


def _row(batch_size: int, runs: pd.DataFrame, granted: bool) -> dict[str, object]:
    missed = runs["steps"].isna().to_numpy(bool)
    # a diverged run never reaches the target, however early it stopped: the longest miss
    stops = runs["stopped_at"].mask(runs["status"] == "diverged", runs["stopped_at"].max())
    steps = runs["steps"].fillna(stops).to_numpy(float)
    order = np.lexsort((steps, missed))  # every miss is slower than every run that reached
    steps, missed = steps[order], missed[order]
    # steps are exact where the measurement before is not known
    begun = runs["steps_before"].astype("Float64").to_numpy(float, na_value=math.nan)[order]
    before: Floats = np.where(np.isnan(begun), steps, begun).astype(np.float64)
    before[~missed] = np.sort(before[~missed])
    middle = _middle(steps, missed) if granted else [(len(order) - 1) // 2, len(order) // 2]
    # the geometric mean of the middle two, as steps scatter by factors
    median, begins = (math.sqrt(float(values[middle].prod())) for values in (steps, before))
    median_missed = bool(missed[middle].any())
    row: dict[str, object] = {
        "batch_size": batch_size,
        "replicate_of": runs["replicate_of"].iloc[0],
        "seeds": len(runs),
        "seeds_missed": int(missed.sum()),
        "steps_median": None if median_missed else median,
        "median_before": None if median_missed or begins == median else begins,
        "median_bound": float(steps[middle].min()) if median_missed else None,
    }
    ends = _interval(steps, missed, before, None if median_missed else median).record()
    return row | {name: ends[name] for name in ("low", "high", "interval")}


def _middle(steps: Floats, missed: Mask) -> list[int]:
    """Return the places of the middle two seeds where misses had different caps.

    A miss counts for those that took longer, in equal shares (Efron 1967; the median is that of
    Kaplan and Meier 1958). Where no miss lies below the median, these are the middle places. Steps
    are rising, misses last.
    """
    order, count = np.lexsort((missed, steps)), len(steps)
    shares = np.ones(count)
    for place, miss in enumerate(missed[order]):
        if miss:
            shares[place + 1 :] += shares[place] / max(count - place - 1, 1)
            shares[place] = 0.0
    below, half = np.cumsum(shares), count / 2
    places = [int((below < half - 1e-9).sum()), int((below <= half + 1e-9).sum())]
    return [int(order[place]) if place < count else count - 1 for place in places]


def _interval(steps: Floats, missed: Mask, before: Floats, median: float | None) -> Estimate:
    """Return the 95 % interval of the median, which holds the sample median.

    From `LEAST_FREE` seeds on it assumes no distribution (`median_interval`); fewer carry no such
    interval, so that of log-normal steps stands in.

    Args:
        steps: of the seeds, rising, misses last.
        missed: which of them are lower bounds.
        before: where their brackets begin, rising.
        median: sample median; None where half or more missed.
    """
    if len(steps) < LEAST_VALUES:
        return NOT_IDENTIFIED
    free = len(steps) >= LEAST_FREE
    found = (median_interval if free else estimate_median)(steps, missed, before)
    if median is None:
        return found
    # an end is rounded by its logarithm, even if it is the median itself
    return replace(found, low=min(found.low, median), high=max(found.high, median))
