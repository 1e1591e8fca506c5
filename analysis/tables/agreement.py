"""Whether the files of a results folder are of one study: a digest is of one file alone."""

from collections.abc import Mapping
from typing import Any, NoReturn

import pandas as pd

from analysis.errors import AnalysisError
from analysis.tables.schema import BOXES_FILE, CURVES_FILE, STUDY_FILE, TRIAL_KEY, TRIALS_FILE

_KEY = list(TRIAL_KEY)


def require_one_study(
    where: str,
    config: Mapping[str, Any],
    trials: pd.DataFrame,
    curves: pd.DataFrame,
    boxes: pd.DataFrame,
) -> None:
    """Refuse tables of which one belongs to another study, as after files were copied by hand.

    Raises:
        AnalysisError: a searched box is not that of the study file, a curve is of no trial, or a
            trial got below the target at another step than its curve.
    """  # noqa: DOC502  (raised by _refuse)
    known = trials[[*_KEY, "steps", "status"]]
    joined = curves[[*_KEY, "step", "val_error"]].merge(known, on=_KEY, how="left")
    if joined["status"].isna().any():
        _refuse(where, CURVES_FILE, "other trials", TRIALS_FILE)
    target = config["race"].get("target")
    if config.get("imported") or target is None:  # runs that may have had boxes of their own
        return
    ranges = {n: entry for n, entry in config["search"]["space"].items() if isinstance(entry, dict)}
    for row in boxes[boxes["region"] == 0].itertuples():
        entry = ranges.get(row.hyperparameter, {})
        if [entry.get(n) for n in ("low", "high", "scale")] != [row.low, row.high, row.scale]:
            _refuse(where, BOXES_FILE, f"another range of {row.hyperparameter}", STUDY_FILE)
    reached = joined[(joined["status"] == "reached") & (joined["step"] >= 1)]
    below = reached[reached["val_error"] < target]
    first = below.groupby(_KEY)["step"].min().sort_index()
    steps = trials[trials["status"] == "reached"].set_index(_KEY)["steps"].sort_index()
    if not first.index.equals(steps.index) or (first != steps).any():
        _refuse(where, TRIALS_FILE, "other steps to target", f"{CURVES_FILE} and {STUDY_FILE}")


def _refuse(where: str, file: str, got: str, other: str) -> NoReturn:
    raise AnalysisError(
        f"the files in {where} must be of one study, got {got} in {file} than in {other}; copy "
        "results folders as a whole"
    )
