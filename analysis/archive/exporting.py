"""Export a results folder as an archive in the published layout."""

import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.archive.layout import (
    ARCHIVED_AS,
    COMPLETE,
    MEASUREMENTS_CSV,
    METADATA_JSON,
    STUDY_JSON,
    TRAIN_LOSS,
    VAL_LOSS,
    place_of,
)
from analysis.archive.spaces import (
    archived_name,
    check_parameter,
    hyperparameter_name,
    parameter_configs,
)
from analysis.errors import AnalysisError
from analysis.measures.batch_plan import is_planned
from analysis.measures.federated import is_federated
from analysis.measures.targets import trials_as_recorded
from analysis.tables.files import as_written, read_file
from analysis.tables.folder import ResultsFolder
from analysis.tables.imported import exporting
from analysis.tables.schema import (
    ARCHIVE_FILE,
    CANDIDATES,
    CURVE_COLUMNS,
    TRIAL_KEY,
    hyperparameters,
)
from analysis.tables.study import StudyTables, read_study

_KEY = list(TRIAL_KEY)
_ERROR = "val/classification_error"
_MODEL = "model"


@dataclass(frozen=True, kw_only=True, slots=True)
class Exported:
    """The folder of an export, and how many trials it contains and leaves out."""

    folder: Path
    trials: int
    left_out: int


def export_study(folder: ResultsFolder, to: Path) -> Exported:
    """Export a study to dataset/model/optimizer in the published layout.

    The data set is the workload's name and the model is `model`; for `path/to/file.py:Class` they
    are the file's stem and the class. An imported study goes back to its place, with its own
    `study.json`. Trials that compete for the fewest steps are written: `search` with their numbers,
    `extension` and `warm` with the numbers after them. Replicates are left out: the archive would
    count a re-run of the best point as another trial of the search. The error of the study becomes
    `val/classification_error`, whatever it measures, unless it is a loss.

    Returns:
        Where the study was written, and how many trials.

    Raises:
        AnalysisError: the layout cannot describe the study, the study has no such trial, or its
            place in `to` is taken.
    """
    study = read_study(folder)
    if is_federated(study.config):
        raise AnalysisError(
            "an export must be of a study whose steps are updates, got rounds of FedAvg in "
            f"{folder}; the layout cannot describe clients: copy the folder instead"
        )
    if is_planned(study.config):
        raise AnalysisError(
            f"an export must be of a study of fixed batch sizes, got a batch schedule in {folder}; "
            "the layout cannot describe it: copy the folder instead"
        )
    trials = _numbered(trials_as_recorded(study, CANDIDATES))
    if trials.empty:
        raise AnalysisError(
            f"an export needs trials of a search, got none in {folder}; run the sweep first"
        )
    path = _path(study)
    studies = _descriptions(folder) if _archived(study) else {}
    place = to / path
    curves = dict(iter(study.curves.groupby(_KEY, sort=False)))
    with (
        exporting(place, to),
        tempfile.TemporaryDirectory(dir=place.parent, prefix=".batchscale-") as staged,
    ):
        complete = Path(staged) / place.name
        for size, group in trials.groupby("batch_size"):
            description = studies.get(str(size)) or _description(study, path, group)
            _write_study(complete / str(size), study, description, group, curves)
        os.rename(complete, place)
    left_out = len(study.trials.drop_duplicates(_KEY)) - len(trials)
    return Exported(folder=place, trials=len(trials), left_out=left_out)


def _numbered(trials: pd.DataFrame) -> pd.DataFrame:
    """Add `number`: unique at each batch size, in the order in which ties are broken."""
    last = trials[trials["role"] == "search"].groupby("batch_size")["trial"].max()
    others = trials[trials["role"] != "search"]
    after = others["batch_size"].map(last).fillna(-1).astype("int64") + 1
    after += others.groupby("batch_size").cumcount()
    return trials.assign(number=trials["trial"].where(trials["role"] == "search", after))


def _archived(study: StudyTables) -> bool:
    """Return whether a study was imported from an archive."""
    return study.imported and study.config["imported"].get("path") is not None


def _path(study: StudyTables) -> str:
    """Return dataset/model/optimizer of a study."""
    # in path/to/file.py:Class the class is the model; a named workload has no other name
    file, colon, name = str(study.config["workload"]).rpartition(":")
    dataset, model = (Path(file).stem, name) if colon else (name, _MODEL)
    path = f"{dataset}/{model}/{study.config['optimizer']}"
    path = str(study.config["imported"]["path"]) if _archived(study) else path
    if place_of([*path.split("/"), "1", STUDY_JSON]) is None:
        raise AnalysisError(
            f"an export must go to dataset/model/optimizer, got {path} in {study.name}; correct "
            "its study.toml"
        )
    return path


def _descriptions(folder: ResultsFolder) -> Mapping[str, Any]:
    """Return the `study.json` of each batch size of an imported study."""
    content = read_file(folder, ARCHIVE_FILE)
    with as_written(folder, ARCHIVE_FILE):
        found: Mapping[str, Any] = json.loads(content)["studies"]
        for size, description in found.items():
            for name, config in description["parameter_configs"].items():
                check_parameter(f"{ARCHIVE_FILE}, batch size {size}", name, config)
        return found


def _description(study: StudyTables, path: str, trials: pd.DataFrame) -> dict[str, Any]:
    """Return the `study.json` of a batch size."""
    size = int(trials["batch_size"].iloc[0])
    dataset, model, optimizer = path.split("/")
    complete = trials[trials["status"].map(ARCHIVED_AS) == COMPLETE]["stopped_at"]
    box = study.box(size)
    fixed = {
        name: float(trials[name].iloc[0])
        for name in hyperparameters(study.trials)
        if name not in box and trials[name].notna().all() and trials[name].nunique() == 1
    }
    return {
        "batch_size": size,
        "dataset": dataset,
        "early_stopping": study.raced,
        "model": model,
        "optimizer": optimizer,
        "parameter_configs": parameter_configs(box, fixed),
        # 0 if they differ, as in a race, where trials stop at the target
        "train_steps": int(complete.iloc[0]) if complete.nunique() == 1 else 0,
    }


def _write_study(
    folder: Path,
    study: StudyTables,
    description: Mapping[str, Any],
    trials: pd.DataFrame,
    curves: Mapping[Any, pd.DataFrame],
) -> None:
    folder.mkdir(parents=True)
    _write_json(folder / STUDY_JSON, description)
    configs, columns = description["parameter_configs"], _measurement_columns(study)
    had = {hyperparameter_name(name): name for name in configs}
    names = {name: had.get(name, archived_name(name)) for name in hyperparameters(study.trials)}
    integers = {name for name, config in configs.items() if config.get("type") == "INTEGER"}
    for row in trials.to_dict(orient="records"):
        trial = folder / str(row["number"])
        trial.mkdir()
        metadata = {
            "parameters": {
                archived: int(row[name]) if archived in integers else float(row[name])
                for name, archived in names.items()
                if pd.notna(row[name])
            },
            "status": ARCHIVED_AS[row["status"]],
            "steps": int(row["stopped_at"]),
            "trial_id": int(row["number"]),
        }
        _write_json(trial / METADATA_JSON, metadata)
        curve = curves.get(tuple(row[name] for name in _KEY))
        measured = pd.DataFrame({"step": []})
        if curve is not None:
            table = curve.sort_values("step", kind="stable")[["step", *columns]]
            table = table.rename(columns=columns).dropna(axis="columns", how="all")
            measured = table[["step", *sorted(name for name in table.columns if name != "step")]]
        measured.to_csv(trial / MEASUREMENTS_CSV, index=False)


def _measurement_columns(study: StudyTables) -> dict[str, str]:
    """Return the archive's names of the curve columns to write."""
    others = [name for name in study.curves.columns if name not in CURVE_COLUMNS]
    columns = {"train_loss": TRAIN_LOSS, "val_loss": VAL_LOSS} | {name: name for name in others}
    if _archived(study):
        column = str(study.config["imported"]["metric"])
    else:
        column = VAL_LOSS if study.config["race"].get("quantity") == "loss" else _ERROR
    if column not in columns.values():
        columns["val_error"] = column
    return columns


def _write_json(path: Path, data: Mapping[str, Any]) -> None:
    path.write_text(f"{json.dumps(data, indent=2, sort_keys=True)}\n", encoding="utf-8")
