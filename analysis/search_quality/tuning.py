"""Under-tuning of a study: the tuning gap of each search, if its trials show it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from analysis.fitting.tuning_gap import TuningGap, tuning_gap
from analysis.measures.recipes import follows_rule
from analysis.measures.targets import search_trials
from analysis.search_quality.best_of_n import search_sample
from analysis.search_quality.table import EVEN_ROLES
from analysis.tables.study import StudyTables

NO_TUNING = "nothing was tuned"
NO_BOX = (
    "the ranges from which the imported runs were drawn are unknown (import with --space), so "
    "their best points may need more steps than the optimum, by an unknown factor"
)
ADAPTIVE = (
    "the trials of this sampler do not show it: they crowd around its estimate of the optimum "
    "(those of other samplers do)"
)
_COMMON: Mapping[str, bool] = {"tpe": False, "shared": True}
"""Adaptive samplers whose trials show the gap, and whether batch sizes have it in common.

In 288 simulated searches of `tpe`, shares of 0.1, 0.25, 0.5, 0.75 and 0.9 of the true gaps lay
below the quantiles 0.19, 0.34, 0.57, 0.75 and 0.92, as for even trials. Trials of `shared` crowd
and show less of the gap."""
NONE_REACHED = "no trial spread evenly over the box reached the target at B = {sizes}"


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Tuning:
    """The tuning gaps of a study."""

    gaps: Mapping[float, TuningGap]  # at each batch size that reached the target; none if `missing`
    missing: str  # why they are unknown, as text; else empty

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
    """Return the tuning gap at each batch size that reached the target, or why it is unknown.

    The table is of `steps_to_target` at the target; None is the study's own.
    """
    at = study.config["race"].get("target") if target is None else target
    return study.once(("tuning", at), lambda: _tuning_of(study, table, target))


def _tuning_of(study: StudyTables, table: pd.DataFrame, target: float | None) -> Tuning:
    if not study.space_known:
        return Tuning(gaps={}, missing=NO_BOX)
    if follows_rule(study) or not study.space:
        return Tuning(gaps={}, missing=NO_TUNING)
    sampler = study.config["search"].get("sampler")
    if study.adaptive and sampler not in _COMMON:
        return Tuning(gaps={}, missing=ADAPTIVE)
    even = search_trials(study, target)
    even = even[even["role"].isin(EVEN_ROLES)]
    gaps, without = {}, []
    for row in table[table["steps"].notna()].to_dict("records"):
        sample = search_sample(even[even["batch_size"] == row["batch_size"]])
        if not len(sample.steps):
            without.append(str(row["batch_size"]))
            continue
        gap = tuning_gap(
            np.log(sample.steps),
            sample.trials,
            len(study.space),
            best=float(np.log(row["steps"])),
            bound=float(np.log(sample.bound)) if sample.cut else math.inf,
        )
        common = study.adaptive and _COMMON[sampler]
        gaps[float(row["batch_size"])] = gap.of_common_search(len(study.space)) if common else gap
    if without:
        return Tuning(gaps={}, missing=NONE_REACHED.format(sizes=", ".join(without)))
    return Tuning(gaps=gaps, missing="")
