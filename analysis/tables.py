"""The tables of a results folder: their schema, and how they are read.

The schema lives here alone; `study.store` writes by it. Every column is explained in
`results/README.md`.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from analysis.errors import AnalysisError
from analysis.folder import ResultsFolder

SCHEMA_VERSION = 2
READABLE_VERSIONS = ("1", "2")
VERSION_KEY = b"batchscale.schema_version"

STUDY_FILE = "study.toml"
TRIALS_FILE = "trials.parquet"
CURVES_FILE = "curves.parquet"

STATUSES = ("reached", "exhausted", "capped", "diverged", "failed")

TRIAL_COLUMNS: Mapping[str, pa.DataType] = {
    "batch_size": pa.int64(),
    "trial": pa.int64(),
    "role": pa.string(),
    "cohort": pa.int64(),
    "seed": pa.int64(),
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
_SINCE_2 = ("training_seconds", "evaluation_seconds", "lanes", "pack", "micro_batch")

CURVE_COLUMNS: Mapping[str, pa.DataType] = {
    "batch_size": pa.int64(),
    "trial": pa.int64(),
    "step": pa.int64(),
    "train_loss": pa.float64(),
    "val_loss": pa.float64(),
    "val_error": pa.float64(),
    "seconds": pa.float64(),
}
"""Columns of `curves.parquet`, one row per measurement, step 0 included."""


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


def hyperparameters(trials: pd.DataFrame) -> tuple[str, ...]:
    """Gives the hyperparameter columns of a table of trials, in their order."""
    return tuple(name for name in trials.columns if name not in TRIAL_COLUMNS)


def _versioned(schema: pa.Schema) -> pa.Schema:
    return schema.with_metadata({VERSION_KEY: str(SCHEMA_VERSION).encode()})


@dataclass(frozen=True, kw_only=True, slots=True)
class StudyTables:
    """A study as analysis sees it.

    Attributes:
        name: name of the results folder.
        config: the resolved study file as plain data.
        trials: one row per trial, columns as `trial_schema`.
        curves: one row per measurement, columns as `curve_schema`.
    """

    name: str
    config: Mapping[str, Any]
    trials: pd.DataFrame
    curves: pd.DataFrame

    @property
    def target(self) -> float:
        """The target that the study raced to."""
        return float(self.config["race"]["target"])

    @property
    def space(self) -> Mapping[str, Mapping[str, Any]]:
        """The searched ranges by hyperparameter: low, high, scale; fixed ones are left out."""
        space: Mapping[str, Any] = self.config["search"]["space"]
        return {name: entry for name, entry in space.items() if isinstance(entry, Mapping)}


def read_study(folder: ResultsFolder) -> StudyTables:
    """Reads the tables of a results folder.

    Args:
        folder: a results folder with study.toml, trials.parquet and curves.parquet.

    Returns:
        The study.

    Raises:
        AnalysisError: a file is missing, or written by another schema version.
    """  # noqa: DOC502  (raised by read_table)
    return StudyTables(
        name=folder.name,
        config=tomllib.loads(folder.read(STUDY_FILE).decode("utf-8")),
        trials=read_table(folder, TRIALS_FILE),
        curves=read_table(folder, CURVES_FILE),
    )


def read_table(folder: ResultsFolder, name: str) -> pd.DataFrame:
    """Reads one parquet table with nullable columns, after checking its schema version.

    Args:
        folder: a results folder.
        name: a file in it that `study` wrote.

    Returns:
        The table; integer columns may hold nulls.

    Raises:
        AnalysisError: the file is missing, no parquet table, or of another schema version.
    """
    path, content = folder / name, folder.read(name)
    try:
        table = pq.read_table(pa.BufferReader(content))
    except pa.ArrowInvalid as error:
        raise AnalysisError(
            f"{path} must be a parquet table, got: {error}; delete it and run the sweep again"
        ) from error
    version = (table.schema.metadata or {}).get(VERSION_KEY, b"none").decode()
    if version not in READABLE_VERSIONS:
        raise AnalysisError(
            f"{path} must have schema version {' or '.join(READABLE_VERSIONS)}, got {version}; "
            "read it with the release that wrote it"
        )
    if "trial" in table.column_names and "role" in table.column_names:
        table = brought_up(table)
    frame: pd.DataFrame = table.to_pandas(types_mapper=_NULLABLE.get)
    return frame


def brought_up(trials: pa.Table) -> pa.Table:
    """Gives a table of trials the columns that its schema version did not have yet, as nulls."""
    for name in _SINCE_2:
        if name not in trials.column_names:
            place = trials.column_names.index("message")
            nulls = pa.nulls(len(trials), TRIAL_COLUMNS[name])
            trials = trials.add_column(place, pa.field(name, TRIAL_COLUMNS[name]), nulls)
    return trials


_NULLABLE = {pa.int64(): pd.Int64Dtype()}
