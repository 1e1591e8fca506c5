"""Where the trials lie that are nearly as good as the best: how sharply an optimum is known.

The best trial alone zigzags from one batch size to the next, as it is lucky too; the range of those
near it says which values would have done as well.
"""

import pandas as pd

from analysis.measures.recipes import follows_rule
from analysis.measures.targets import judged_trials
from analysis.tables.study import StudyTables

NEAR = 0.1
"""Share of additional steps up to which a trial is near the best."""
_TYPES = {
    "batch_size": "int64",
    "hyperparameter": "str",
    "best": "float64",
    "low": "float64",
    "high": "float64",
    "trials": "int64",
}


def near_best(study: StudyTables, target: float | None = None) -> pd.DataFrame:
    """Return the ranges of the hyperparameters of all trials within 10 % of the fewest steps.

    Returns:
        One row per batch size that reached the target and searched hyperparameter (effective_lr
        too, where learning rate and momentum are searched): batch_size, hyperparameter, best (the
        value of the fastest trial), low, high, trials (how many lie near the best, itself
        included). No rows where a scaling rule gives the values.
    """
    trials = judged_trials(study, target)
    names = [] if follows_rule(study) else list(study.space)
    if study.gathers_momentum and {"lr", "momentum"} <= set(names):
        trials = trials.assign(effective_lr=trials["lr"] / (1 - trials["momentum"]))
        names.append("effective_lr")
    rows = []
    reached = trials[trials["status"] == "reached"].sort_values("steps", kind="stable")
    for size, group in reached.groupby("batch_size", sort=True):
        near = group[group["steps"] <= (1 + NEAR) * group["steps"].iloc[0]]
        for name in names:
            values = near[name].to_numpy(float)
            rows.append((size, name, values[0], values.min(), values.max(), len(near)))
    return pd.DataFrame(rows, columns=list(_TYPES)).astype(_TYPES)
