"""The lowest validation error within a fixed number of epochs, on fresh seeds, by batch size.

You et al. 2017 (arXiv:1708.03888) and Goyal et al. 2017 (arXiv:1706.02677) ask what a recipe loses
at large batch sizes when all batch sizes see the same examples. Studies whose trials run to their
budget answer that; all are cut to the smallest budget among them.
"""

import math
from collections.abc import Hashable, Mapping
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from analysis.comparison.compare import Compared, Comparison
from analysis.comparison.labels import MIN_STUDIES
from analysis.fitting.estimates import percent
from analysis.fitting.models import Floats
from analysis.measures.batch_plan import BatchPlan
from analysis.measures.federated import examples_per_step
from analysis.measures.replicates import representative_runs
from analysis.tables.schema import TRIAL_KEY
from analysis.tables.study import StudyTables

_KEY = list(TRIAL_KEY)
_TYPES = {
    "study": "str",
    "batch_size": "int64",
    "epochs": "float64",
    "steps": "int64",
    "seeds": "int64",
    "diverged": "int64",
    "error": "float64",
    "low": "float64",
    "high": "float64",
}


def fixed_epochs(comparison: Comparison) -> pd.DataFrame:
    """Return the errors of every study that ran to a budget of epochs.

    Returns:
        One row per study and batch size: study, batch_size, epochs (the least `race.max_epochs`),
        steps (whole ones within these epochs), seeds, diverged (number of seeds), error (the median
        over seeds of the lowest error of each), low and high (over seeds). No row for a batch size
        where a seed stopped earlier without diverging; no rows with fewer than two such studies.
    """
    budgets = {study: epochs for study in comparison.studies if (epochs := _epochs(study))}
    rows: list[tuple[object, ...]] = []
    if len(budgets) >= MIN_STUDIES:
        rows = [row for study in budgets for row in _rows(study, min(budgets.values()))]
    return pd.DataFrame(rows, columns=list(_TYPES)).astype(_TYPES)


def _epochs(study: Compared) -> float | None:
    """Return a study's budget in epochs; None where trials stop at the target or have none."""
    tables = study.analysis.study
    epochs = tables.config["race"].get("max_epochs")
    if tables.raced or epochs is None or "examples" not in tables.config:
        return None
    return float(epochs)


def _rows(study: Compared, epochs: float) -> list[tuple[object, ...]]:
    tables = study.analysis.study
    runs = representative_runs(tables)
    rows: list[tuple[object, ...]] = []
    for size, group in runs.groupby("batch_size", sort=True):
        # as `race.max_epochs` is converted to steps
        per_step = examples_per_step(tables.config, int(str(size)))
        whole = max(1, math.floor(epochs * tables.config["examples"] / per_step))
        steps = max(1, BatchPlan.of(tables.config, int(str(size))).steps(whole * per_step))
        diverged = group["status"].eq("diverged")
        if (group.loc[~diverged, "stopped_at"] < steps).any():
            continue
        errors = _least(tables, group, steps)
        spread = float(np.median(errors)), float(errors.min()), float(errors.max())
        rows.append((study.name, size, epochs, steps, len(group), int(diverged.sum()), *spread))
    return rows


def _least(tables: StudyTables, runs: pd.DataFrame, steps: int) -> Floats:
    """Return each run's lowest error within a number of steps; at step 0 without any other."""
    curves = tables.curves.merge(runs[_KEY], on=_KEY)
    within = curves[curves["step"].between(1, steps)]
    least = within.groupby(_KEY)["val_error"].min()
    start = curves[curves["step"] == 0].groupby(_KEY)["val_error"].first()
    return least.reindex(start.index).fillna(start).to_numpy(np.float64)


def epochs_table(comparison: Comparison) -> pd.DataFrame:
    """Return the errors as text: one row per batch size, a column per study."""
    errors, loss = fixed_epochs(comparison), comparison.quantity == "loss"
    return comparison.side_by_side(errors, (_cell(row, loss) for row in errors.to_dict("records")))


def _cell(row: Mapping[Hashable, Any], loss: bool) -> str:
    error, low, high = (row[name] for name in ("error", "low", "high"))
    write = "{:.3g}".format if loss else partial(percent, digits=1)
    ends = f" ({write(low)}\N{EN DASH}{write(high)})" if high > low else ""
    return f"{write(error)}{ends}" + (f", {row['diverged']} diverged" if row["diverged"] else "")


def epochs_caption(comparison: Comparison) -> str:
    """Return the caption of the table of errors; empty where there is none."""
    errors = fixed_epochs(comparison)
    if errors.empty:
        return ""
    return (
        f"Lowest validation {comparison.quantity} within {errors['epochs'].iloc[0]:g} epochs, "
        "median over fresh seeds (best\N{EN DASH}worst)"
    )
