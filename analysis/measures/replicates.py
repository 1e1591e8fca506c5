"""Replicates: the steps of the best points on fresh seeds, beside the fewest steps of the search.

The minimum over trials falls with their number and with luck. The median over re-runs of one point
does not: it estimates the steps of a new run of that point.
"""

import math
from dataclasses import replace

import numpy as np
import pandas as pd

from analysis.fitting.estimates import NOT_IDENTIFIED, Estimate
from analysis.fitting.models import Floats, Mask
from analysis.fitting.points import Points
from analysis.measures.medians import MIN_FREE, MIN_VALUES, estimate_median, median_interval
from analysis.measures.recipes import follows_rule, recipe_runs
from analysis.measures.targets import trials_at
from analysis.tables.study import StudyTables

MEDIANS = "medians over fresh seeds"
FEWEST = "fewest steps over trials"
FEWEST_OF_SEEDS = "fewest steps over fresh seeds"
"""The definitions of steps to target, in words."""

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

    If several points were replicated, the seeds that chose among them do not count: see
    `representative_runs`. The points were best at the target raced to (`target` None), and need not
    be the best at another one.

    Returns:
        One row per batch size with replicates: batch_size, replicate_of (role and number of the
        trial), seeds (re-runs that count), seeds_missed (those that missed the target, ranked as
        slower than all that reached it), steps_median (sample median; null if half or more missed),
        median_before (where its bracket begins: the median of the measurements before; null if
        these are unknown), median_bound (a lower bound of the median if half or more missed), low
        and high (95 % interval of the median, see `_interval`; null if the data give no bound),
        interval (`Interval`: which ends the data determine).
    """
    runs = representative_runs(study, target)
    # later seeds may then have run past the cap of earlier ones
    granted = "granted" in study.config
    groups = runs.groupby("batch_size", sort=True)
    rows = [_row(int(str(size)), group, granted) for size, group in groups]
    return pd.DataFrame(rows, columns=list(_TYPES)).astype(_TYPES)


def representative_runs(study: StudyTables, target: float | None = None) -> pd.DataFrame:
    """Return the runs behind `replicates`, with the column replicate_of.

    The least of several medians is biased low, because it too is lucky (the winner's curse). If a
    point has more seeds than others, or than the study plans, the first ones up to that number
    chose it, and only later seeds count. Among several such points, each seed counts for the one
    that the other seeds find best. So no run has chosen itself.
    """
    runs = _fresh_seeds(study, target)
    sources = zip(runs["source_role"], runs["source_trial"], strict=True)
    runs = runs.assign(replicate_of=[_point_name(role, trial) for role, trial in sources])
    planned = int(study.config.get("replicates", {}).get("seeds", 0))
    unbiased = [unbiased_runs(group, planned) for _, group in runs.groupby("batch_size")]
    return pd.concat(unbiased) if unbiased else runs


def unbiased_runs(runs: pd.DataFrame, planned: int = 0) -> pd.DataFrame:
    """Return the runs of a batch size that did not choose among its points.

    The runs have the column replicate_of; `planned` is the number of seeds planned for each point.
    """
    points = [group.sort_values("trial") for _, group in runs.groupby("replicate_of", sort=True)]
    if len(points) == 1:
        return points[0]
    counts = list(map(len, points))
    # a single extra seed was not given by choice: another run failed
    most = max(counts) - MIN_VALUES
    choosing = max((n for n in (*counts, planned) if n <= most), default=0)
    points = [group.iloc[choosing:] for group in points if len(group) > choosing]
    seeds = min(map(len, points))
    if len(points) == 1 or seeds < MIN_VALUES:
        return points[0]
    log_steps = np.log([_steps(group)[:seeds] for group in points])
    best = [
        int(np.median(np.delete(log_steps, seed, axis=1), axis=1).argmin()) for seed in range(seeds)
    ]
    chosen = pd.concat([points[point].iloc[[seed]] for seed, point in enumerate(best)])
    # named after the point that most seeds agree on
    return chosen.assign(replicate_of=chosen["replicate_of"].mode().iloc[0])


def _steps(runs: pd.DataFrame) -> Floats:
    """Return the steps to target, infinite where missed."""
    return np.asarray(runs["steps"].astype("Float64").to_numpy(np.float64, na_value=math.inf))


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

    They are null if a batch size has no replicates. At a target other than the study's own
    (`target` None) all are null, because other points are best there; but the single point of a
    recipe, and the seeds of imported runs, count at every target.
    """
    added = replicates(study, target)
    other = target is not None and target != study.config["race"].get("target")
    if other and not follows_rule(study) and not study.imported:
        added = added.iloc[:0]
    return table.merge(added, on="batch_size", how="left")


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

    The two are never mixed, because the minimum is biased low. Each point has its bracket. A batch
    size that missed the target is a lower bound, and so is a median of which half the seeds or more
    missed. The table is of `with_replicates`, or of `steps_to_target`.
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
    # a diverged run never reaches the target, however early it stopped: it ranks with the longest
    stops = runs["stopped_at"].mask(runs["status"] == "diverged", runs["stopped_at"].max())
    steps = runs["steps"].fillna(stops).to_numpy(float)
    order = np.lexsort((steps, missed))  # every miss is slower than every run that reached
    steps, missed = steps[order], missed[order]
    # steps are exact where the measurement before is unknown
    begun = runs["steps_before"].astype("Float64").to_numpy(float, na_value=math.nan)[order]
    before: Floats = np.where(np.isnan(begun), steps, begun).astype(np.float64)
    before[~missed] = np.sort(before[~missed])
    middle = _middle(steps, missed) if granted else [(len(order) - 1) // 2, len(order) // 2]
    # the geometric mean of the middle two, because steps scatter by factors
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
    """Return the places of the middle two seeds if misses had different caps.

    The weight of a miss goes in equal shares to the seeds that took longer (Efron 1967), which
    gives the median of Kaplan and Meier 1958. If no miss lies below the median, these are the
    middle places. Steps are rising, with misses last.
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
    """Return the 95 % interval of the median, which contains the sample median.

    From `MIN_FREE` seeds on it assumes no distribution (`median_interval`); with fewer, steps are
    assumed to be log-normal (`estimate_median`).

    Args:
        steps: of the seeds, rising, with misses last.
        missed: which of them are lower bounds.
        before: where their brackets begin, rising.
        median: sample median; None if half or more missed.
    """
    if len(steps) < MIN_VALUES:
        return NOT_IDENTIFIED
    free = len(steps) >= MIN_FREE
    estimate = (median_interval if free else estimate_median)(steps, missed, before)
    if median is None:
        return estimate
    # an end that equals the median may differ by the rounding of its logarithm
    return replace(estimate, low=min(estimate.low, median), high=max(estimate.high, median))
