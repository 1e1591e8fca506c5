"""Exports a results folder as one CSV table, which `import` reads back."""

from pathlib import Path

import pandas as pd

from analysis.errors import AnalysisError
from analysis.measures.batch_plan import is_planned
from analysis.measures.federated import is_federated
from analysis.tables.folder import ResultsFolder
from analysis.tables.imported import NO_OPTIMIZER, exporting
from analysis.tables.schema import CURVE_COLUMNS, TRIAL_KEY, hyperparameters
from analysis.tables.study import StudyTables, read_study

_KEY = list(TRIAL_KEY)
_SOURCES = ["source_batch_size", "source_role", "source_trial", "rule"]
_ENDS = ["status", "stopped_at"]
_OUTCOME = ["steps", "steps_before", "best_error"]
_SETTINGS = ["workload", "optimizer", "target"]


def export_table(folder: ResultsFolder, to: Path) -> Path:
    """Write a study to a `.csv` or into a folder, as one row per measurement with its settings.

    A trial without measurements has one row without a step. A study that was imported from one row
    per run has one row per run again.

    Returns:
        The file.

    Raises:
        AnalysisError: the study is federated, a recipe or has a batch schedule, or the file exists
            or cannot be written.
    """
    study = read_study(folder)
    config = study.config
    if is_federated(config) or is_planned(config) or config.get("mode") == "recipe":
        raise AnalysisError(
            "only a study that tunes every batch size and counts updates can be exported as a "
            f"table, got {folder}, which is federated, a recipe or has a batch schedule; copy the "
            "folder instead"
        )
    file = to if to.suffix == ".csv" else to / f"{study.name}.csv"
    with exporting(file, to):
        _table(study).to_csv(file, index=False)
    return file


def _table(study: StudyTables) -> pd.DataFrame:
    one_per_run = study.imported and study.raced
    names = [*hyperparameters(study.trials), "seed", *_SOURCES, *_ENDS]
    trials = study.trials[[*_KEY, *names, *(_OUTCOME if one_per_run else [])]].drop_duplicates(_KEY)
    trials.insert(0, "run", ["-".join(map(str, k)) for k in trials[_KEY].to_numpy()])
    for name in _SETTINGS:
        trials[name] = study.config["race"].get(name, study.config.get(name))
    if study.config["optimizer"] == NO_OPTIMIZER:
        trials = trials.drop(columns="optimizer")
    if one_per_run:
        return trials.dropna(axis="columns", how="all")
    others = [name for name in study.curves.columns if name not in CURVE_COLUMNS]
    measured = ["step", "train_loss", "val_loss", "val_error", "seconds", *others]
    table = trials.merge(study.curves[[*_KEY, *measured]], on=_KEY, how="left")
    if study.config["race"].get("quantity") == "loss":  # errors of such a study are losses
        table["val_loss"] = table["val_error"]
        table = table.drop(columns="val_error")
    return table.dropna(axis="columns", how="all")
