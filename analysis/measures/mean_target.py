"""Steps until the mean over seeds is below the target, by a statistical test.

Communities that race to a loss accept a result by a test of the mean over seeds, because a single
run may reach the target, or miss it, by luck. The test needs runs that continue past the target: a
study that runs to its budget and has fresh seeds.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import stdtr

from analysis.measures.batch_plan import BatchPlan
from analysis.measures.replicates import representative_runs
from analysis.tables.schema import TRIAL_KEY
from analysis.tables.study import StudyTables, json_rows

LEVEL = 0.05
_MIN_SEEDS = 2
_TYPES = {
    "batch_size": "int64",
    "seeds": "int64",
    "steps": "Int64",
    "examples": "Int64",
    "mean": "Float64",
    "p_value": "Float64",
}


def mean_records(study: StudyTables, target: float) -> list[dict[str, Any]]:
    """Return the first measured step at which the mean over fresh seeds is below the target.

    There a one-sided t-test of the seeds' errors against the target has p < 0.05: the mean is at
    least t s / sqrt(n) below it. A step that some seed did not reach, having diverged, cannot pass.

    Returns:
        One record per batch size with two or more fresh seeds: batch_size, seeds, steps, examples,
        mean and p_value there; null where no measurement passes. No records if runs end on reaching
        the target, as in a race to it, nor at a target other than the study's own, where other
        points are best.
    """
    if study.raced or target != study.config["race"].get("target"):
        return []
    rows = []
    for size, group in representative_runs(study).groupby("batch_size", sort=True):
        ends_there = (group["steps"] == group["stopped_at"]).any()
        if len(group) >= _MIN_SEEDS and not (ends_there and group["stopped_at"].nunique() > 1):
            steps, mean, p_value = _first_below(_errors(study, group), target)
            plan = BatchPlan.of(study.config, int(str(size)))
            used = None if steps is None else int(plan.examples(steps))
            rows.append((size, len(group), steps, used, mean, p_value))
    return json_rows(pd.DataFrame(rows, columns=list(_TYPES)).astype(_TYPES))


def _errors(study: StudyTables, runs: pd.DataFrame) -> pd.DataFrame:
    """Return the errors of runs, with a row per step that all measured and a column per run."""
    key = list(TRIAL_KEY)
    curves = study.curves.merge(runs[key], on=key)
    table = curves.pivot_table(index="step", columns=["role", "trial"], values="val_error")
    complete = table.loc[table.index > 0].dropna()
    return complete if table.shape[1] == len(runs) else complete.iloc[:0]


def _first_below(errors: pd.DataFrame, target: float) -> tuple[Any, Any, Any]:
    """Return step, mean and p-value of the first row that passes the test; else None of each."""
    if errors.empty:
        return None, None, None
    values = errors.to_numpy(np.float64)
    means, count = values.mean(axis=1), values.shape[1]
    spread = values.std(axis=1, ddof=1) / np.sqrt(count)
    with np.errstate(divide="ignore", invalid="ignore"):  # seeds may agree to the last digit
        p_values = np.nan_to_num(stdtr(count - 1, (means - target) / spread), nan=1.0)
    passes = np.flatnonzero(p_values < LEVEL)
    if not passes.size:
        return None, None, None
    first = int(passes[0])
    return int(errors.index[first]), float(means[first]), float(p_values[first])


def mean_sentences(
    rows: Sequence[Mapping[str, Any]], target: float, quantity: str
) -> Iterator[str]:
    """Yield sentences on where the mean passes the test, given the rows of `mean_records`."""
    test = f"a one-sided t-test over the fresh seeds, p < {LEVEL:g} at that step"
    if passed := [row for row in rows if row["steps"] is not None]:
        where = ", ".join(f"{row['steps']:,} at B = {row['batch_size']}" for row in passed)
        yield (
            f"The mean {quantity} is below {target:g} ({test}) from step {where}; each is the "
            "first of many tests, so a single one may be luck."
        )
    if missed := ", ".join(str(row["batch_size"]) for row in rows if row["steps"] is None):
        statement = "passes that test" if passed else f"{quantity} is below {target:g} ({test})"
        yield f"At B = {missed} the mean {statement} at no step."
