"""The trials behind each point of a curve as plain data, thinned to fit a page.

A page has room for a limited number of trials and training curves. If there are more, it keeps the
best of each batch size and an even selection of the others, and says how many it shows.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.measures.recipes import follows_rule
from analysis.measures.replicates import representative_runs
from analysis.measures.targets import judged_trials
from analysis.page.views import shortened
from analysis.report.summary import Analysis
from analysis.search_quality.best_of_n import best_of_n, search_sample, spread_numbers
from analysis.search_quality.table import EVEN_ROLES
from analysis.tables.schema import ROLES, STATUSES, TRIAL_KEY, hyperparameters
from analysis.tables.study import StudyTables

_Key = tuple[Any, ...]
_Curve = tuple[NDArray[np.int64], NDArray[np.float64]]

BEST = 10
"""How many of the fastest trials of a batch size are always shown."""
POINTS = 24
"""Largest number of points of a training curve."""
_SIZES_OF_N = 40
NEAR = 0.1
"""Share of additional steps up to which a trial counts as near the best."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Room:
    """How many trials and training curves a page can show in total."""

    trials: int
    curves: int

    def scaled(self, share: float) -> "Room":
        """Return a share of the room."""
        return Room(trials=int(self.trials * share), curves=int(self.curves * share))


def search_records(
    analysis: Analysis, targets: Sequence[float], room: Room
) -> list[dict[str, Any]]:
    """Return the trials of each batch size, judged at each target, the analysis's own first.

    Returns:
        One record per batch size: batch_size; of, the number of its trials; columns with an entry
        per trial shown, `status` and `steps` once per target; `curves` of some of these trials, by
        their index; `best_of_n` for each target; `fresh`, the steps of its fresh seeds.
    """
    study = analysis.study
    judged = [judged_trials(study, target) for target in targets]
    sizes = judged[0]["batch_size"]
    share = {"trials": room.trials // sizes.nunique(), "curves": room.curves // sizes.nunique()}
    curves = _by_trial(study.curves)
    fresh = {}
    if analysis.table["seeds"].notna().any():
        runs = representative_runs(study, analysis.target)
        fresh = {
            int(str(size)): _integers(own["steps"]) for size, own in runs.groupby("batch_size")
        }
    records = []
    for size in sorted(sizes.unique()):
        every = [trials[(sizes == size).to_numpy()] for trials in judged]
        selected = _selection(every[0], share["trials"])
        own = every[0].iloc[selected]
        records.append(
            {
                "batch_size": int(size),
                "of": len(every[0]),
                "role": _digits(own["role"], ROLES),
                "trial": own["trial"].tolist(),
                "point": {name: shortened(own[name]) for name in hyperparameters(own)},
                "stopped_at": _integers(own["stopped_at"]),
                "best_error": shortened(own["best_error"].to_numpy(float)),
                "status": [_digits(trials["status"].iloc[selected], STATUSES) for trials in every],
                "steps": [_integers(trials["steps"].iloc[selected]) for trials in every],
                "curves": _curves(own, curves, share["curves"]),
                "best_of_n": [] if study.adaptive else [_best_of_n(trials) for trials in every],
                "fresh": fresh.get(int(size), []),
            }
        )
    return records


def near_best(study: StudyTables, target: float | None = None) -> pd.DataFrame:
    """Return the ranges of the hyperparameters of all trials within 10 % of the fewest steps.

    The best trial alone zigzags from one batch size to the next, because it is also lucky; the
    range of those near it shows which values would have done as well.

    Returns:
        One row per searched hyperparameter and batch size that reached the target: batch_size,
        hyperparameter, best (its value in the fastest trial), low, high, trials (how many are near
        the best, itself included). effective_lr is included where learning rate and momentum are
        searched. No rows where a scaling rule gives the values.
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
            rows.append((int(str(size)), name, values[0], values.min(), values.max(), len(near)))
    columns = ["batch_size", "hyperparameter", "best", "low", "high", "trials"]
    return pd.DataFrame(rows, columns=columns)


def axes_record(analysis: Analysis) -> list[dict[str, Any]]:
    """Return the searched hyperparameters with their ranges, learning rate and momentum first."""
    space = analysis.study.space
    return [
        {"name": name, **{key: space[name][key] for key in ("low", "high", "scale")}}
        for name in analysis.study.searched
    ]


def _selection(trials: pd.DataFrame, most: int) -> list[int]:
    """Return the indices of the fastest trials and of an even selection of the others."""
    order = trials["steps"].astype(float).fillna(np.inf).to_numpy().argsort(kind="stable")
    if len(order) <= most:
        return list(range(len(order)))
    best, others = order[:BEST], np.sort(order[BEST:])
    chosen = np.linspace(0, len(others) - 1, max(most - BEST, 0)).round().astype(int)
    return sorted({*best.tolist(), *others[chosen].tolist()})


def _digits(column: "pd.Series[str]", names: Sequence[str]) -> str:
    """Return a column of names as a string of digits, their indices in `names`."""
    return "".join(str(names.index(name)) for name in column)


def _integers(column: "pd.Series[int]") -> list[int | None]:
    return [None if pd.isna(value) else int(value) for value in column]


def _by_trial(curves: pd.DataFrame) -> dict[_Key, _Curve]:
    """Return steps and errors of each training curve by the key of its trial."""
    rows = curves.sort_values([*TRIAL_KEY, "step"], kind="stable")
    keys = rows[list(TRIAL_KEY)]
    first = np.flatnonzero(keys.ne(keys.shift()).any(axis=1).to_numpy())
    steps = np.split(rows["step"].to_numpy("int64"), first[1:])
    errors = np.split(rows["val_error"].to_numpy(float), first[1:])
    names = keys.iloc[first].itertuples(index=False, name=None)
    return dict(zip(names, zip(steps, errors, strict=True), strict=True)) if len(rows) else {}


def _curves(trials: pd.DataFrame, curves: dict[_Key, _Curve], most: int) -> dict[str, list[Any]]:
    """Return training curves: indices of trials, steps between measurements, errors."""
    columns: dict[str, list[Any]] = {"trial": [], "step": [], "error": []}
    keys = list(trials[list(TRIAL_KEY)].itertuples(index=False, name=None))
    for index in _selection(trials, most):
        if keys[index] in curves:
            step, error = curves[keys[index]]
            shown = _log_spaced(step)
            columns["trial"].append(index)
            columns["step"].append(np.diff(step[shown], prepend=0).tolist())
            columns["error"].append(shortened(error[shown]))
    return columns


def _log_spaced(steps: NDArray[np.int64]) -> list[int]:
    """Return indices evenly spaced in the logarithm of the step, with the first and last two."""
    if len(steps) <= POINTS:
        return list(range(len(steps)))
    wanted = np.geomspace(max(steps[0], 1), steps[-1], POINTS - 2)
    indices = np.searchsorted(steps, wanted).clip(max=len(steps) - 1)
    return sorted({0, *indices.tolist(), len(steps) - 2, len(steps) - 1})


def _best_of_n(trials: pd.DataFrame) -> list[list[float | None]]:
    """Return rows of n, the fewest steps of n trials, and their chance to reach the target."""
    sample = search_sample(trials[trials["role"].isin(EVEN_ROLES)])
    if sample.trials < 2 or not len(sample.steps):
        return []
    curve = best_of_n(sample, spread_numbers(sample.trials, _SIZES_OF_N))
    return [shortened(row) for row in curve[["n", "steps", "reach"]].to_numpy(float)]
