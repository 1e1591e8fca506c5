"""The tables of a results folder, as analysis reads them."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
import pyarrow as pa

from analysis.errors import AnalysisError
from analysis.tables.folder import ResultsFolder
from analysis.tables.schema import (
    BOXES_FILE,
    COLUMNS,
    CURVES_FILE,
    READABLE_VERSIONS,
    STATUSES,
    STUDY_FILE,
    TRIALS_FILE,
    VERSION_KEY,
    box_schema,
    brought_up,
)
from analysis.tables.validation import BROKEN_PARQUET, check_config, check_table, read_parquet

_NULLABLE = {pa.int64(): pd.Int64Dtype()}


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
    def adaptive(self) -> bool:
        """Whether the sampler learns from earlier trials, so that later ones are better."""
        return bool(self.config.get("adaptive", False))

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
    table = brought_up(table, COLUMNS[name])
    check_table(str(path), table, COLUMNS[name])
    return as_frame(table)


def as_frame(table: pa.Table) -> pd.DataFrame:
    """Gives a table as a frame; integer columns may hold nulls."""
    frame: pd.DataFrame = table.to_pandas(types_mapper=_NULLABLE.get)
    return frame
