"""The trials behind each point of a curve as plain data, thinned where a page cannot hold all.

A page has room for a limited number of trials and training curves. If there are more, the best of
each batch size stay and so do others, evenly chosen; the page says how many are shown.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.measures.replicates import representative_runs
from analysis.measures.targets import judged_trials
from analysis.page.views import shortened
from analysis.report.summary import Analysis
from analysis.search_quality.best_of_n import best_of_n_at, search_sample, spread_numbers
from analysis.search_quality.table import EVEN_ROLES
from analysis.tables.schema import ROLES, STATUSES, TRIAL_KEY, hyperparameters

_Key = tuple[Any, ...]
_Curve = tuple[NDArray[np.int64], NDArray[np.float64]]

BEST = 10
"""Number of the fastest trials of a batch size that are never left out."""
POINTS = 24
"""Points of a training curve."""
_SIZES_OF_N = 40


@dataclass(frozen=True, kw_only=True, slots=True)
class Room:
    """How much of a study a page can hold.

    Attributes:
        trials: trials in all.
        curves: training curves in all.
    """

    trials: int
    curves: int

    def of(self, share: float) -> "Room":
        """Return a share of the room."""
        return Room(trials=int(self.trials * share), curves=int(self.curves * share))


def searches(analysis: Analysis, targets: Sequence[float], room: Room) -> list[dict[str, Any]]:
    """Return the trials of each batch size.

    Args:
        analysis: the study.
        targets: the targets at which they are judged, that of the analysis first.
        room: how many are shown.

    Returns:
        One record per batch size: batch_size; of, the number of its trials; columns with an entry
        per trial shown, `status` and `steps` for each target; `curves` of some of them, by their
        place among those shown; `best_of_n` for each target; `fresh`, the steps of its fresh seeds.
    """
    study = analysis.study
    judged = [judged_trials(study, target) for target in targets]
    sizes = judged[0]["batch_size"]
    share = {"trials": room.trials // sizes.nunique(), "curves": room.curves // sizes.nunique()}
    curves = _by_trial(study.curves)
    fresh = _fresh(analysis)
    found = []
    for size in sorted(sizes.unique()):
        every = [trials[(sizes == size).to_numpy()] for trials in judged]
        kept = _kept(every[0], share["trials"])
        own = every[0].iloc[kept]
        found.append(
            {
                "batch_size": int(size),
                "of": len(every[0]),
                "role": _digits(own["role"], ROLES),
                "trial": own["trial"].tolist(),
                "point": {name: shortened(own[name]) for name in hyperparameters(own)},
                "stopped_at": _whole(own["stopped_at"]),
                "best_error": shortened(own["best_error"].to_numpy(float)),
                "status": [_digits(trials["status"].iloc[kept], STATUSES) for trials in every],
                "steps": [_whole(trials["steps"].iloc[kept]) for trials in every],
                "curves": _curves(own, curves, share["curves"]),
                "best_of_n": [] if study.adaptive else [_best_of_n(trials) for trials in every],
                "fresh": fresh.get(int(size), []),
            }
        )
    return found


def axes_record(analysis: Analysis) -> list[dict[str, Any]]:
    """Return the searched hyperparameters with their ranges, learning rate and momentum first."""
    space = analysis.study.space
    first = {"lr": 0, "momentum": 1}
    return [
        {"name": name, **{key: space[name][key] for key in ("low", "high", "scale")}}
        for name in sorted(space, key=lambda name: (first.get(name, len(first)), name))
    ]


def _kept(trials: pd.DataFrame, most: int) -> list[int]:
    """Return the places of the trials shown: the fastest, and evenly chosen ones of the others."""
    order = trials["steps"].astype(float).fillna(np.inf).to_numpy().argsort(kind="stable")
    if len(order) <= most:
        return list(range(len(order)))
    best, others = order[:BEST], np.sort(order[BEST:])
    chosen = np.linspace(0, len(others) - 1, max(most - BEST, 0)).round().astype(int)
    return sorted({*best.tolist(), *others[chosen].tolist()})


def _digits(column: "pd.Series[str]", names: Sequence[str]) -> str:
    """Return a column of names as one digit each, their place among all names."""
    return "".join(str(names.index(name)) for name in column)


def _whole(column: "pd.Series[int]") -> list[int | None]:
    return [None if pd.isna(value) else int(value) for value in column]


def _by_trial(curves: pd.DataFrame) -> dict[_Key, _Curve]:
    """Return steps and errors of each training curve, by batch size, role and number."""
    rows = curves.sort_values([*TRIAL_KEY, "step"], kind="stable")
    keys = rows[list(TRIAL_KEY)]
    first = np.flatnonzero(keys.ne(keys.shift()).any(axis=1).to_numpy())
    steps = np.split(rows["step"].to_numpy("int64"), first[1:])
    errors = np.split(rows["val_error"].to_numpy(float), first[1:])
    names = keys.iloc[first].itertuples(index=False, name=None)
    return dict(zip(names, zip(steps, errors, strict=True), strict=True)) if len(rows) else {}


def _curves(trials: pd.DataFrame, curves: dict[_Key, _Curve], most: int) -> dict[str, list[Any]]:
    """Return training curves as places of trials, steps between measurements, and errors."""
    found: dict[str, list[Any]] = {"trial": [], "step": [], "error": []}
    keys = list(trials[list(TRIAL_KEY)].itertuples(index=False, name=None))
    for place in _kept(trials, most):
        if keys[place] in curves:
            step, error = curves[keys[place]]
            shown = _thinned(step)
            found["trial"].append(place)
            found["step"].append(np.diff(step[shown], prepend=0).tolist())
            found["error"].append(shortened(error[shown]))
    return found


def _thinned(steps: NDArray[np.int64]) -> list[int]:
    """Return places evenly spaced in the logarithm of the step, with the first and the last two."""
    if len(steps) <= POINTS:
        return list(range(len(steps)))
    wanted = np.geomspace(max(steps[0], 1), steps[-1], POINTS - 2)
    places = np.searchsorted(steps, wanted).clip(max=len(steps) - 1)
    return sorted({0, *places.tolist(), len(steps) - 2, len(steps) - 1})


def _best_of_n(trials: pd.DataFrame) -> list[list[float | None]]:
    """Return n, the fewest steps of n trials, and the chance that they reach the target."""
    sample = search_sample(trials[trials["role"].isin(EVEN_ROLES)])
    if sample.trials < 2 or not len(sample.steps):  # noqa: PLR2004
        return []
    curve = best_of_n_at(sample, spread_numbers(sample.trials, _SIZES_OF_N))
    return [shortened(row) for row in curve[["n", "steps", "reach"]].to_numpy(float)]


def _fresh(analysis: Analysis) -> dict[int, list[int | None]]:
    if analysis.table["seeds"].isna().all():
        return {}
    runs = representative_runs(analysis.study, analysis.target)
    return {int(str(size)): _whole(own["steps"]) for size, own in runs.groupby("batch_size")}
