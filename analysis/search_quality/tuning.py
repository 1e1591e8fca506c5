"""Under-tuning of a study: the gap of each search, where its trials show it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from analysis.fitting.tuning_gap import SearchedSteps, TuningGap, tuning_gap
from analysis.measures.recipes import follows_rule
from analysis.measures.replicates import (
    MEDIANS,
    fitted_quantity,
    logs_of_seeds,
    point_name,
    variances_over_seeds,
)
from analysis.measures.targets import search_trials
from analysis.search_quality.table import EVEN_ROLES
from analysis.tables.study import StudyTables

NO_TUNING = "nothing was tuned"
NO_BOX = (
    "the ranges from which the imported runs were drawn are unknown (import with --space), so "
    "their best points may need more steps than the optimum, by an unknown factor"
)
ADAPTIVE = (
    "the trials of this sampler do not show it, as they crowd around its estimate of the optimum "
    "(those of other samplers do)"
)
_COMMON: Mapping[str, bool] = {"tpe": False, "shared": True}
"""Samplers that learn and whose trials show the gap, and whether batch sizes have it in common.
In 288 searches of `tpe` on the bank, shares of 0.1, 0.25, 0.5, 0.75 and 0.9 of the true gaps lay
below the quantiles 0.19, 0.34, 0.57, 0.75 and 0.92, as for even trials. `shared` crowds and shows
less of them."""
NONE_REACHED = "no trial spread evenly over the box reached the target at B = {sizes}"


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Tuning:
    """What the trials say of under-tuning.

    Attributes:
        gaps: the gap at each batch size that reached the target; empty where `missing`.
        missing: why there is none, as text; else empty.
    """

    gaps: Mapping[float, TuningGap]
    missing: str

    def record(self) -> dict[str, Any]:
        """Return under-tuning as JSON data."""
        return {
            "missing": self.missing,
            "common": any(gap.common for gap in self.gaps.values()),
            "excess": [
                {"batch_size": int(size), "median": gap.excess(0.5), "high": gap.excess(0.95)}
                for size, gap in self.gaps.items()
            ],
        }


def tuning_of(study: StudyTables, table: pd.DataFrame, target: float | None = None) -> Tuning:
    """Return the gap at each batch size that reached the target, or no gap and why.

    The table is of `steps_to_target` at the target; None is the study's own. With the columns of
    replicates, the gap is of the medians over seeds that are fitted; else of the fewest steps.
    """
    at = study.config["race"].get("target") if target is None else target
    medians = fitted_quantity(study, table) == MEDIANS
    return study.once(
        ("tuning", at, medians), lambda: _tuning_of(study, table, target, medians=medians)
    )


def _tuning_of(
    study: StudyTables, table: pd.DataFrame, target: float | None, *, medians: bool
) -> Tuning:
    if not study.space_known:
        return Tuning(gaps={}, missing=NO_BOX)
    if follows_rule(study) or not study.space:
        return Tuning(gaps={}, missing=NO_TUNING)
    sampler = study.config["search"].get("sampler")
    if study.adaptive and sampler not in _COMMON:
        return Tuning(gaps={}, missing=ADAPTIVE)
    even = search_trials(study, target)
    even = even[even["role"].isin(EVEN_ROLES)]
    noise = _Noise.of(study) if medians else _Noise()
    gaps, without = {}, []
    for row in table[table["steps"].notna()].to_dict("records"):
        trials = even[even["batch_size"] == row["batch_size"]]
        if not trials["status"].eq("reached").any():
            without.append(str(row["batch_size"]))
            continue
        gap = _gap(trials, row, noise, len(study.space))
        common = study.adaptive and _COMMON[sampler]
        gaps[float(row["batch_size"])] = gap.of_common_search() if common else gap
    if without:
        return Tuning(gaps={}, missing=NONE_REACHED.format(sizes=", ".join(without)))
    return Tuning(gaps=gaps, missing="")


@dataclass(frozen=True, slots=True)
class _Noise:
    """The seeds of a study whose medians are fitted.

    Attributes:
        variances: of log steps over the seeds of one point, by batch size.
        again: log steps of the re-runs that reached the target, by batch size and point.
    """

    variances: Mapping[int, float] = field(default_factory=dict)
    again: Mapping[tuple[int, str], Sequence[float]] = field(default_factory=dict)

    @classmethod
    def of(cls, study: StudyTables) -> "_Noise":
        return cls(variances_over_seeds(study), logs_of_seeds(study))


def _gap(trials: pd.DataFrame, row: Mapping[Any, Any], noise: _Noise, searched: int) -> TuningGap:
    """Return the gap at a batch size: of the median over fresh seeds, where their noise is known.

    Args:
        trials: of the search there, of which one reached the target at least.
        row: of the batch size in the table of steps to target.
        noise: of seeds.
        searched: number of hyperparameters searched.
    """
    size = row["batch_size"]
    deviation = math.sqrt(noise.variances.get(size, 0.0))
    best, fitted, again = float(np.log(row["steps"])), "", noise.again if deviation else {}
    if deviation > 0 and pd.notna(row["steps_median"]):
        best, fitted = float(np.log(row["steps_median"])), row["replicate_of"]
    reached, deviations = [], []
    runs = trials[trials["status"] == "reached"]
    for role, trial, steps in zip(runs["role"], runs["trial"], runs["steps"], strict=True):
        name = point_name(role, trial)
        logs = [math.log(steps), *again.get((size, name), ())]
        reached.append(best if name == fitted else float(np.mean(logs)))
        deviations.append(0.0 if name == fitted else deviation / math.sqrt(len(logs)))
    # a pruned trial would have been slower than those kept, as pruning supposes
    missed = trials["status"].isin(["capped", "exhausted"])
    stops = trials["stopped_at"].clip(lower=1).to_numpy(np.float64)
    seen = SearchedSteps(
        reached=np.array(reached),
        deviations=np.array(deviations),
        ends=np.log(np.where(missed, stops, np.inf)),
        noise=deviation,
    )
    return tuning_gap(seen, searched, best=best)
