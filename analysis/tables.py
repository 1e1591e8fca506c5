"""The tables of a results folder: their schema, and how they are read.

The schema lives here alone; `study.store` writes by it. Every column is explained in
`results/README.md`.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
import pyarrow as pa

from analysis.errors import AnalysisError
from analysis.folder import ResultsFolder
from analysis.validation import BROKEN_PARQUET, check_config, check_table, read_parquet
from analysis.validation import ROLES as ROLES
from analysis.validation import STATUSES as STATUSES

SCHEMA_VERSION = 3
READABLE_VERSIONS = ("1", "2", "3")
VERSION_KEY = b"batchscale.schema_version"

STUDY_FILE = "study.toml"
TRIALS_FILE = "trials.parquet"
CURVES_FILE = "curves.parquet"
BOXES_FILE = "boxes.parquet"
LAYERS_FILE = "layers.parquet"

TRIAL_KEY = ("batch_size", "role", "trial")
"""What names a trial: its number counts within its batch size and role."""

TRIAL_COLUMNS: Mapping[str, pa.DataType] = {
    "batch_size": pa.int64(),
    "trial": pa.int64(),
    "role": pa.string(),
    "cohort": pa.int64(),
    "seed": pa.int64(),
    "source_batch_size": pa.int64(),
    "source_role": pa.string(),
    "source_trial": pa.int64(),
    "rule": pa.string(),
    "status": pa.string(),
    "steps": pa.int64(),
    "steps_before": pa.int64(),
    "stopped_at": pa.int64(),
    "best_error": pa.float64(),
    "seconds": pa.float64(),
    "training_seconds": pa.float64(),
    "evaluation_seconds": pa.float64(),
    "lanes": pa.string(),
    "pack": pa.int64(),
    "micro_batch": pa.int64(),
    "message": pa.string(),
}
"""Columns of `trials.parquet`; the hyperparameters, float64, stand after `cohort`."""

CURVE_COLUMNS: Mapping[str, pa.DataType] = {
    "batch_size": pa.int64(),
    "role": pa.string(),
    "trial": pa.int64(),
    "step": pa.int64(),
    "train_loss": pa.float64(),
    "val_loss": pa.float64(),
    "val_error": pa.float64(),
    "seconds": pa.float64(),
}
"""Columns of `curves.parquet`, one row per measurement, step 0 included."""

BOX_COLUMNS: Mapping[str, pa.DataType] = {
    "batch_size": pa.int64(),
    "region": pa.int64(),
    "hyperparameter": pa.string(),
    "low": pa.float64(),
    "high": pa.float64(),
    "scale": pa.string(),
}
"""Columns of `boxes.parquet`: what was searched, one row per batch size, region and searched
hyperparameter; region 0 is the study's box, the others the parts by which it was widened."""

LAYER_COLUMNS: Mapping[str, pa.DataType] = {
    "batch_size": pa.int64(),
    "role": pa.string(),
    "trial": pa.int64(),
    "moment": pa.string(),
    "step": pa.int64(),
    "layer": pa.string(),
    "parameters": pa.int64(),
    "weight_norm": pa.float64(),
    "gradient_norm": pa.float64(),
    "gradient_norm_sd": pa.float64(),
    "batches": pa.int64(),
    "ratio": pa.float64(),
    "full_gradient_norm": pa.float64(),
    "full_ratio": pa.float64(),
}
"""Columns of `layers.parquet`, one row per trial, moment and parameter tensor."""


def trial_schema(hyperparameters: tuple[str, ...]) -> pa.Schema:
    """Gives the schema of `trials.parquet` for these hyperparameters, in their order."""
    names = list(TRIAL_COLUMNS)
    after = names.index("cohort") + 1
    fields = [(name, TRIAL_COLUMNS[name]) for name in names]
    fields[after:after] = [(name, pa.float64()) for name in hyperparameters]
    return _versioned(pa.schema(fields))


def curve_schema() -> pa.Schema:
    """Gives the schema of `curves.parquet`."""
    return _versioned(pa.schema(list(CURVE_COLUMNS.items())))


def box_schema() -> pa.Schema:
    """Gives the schema of `boxes.parquet`."""
    return _versioned(pa.schema(list(BOX_COLUMNS.items())))


def layer_schema() -> pa.Schema:
    """Gives the schema of `layers.parquet`."""
    return _versioned(pa.schema(list(LAYER_COLUMNS.items())))


def hyperparameters(trials: pd.DataFrame) -> tuple[str, ...]:
    """Gives the hyperparameter columns of a table of trials, in their order."""
    return tuple(name for name in trials.columns if name not in TRIAL_COLUMNS)


def _versioned(schema: pa.Schema) -> pa.Schema:
    return schema.with_metadata({VERSION_KEY: str(SCHEMA_VERSION).encode()})


def _no_boxes() -> pd.DataFrame:
    frame: pd.DataFrame = box_schema().empty_table().to_pandas()
    return frame


@dataclass(frozen=True, kw_only=True, slots=True)
class StudyTables:
    """A study as analysis sees it.

    Attributes:
        name: name of the results folder.
        config: the resolved study file as plain data.
        trials: one row per trial, columns as `trial_schema`.
        curves: one row per measurement, columns as `curve_schema`.
        boxes: what was searched at each batch size, columns as `box_schema`; without rows for a
            batch size it is the study's `space`.
    """

    name: str
    config: Mapping[str, Any]
    trials: pd.DataFrame
    curves: pd.DataFrame
    boxes: pd.DataFrame = field(default_factory=_no_boxes)

    @property
    def target(self) -> float:
        """The target that the study raced to, or that stands in its study file."""
        target = self.config["race"].get("target")
        if target is None:
            raise AnalysisError(
                f"a study without a target of its own needs one, got none for {self.name}; "
                "give --target"
            )
        return float(target)

    @property
    def raced(self) -> bool:
        """Whether trials stopped at the target; else each ran to its budget."""
        return str(self.config["race"].get("to", "target")) == "target"

    @property
    def imported(self) -> bool:
        """Whether the trials come from an archive; they are then judged by their curves alone."""
        return "imported" in self.config

    @property
    def counted_statuses(self) -> tuple[str, ...]:
        """Statuses of trials that reach a target where their curves cross it.

        A study of ours counts all but the failed ones; an imported one says which, by default
        those that its archive calls COMPLETE.
        """
        if self.imported:
            return tuple(self.config["imported"].get("counted_statuses", ("reached", "exhausted")))
        return tuple(status for status in STATUSES if status != "failed")

    @property
    def space(self) -> Mapping[str, Mapping[str, Any]]:
        """The searched ranges by hyperparameter: low, high, scale; fixed ones are left out."""
        space: Mapping[str, Any] = self.config["search"]["space"]
        return {name: entry for name, entry in space.items() if isinstance(entry, Mapping)}

    def box(self, batch_size: int) -> Mapping[str, Mapping[str, Any]]:
        """Gives the ranges searched at a batch size, widened as they were, in the form of `space`.

        Args:
            batch_size: a batch size of the study.

        Returns:
            By hyperparameter: low, high, scale.
        """
        here = self.boxes[self.boxes["batch_size"] == batch_size]
        if here.empty:
            return self.space
        return {
            str(name): {
                "low": float(rows["low"].min()),
                "high": float(rows["high"].max()),
                "scale": str(rows["scale"].iloc[0]),
            }
            for name, rows in here.groupby("hyperparameter", sort=False)
        }


def read_study(folder: ResultsFolder) -> StudyTables:
    """Reads the tables of a results folder.

    Args:
        folder: a results folder with study.toml, trials.parquet and curves.parquet.

    Returns:
        The study.

    Raises:
        AnalysisError: a file is missing or damaged, or written by another schema version.
    """
    config = _read_config(folder)
    for name in (TRIALS_FILE, CURVES_FILE):
        if not folder.exists(name):
            raise AnalysisError(
                f"a study must hold {name}, got none in {folder}; `sweep` and `analyze` make it "
                "anew from the parts"
            )
    return StudyTables(
        name=folder.name,
        config=config,
        trials=read_table(folder, TRIALS_FILE),
        curves=read_table(folder, CURVES_FILE),
        boxes=read_table(folder, BOXES_FILE) if folder.exists(BOXES_FILE) else _no_boxes(),
    )


def _read_config(folder: ResultsFolder) -> Mapping[str, Any]:
    content = folder.read(STUDY_FILE)
    try:
        config = tomllib.loads(content.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise AnalysisError(
            f"{folder / STUDY_FILE} must be as batchscale wrote it, got: {error}; restore it"
        ) from error
    check_config(str(folder / STUDY_FILE), config)
    return config


def read_table(folder: ResultsFolder, name: str) -> pd.DataFrame:
    """Reads one parquet table with nullable columns, after checking its schema version.

    Args:
        folder: a results folder.
        name: a file in it that `study` wrote.

    Returns:
        The table; integer columns may hold nulls.

    Raises:
        AnalysisError: the file is missing, no parquet table, of another schema version, or holds
            what no study of ours does.
    """
    path, content = folder / name, folder.read(name)
    try:
        table = read_parquet(content)
    except BROKEN_PARQUET as error:
        raise AnalysisError(
            f"{path} must be a parquet table, got: {error}; delete it and run the sweep again"
        ) from error
    version = (table.schema.metadata or {}).get(VERSION_KEY, b"none").decode(errors="replace")
    if version not in READABLE_VERSIONS:
        raise AnalysisError(
            f"{path} must have schema version {', '.join(READABLE_VERSIONS)}, got {version}; "
            "read it with the release that wrote it"
        )
    table = brought_up(table, _COLUMNS[name])
    check_table(str(path), table, _COLUMNS[name])
    return as_frame(table)


def as_frame(table: pa.Table) -> pd.DataFrame:
    """Gives a table as a frame; integer columns may hold nulls."""
    frame: pd.DataFrame = table.to_pandas(types_mapper=_NULLABLE.get)
    return frame


def brought_up(table: pa.Table, columns: Mapping[str, pa.DataType] = TRIAL_COLUMNS) -> pa.Table:
    """Gives a table of an earlier schema version the columns that it did not have yet, as nulls.

    Every trial of a version without roles in its curves came from a search.

    Args:
        table: trials, with or without further columns, or curves.
        columns: those of the present version.

    Returns:
        The table with all of them, in their order, the further ones where they were.
    """
    names = table.column_names
    for place, (name, kind) in enumerate(columns.items()):
        if name in names:
            continue
        filling = pa.repeat(pa.scalar("search", kind), len(table)) if name == "role" else None
        nulls = pa.nulls(len(table), kind)
        after = names.index(list(columns)[place - 1]) + 1 if place else 0
        table = table.add_column(after, pa.field(name, kind), filling or nulls)
        names = table.column_names
    return table


_COLUMNS = {
    TRIALS_FILE: TRIAL_COLUMNS,
    CURVES_FILE: CURVE_COLUMNS,
    BOXES_FILE: BOX_COLUMNS,
    LAYERS_FILE: LAYER_COLUMNS,
}
_NULLABLE = {pa.int64(): pd.Int64Dtype()}
