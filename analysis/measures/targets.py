"""Steps to target at each batch size: the fewest over the trials of its search.

As in Shallue et al. 2018 (arXiv:1811.03600), they are the step of the first measurement strictly
below the target, of the trial that gets there first. Nothing is interpolated or averaged, so they
depend on how many trials were run and when they were measured; `trials` and the bracket
`(steps_before, steps]` are recorded too.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from analysis.errors import AnalysisError
from analysis.measures.batch_plan import BatchPlan
from analysis.measures.recipes import follows_rule, recipe_runs
from analysis.tables.schema import (
    CANDIDATES,
    ROLES,
    STATUSES,
    TEST_ERROR,
    TRIAL_KEY,
    hyperparameters,
)
from analysis.tables.study import StudyTables

_KEY = list(TRIAL_KEY)
_NEVER = np.iinfo(np.int64).max


def search_trials(study: StudyTables, target: float | None = None) -> pd.DataFrame:
    """Return the trials of the searches with their outcomes at a target; None is the study's own.

    Outcomes at another target follow from the curves: a trial that crossed it has reached it,
    however it ended. It may be below the study's own only if trials ran on past that.

    Returns:
        One row per trial that competes for the fewest steps, sorted by batch size, role and
        trial, columns as in `trials.parquet`.

    Raises:
        AnalysisError: there is no such trial, or the curves cannot decide the target.
    """
    trials = trials_at(study, CANDIDATES, target)
    if trials.empty and not follows_rule(study):
        raise AnalysisError(
            f"a study must have at least one search trial, got none in {study.name}; "
            "run `sweep` first"
        )
    return trials


def judged_trials(study: StudyTables, target: float | None = None) -> pd.DataFrame:
    """Return the trials that steps to target are taken from, with their outcomes at a target.

    They are those of `search_trials`, which may raise; in a recipe, its runs on fresh seeds.
    """
    if follows_rule(study):
        return trials_at(recipe_runs(study), ROLES, target)
    return search_trials(study, target)


def competing_trials(study: StudyTables) -> pd.DataFrame:
    """Return the trials that represent their batch sizes, as recorded.

    They are the trials of the searches; in a recipe, its runs on fresh seeds, also at the base.
    """
    if follows_rule(study):
        return trials_as_recorded(recipe_runs(study), ROLES)
    return trials_as_recorded(study, CANDIDATES)


def trials_at(
    study: StudyTables, roles: tuple[str, ...], target: float | None = None
) -> pd.DataFrame:
    """Return the trials with some `ROLES`, with their outcomes as in `search_trials`."""
    trials = study.once(("trials", roles, target), lambda: _trials_at(study, roles, target))
    return trials.copy(deep=False)


def _trials_at(study: StudyTables, roles: tuple[str, ...], target: float | None) -> pd.DataFrame:
    trials = trials_as_recorded(study, roles)
    if study.imported and not study.raced:
        target = study.target if target is None else target
    elif target is None or target == study.config["race"].get("target"):
        return trials
    check_target(target, study.config["race"])
    if study.raced and study.imported:
        raise AnalysisError(
            f"a target other than the study's own, {study.target:g}, needs measurements, got "
            f"{target:g} for {study.name}, imported from one row per run; import one row per "
            "measurement"
        )
    return _at_target(trials, study, target)


def trials_as_recorded(study: StudyTables, roles: tuple[str, ...]) -> pd.DataFrame:
    """Return the trials with some `ROLES` as recorded, by batch size, role and trial."""
    trials = study.trials[study.trials["role"].isin(roles)].drop_duplicates(_KEY)
    rank = {role: place for place, role in enumerate(ROLES)}
    trials = trials.sort_values(
        _KEY, key=lambda column: column.map(rank) if column.name == "role" else column
    ).reset_index(drop=True)
    return trials.astype({"steps": "Int64", "steps_before": "Int64"})


def steps_to_target(study: StudyTables, target: float | None = None) -> pd.DataFrame:
    """Return the fewest steps to target at each batch size, and the trial that took them.

    In a recipe, they are the fewest over the fresh seeds of its one point.

    Returns:
        One row per batch size, in rising order: batch_size, steps, steps_before (start of their
        bracket), role and trial (of the winner), the winner's hyperparameters, effective_lr
        (lr / (1 - momentum), only with a momentum that adds to the step), examples (used in these
        steps), trials, one count per status (pruned only if there are any), stopped_at (of the
        longest trial; of the first pruned one if some were pruned and none reached the target) and
        best_error (least of all trials); with a test split also test_error, of the winner at the
        target. Null if no trial reached the target.
    """
    trials = judged_trials(study, target)
    names = hyperparameters(trials)
    tested = (TEST_ERROR,) if TEST_ERROR in trials else ()
    pruned = trials["status"].eq("pruned").any()  # most studies do not prune
    statuses = tuple(status for status in STATUSES if status != "pruned" or pruned)
    groups = trials.groupby("batch_size", sort=True)
    rows = [_row(group, (*names, *tested), statuses) for _, group in groups]
    derived = study.gathers_momentum and {"lr", "momentum"} <= set(names)
    rates = ("effective_lr",) if derived else ()
    columns = _columns((*names, *rates), statuses) | dict.fromkeys(tested, "Float64")
    table = pd.DataFrame(rows, columns=list(columns)).astype(columns)
    used = [
        steps if pd.isna(steps) else BatchPlan.of(study.config, size).examples(steps)
        for size, steps in zip(table["batch_size"], table["steps"], strict=True)
    ]
    table["examples"] = pd.array(used, dtype="Int64")
    if derived:
        table["effective_lr"] = table["lr"] / (1 - table["momentum"])
    return table


def check_target(target: float, race: Mapping[str, Any]) -> None:
    """Raise an error if a study's curves cannot decide a target, given its section `race`.

    Raises:
        AnalysisError: it is not a finite number, or tighter than the one that trials stopped at.
    """
    if not math.isfinite(target):
        raise AnalysisError(f"a target must be a finite number, got {target}")
    raced_to = race.get("target") if race.get("to", "target") == "target" else None
    if raced_to is not None and target < raced_to:
        raise AnalysisError(
            f"a target must not be below the one raced to, {raced_to:g}, got {target:g}: trials "
            "stopped there; choose a looser one, or sweep again with a lower race.target"
        )


def begun_below(study: StudyTables, target: float) -> int:
    """Return how many trials were below a target before they took a step."""
    start = study.curves[study.curves["step"] == 0]
    below: int = start[start["val_error"] < target].drop_duplicates(_KEY).shape[0]
    return below


def begun_sentences(begun: int) -> Iterator[str]:
    """Yield a sentence on the trials of `begun_below`; nothing for none."""
    if begun:
        trials = f"{begun} trial was" if begun == 1 else f"{begun} trials were"
        yield (
            f"{trials} below the target before training, so steps to target depend partly on lucky "
            "starts: lower race.target, in a new results folder."
        )


def _at_target(trials: pd.DataFrame, study: StudyTables, target: float) -> pd.DataFrame:
    """Return trials with their outcomes at a target by their curves.

    A trial keeps a status that does not count, such as failed.
    """
    crossings = _crossings(study, target)
    judged = trials.merge(crossings, on=_KEY, how="left")
    reached = judged["crossing"].notna() & judged["status"].isin(study.counted_statuses)
    judged["steps"] = judged["crossing"].astype("Int64").where(reached)
    judged["steps_before"] = judged["before"].astype("Int64").where(reached)
    if TEST_ERROR in judged:  # measured only at the study's own target
        same = judged["steps"].eq(trials["steps"]).fillna(False).astype(bool)
        judged[TEST_ERROR] = judged[TEST_ERROR].where(same)
    # a trial that ran on past a looser target may miss a tighter one
    missed = judged["status"].eq("reached") & ~reached
    judged["status"] = judged["status"].mask(reached, "reached").mask(missed, "exhausted")
    return judged.drop(columns=["crossing", "before"])


def _crossings(study: StudyTables, target: float) -> pd.DataFrame:
    """Return each trial's step of its first measurement below the target and of the one before."""
    # not a merge, which would copy the key to each of millions of measurements
    (trial, keys), curves = by_trial(study), study.curves
    step = curves["step"].to_numpy("int64")
    below = (step >= 1) & (curves["val_error"] < target).to_numpy(bool)
    crossing = np.full(len(keys), _NEVER)
    np.minimum.at(crossing, trial[below], step[below])
    earlier = step < crossing[trial]
    before = np.zeros(len(keys), dtype=np.int64)
    np.maximum.at(before, trial[earlier], step[earlier])
    return keys.assign(crossing=crossing, before=before)[crossing < _NEVER]


def by_trial(study: StudyTables) -> tuple[NDArray[np.int64], pd.DataFrame]:
    """Return the trial number of each measurement, and the `TRIAL_KEY` of each number."""
    return study.once("by trial", lambda: _by_trial(study.curves))


def _by_trial(curves: pd.DataFrame) -> tuple[NDArray[np.int64], pd.DataFrame]:
    # A trial's measurements are usually consecutive, so it is many times faster to group only the
    # first of each run of equal keys.
    begins = np.zeros(len(curves), dtype=bool)
    begins[:1] = True
    for name in _KEY:
        column = pa.array(curves[name])
        begins[1:] |= pc.not_equal(column[1:], column[:-1]).to_numpy(zero_copy_only=False)
    runs = curves.loc[begins, _KEY]
    number = runs.groupby(_KEY, sort=False).ngroup().to_numpy(np.int64)
    keys = runs.drop_duplicates().reset_index(drop=True)
    return np.repeat(number, np.diff(np.append(np.flatnonzero(begins), len(curves)))), keys


def _row(
    group: pd.DataFrame, names: tuple[str, ...], statuses: tuple[str, ...]
) -> dict[str, object]:
    counts = group["status"].value_counts()
    pruned = group.loc[group["status"] == "pruned", "stopped_at"]
    # a pruned trial might have reached the target at any step after its last
    censored = len(pruned) and not counts.get("reached", 0)
    row: dict[str, object] = {
        "batch_size": group["batch_size"].iloc[0],
        "trials": len(group),
        "stopped_at": pruned.min() if censored else group["stopped_at"].max(),
        "best_error": group["best_error"].min(),
        **{status: counts.get(status, 0) for status in statuses},
    }
    # ties go to search before extension before warm, then to the lower trial number
    reached = group[group["status"] == "reached"].sort_values("steps", kind="stable")
    winner = reached.iloc[0] if len(reached) else None
    for name in ("steps", "steps_before", "role", "trial", *names):
        row[name] = None if winner is None else winner[name]
    return row


def _columns(names: tuple[str, ...], statuses: tuple[str, ...]) -> dict[str, str]:
    """Return the types of the columns of `steps_to_target`, in their order."""
    return {
        "batch_size": "int64",
        **dict.fromkeys(("steps", "steps_before"), "Int64"),
        "role": "str",
        "trial": "Int64",
        **dict.fromkeys(names, "Float64"),
        "examples": "Int64",
        **dict.fromkeys(("trials", *statuses), "int64"),
        "stopped_at": "Int64",
        "best_error": "Float64",
    }


def judge(
    trials: pa.Table, curves: pa.Table, target: float | None, counted: Sequence[str]
) -> pa.Table:
    """Return a table of trials with their outcomes at a target; unchanged for None.

    Only trials with a status in `counted` may reach it.
    """
    if target is None:
        return trials
    study = StudyTables(
        name="",
        config={"race": {"to": "budget"}, "imported": {"counted_statuses": list(counted)}},
        trials=trials.to_pandas(),
        curves=curves.select([*TRIAL_KEY, "step", "val_error"]).to_pandas(),
    )
    roles = tuple(trials["role"].unique().to_pylist())
    outcomes = trials_at(study, roles, target)
    return pa.Table.from_pandas(outcomes, schema=trials.schema, preserve_index=False)
