"""What all imports and exports share: where a study may go, and how its files are written."""

import contextlib
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from analysis.errors import AnalysisError
from analysis.tables.files import write_file
from analysis.tables.folder import ResultsFolder
from analysis.tables.schema import STATUSES, STUDY_FILE
from analysis.tables.study import StudyTables

NO_OPTIMIZER = "unknown-optimizer"
"""Optimizer of runs that do not name one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Imported:
    """A results folder made by an import."""

    folder: ResultsFolder
    sentence: str  # what was imported
    has_target: bool  # whether the study file has a target


def check_new(folder: ResultsFolder) -> None:
    """Refuse a folder that is not empty."""
    if not folder.is_empty:
        raise AnalysisError(
            f"a study must be imported into a folder that is new or empty, got {folder}; "
            "choose another --results, or another --only"
        )


def write_study(folder: ResultsFolder, files: Iterable[tuple[str, "bytes | pa.Buffer"]]) -> None:
    """Write the files of a study with their digests; the study file must be the last of them."""
    name = ""
    for name, content in files:
        write_file(folder, name, content)
    assert name == STUDY_FILE  # without it a folder is not a study


@contextlib.contextmanager
def exporting(place: Path, to: Path) -> Iterator[None]:
    """Refuse to overwrite `place` in the folder `to`, and name that folder if writing fails."""
    if os.path.lexists(place):
        raise AnalysisError(
            f"an export must not overwrite anything, got {place}; choose another --to"
        )
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise AnalysisError(
            f"an export needs a writable folder, got {to}: {error.strerror or error}; choose "
            "another --to"
        ) from error


def imported_counts(trials: pd.DataFrame, measurements: int) -> str:
    """Return how many batch sizes, trials and measurements an imported study has, as text."""
    sizes = trials["batch_size"].nunique()
    return (
        f"{sizes} batch size{'s' * (sizes != 1)}, {len(trials):,} trials "
        f"({status_counts(trials['status'].tolist())}), {measurements:,} measurements"
    )


def imported_rows(study: StudyTables) -> list[dict[str, Any]]:
    """Return the numbers of trials at each batch size, in all and by status, as JSON data."""
    return [
        {
            "batch_size": int(str(size)),
            "trials": len(trials),
            **{status: int(trials["status"].eq(status).sum()) for status in STATUSES},
        }
        for size, trials in study.trials.groupby("batch_size", sort=True)
    ]


def status_counts(statuses: Sequence[str]) -> str:
    """Return how many trials have each status, as text."""
    return ", ".join(f"{count:,} {status}" for status, count in Counter(statuses).items())
