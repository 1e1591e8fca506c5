"""How good the search of each batch size was: settled or still falling, and where its best lie.

It is judged by the even sample: points of the box and of the regions by which it was widened, but
not points taken from other batch sizes.
"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.fitting.estimates import percent
from analysis.measures.targets import search_trials
from analysis.search_quality.adaptive import LATE_COLUMNS, late_row
from analysis.search_quality.best_of_n import SETTLED_GAIN, SearchVerdict, search_sample
from analysis.search_quality.edges import (
    EFFECTIVE_LR,
    EdgeVerdict,
    RangeEnd,
    box_verdict,
    edge_verdicts,
)
from analysis.tables.study import StudyTables

EVEN_ROLES = ("search", "extension")
"""Roles of the trials that cover the box evenly."""
NATURAL_ENDS = {("momentum", "low"): 0.0}
"""Ends of a hyperparameter's domain, with no points beyond."""

_COLUMNS = {
    "batch_size": "int64",
    "trials": "int64",
    "reached": "int64",
    "diverged": "int64",
    "diverged_share": "Float64",
    "steps_before": "Int64",
    "steps": "Int64",
    "bracket": "Float64",
    "half": "int64",
    "half_reach": "Float64",
    "gain": "Float64",
    "warm_gain": "Float64",
    "search": "str",
    "box": "str",
    "edges": "str",
    "walls": "str",
}


def quality_table(study: StudyTables, target: float | None = None) -> pd.DataFrame:
    """Return the quality of the search at each batch size, from the trials of `search_trials`.

    Returns:
        One row per batch size, in rising order: batch_size; trials, reached, diverged and
        diverged_share of the even sample; the bracket (steps_before, steps] of the fewest steps
        and its width as a share of them (bracket); half, the trials before the last doubling,
        half_reach, the probability that so many include one that reached, and gain, the share of
        extra steps they would have needed; warm_gain, the share of extra steps of the even sample
        over a point from another batch size; search (`SearchVerdict`); box (`EdgeVerdict`); edges
        and walls, the ends with these verdicts ("lr high, momentum low"). Null if unknown. An
        adaptive search also has the columns of `late_row`.
    """
    trials = search_trials(study, target)
    rows = []
    for size, group in trials.groupby("batch_size", sort=True):
        even = group[group["role"].isin(EVEN_ROLES)]
        box = study.box(int(str(size)))
        natural = [
            (name, end)
            for (name, end), value in NATURAL_ENDS.items()
            if name in box and box[name][end] == value
        ]
        ends = edge_verdicts(
            {name: _numbers(even[name]) for name in ("lr", "momentum", *box) if name in even},
            box,
            _numbers(even["steps"]),
            even["status"].eq("diverged"),
            _numbers(even["best_error"]),
            natural,
        )
        if not study.gathers_momentum:
            ends = tuple(end for end in ends if end.hyperparameter != EFFECTIVE_LR)
        search = _search_row(even, group, study.adaptive)
        late = late_row(even, list(box)) if study.adaptive else {}
        rows.append({"batch_size": size, **search, **_box_row(ends, study.space_known), **late})
    columns = _COLUMNS | (LATE_COLUMNS if study.adaptive else {})
    return pd.DataFrame(rows, columns=list(columns)).astype(columns)


def _numbers(column: "pd.Series[float]") -> NDArray[np.float64]:
    return np.asarray(column.to_numpy(np.float64, na_value=np.nan))


def _search_row(even: pd.DataFrame, group: pd.DataFrame, adaptive: bool) -> dict[str, object]:
    sample = search_sample(even)
    diverged = int(even["status"].eq("diverged").sum())
    fastest = group[group["steps"].notna()].sort_values("steps", kind="stable").head(1)
    steps = None if fastest.empty else int(fastest["steps"].iloc[0])
    before = None if fastest["steps_before"].isna().all() else int(fastest["steps_before"].iloc[0])
    half = sample.trials // 2
    # the extra steps of the even sample over a faster point from another batch size
    least = float(sample.steps[0]) if len(sample.steps) else None
    warm_gain = None if steps is None or least is None or least <= steps else least / steps - 1
    verdict = SearchVerdict.UNKNOWN if adaptive else sample.verdict
    if warm_gain is not None and warm_gain >= SETTLED_GAIN:
        verdict = SearchVerdict.FALLING
    return {
        "trials": sample.trials,
        "reached": len(sample.steps),
        "diverged": diverged,
        "diverged_share": diverged / sample.trials if sample.trials else None,
        "steps_before": before,
        "steps": steps,
        "bracket": None if steps is None or before is None else (steps - before) / steps,
        "half": half,
        "half_reach": sample.reach(half) if half else None,
        "gain": None if adaptive else sample.gain,
        "warm_gain": warm_gain,
        "search": str(verdict),
    }


def _box_row(ends: tuple[RangeEnd, ...], known: bool) -> dict[str, object]:
    def listed(verdict: EdgeVerdict) -> str:
        return ", ".join(f"{e.hyperparameter} {e.end}" for e in ends if e.verdict is verdict)

    return {
        "box": str(box_verdict(ends) if known else EdgeVerdict.UNKNOWN),
        "edges": listed(EdgeVerdict.EDGE),
        "walls": listed(EdgeVerdict.WALL),
    }


def readable_quality(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table of `quality_table` as text: one row per batch size, "-" if unknown.

    Columns B, trials, diverged, bracket (width as a share of the steps), gain (of the last doubling
    of trials), search, box, edges and walls.
    """
    shown = table[["batch_size", "trials"]].astype(str).rename(columns={"batch_size": "B"})
    for heading, name in {
        "diverged": "diverged_share",
        "bracket": "bracket",
        "gain of last doubling": "gain",
    }.items():
        shown[heading] = ["-" if pd.isna(share) else percent(share) for share in table[name]]
    for name in ("search", "box", "edges", "walls"):
        shown[name] = [text or "-" for text in table[name]]
    return shown
