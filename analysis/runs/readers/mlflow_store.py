"""MLflow's local stores, read without MLflow: the folder `mlruns` and the SQLite database.

An experiment becomes a workload; the parameters and the name of a run become columns.
"""

import re
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from analysis.errors import AnalysisError
from analysis.runs.readers.tracked import Curve, TrackedRun, tracked_rows, wanted
from analysis.runs.rows import Rows
from batchscale.files import checked_size, read_file

_MAX_BYTES = 2**28
_MAX_BYTES_OF_DATABASE = 2**36
_STATUSES = {"1": "running", "2": "scheduled", "3": "finished", "4": "failed", "5": "killed"}
_LINE = re.compile(r"^(\w+): *(.*?) *$", re.MULTILINE)
_DELETED = "deleted"


def read_mlflow_folder(folder: Path, mapping: Mapping[str, str]) -> Rows:
    """Return the runs in a folder `mlruns`.

    Raises:
        AnalysisError: a file cannot be read, or MLflow did not write it.
    """
    try:
        return tracked_rows(str(folder), _of_files(folder, mapping), mapping)
    except AnalysisError:
        raise
    except (OSError, ValueError) as error:  # of the file system, or text that is not UTF-8
        raise AnalysisError(
            f"an MLflow folder must be as MLflow writes it, got {folder}: {error}; check the path"
        ) from error


def _of_files(folder: Path, mapping: Mapping[str, str]) -> Iterator[TrackedRun]:
    names = wanted(mapping)
    for meta in sorted(folder.glob("*/*/meta.yaml")):
        found, run = _meta(meta), meta.parent
        if not found:
            raise AnalysisError(f"a run must have keys in {meta}, got none; remove the run")
        if "run_id" not in found or found.get("lifecycle_stage") == _DELETED:
            continue
        experiment = _meta(run.parent / "meta.yaml")
        metrics = run / "metrics"
        yield TrackedRun(
            settings={
                **{name: _text(path).strip() for name, path in _files(run / "params")},
                "run": found["run_id"],
                "Name": found.get("run_name"),
                "workload": experiment.get("name"),
                "status": _STATUSES.get(found.get("status", "")),
            },
            curves={name: _curve(path) if name in names else () for name, path in _files(metrics)},
        )


def _meta(path: Path) -> dict[str, str]:
    return {key: value.strip("'\"") for key, value in _LINE.findall(_text(path))}


def _files(folder: Path) -> list[tuple[str, Path]]:
    """Return the files of a folder and its subfolders, by their names with slashes."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return [(path.relative_to(folder).as_posix(), path) for path in paths]


def _text(path: Path) -> str:
    return read_file(path, _MAX_BYTES).decode("utf-8")


def _curve(path: Path) -> Curve:
    """Return the curve in a file of lines with time, value and step."""
    try:
        cells = [line.split() for line in _text(path).splitlines() if line.strip()]
        return [(float(row[2]), float(row[1])) for row in cells]
    except (ValueError, IndexError) as error:
        raise AnalysisError(
            f"a metric must have lines of time, value and step, got others in {path}: {error}; "
            "correct it"
        ) from error


_RUNS = """
SELECT r.run_uuid, r.name, r.status, e.name FROM runs r JOIN experiments e USING (experiment_id)
WHERE r.lifecycle_stage != 'deleted' ORDER BY r.start_time, r.run_uuid
"""
_PARAMETERS = "SELECT key, value FROM params WHERE run_uuid = ? ORDER BY key"
_METRICS = "SELECT DISTINCT key FROM metrics WHERE run_uuid = ? ORDER BY key"
_VALUES = """
SELECT step, CASE WHEN is_nan THEN NULL ELSE value END FROM metrics
WHERE run_uuid = ? AND key = ? ORDER BY timestamp, step
"""


def read_mlflow_database(file: Path, mapping: Mapping[str, str]) -> Rows:
    """Return the runs of MLflow's SQLite database.

    Raises:
        AnalysisError: the file is not such a database.
    """
    try:
        checked_size(file, _MAX_BYTES_OF_DATABASE)
        # read-only: the file is neither created nor migrated
        with closing(sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True)) as database:
            return tracked_rows(str(file), _of_database(database, mapping), mapping)
    except (sqlite3.Error, OSError) as error:
        raise AnalysisError(
            f"an MLflow database must be SQLite as MLflow writes it, got {file}: {error}; check "
            "the path, or give the folder mlruns"
        ) from error


def _of_database(database: sqlite3.Connection, mapping: Mapping[str, str]) -> Iterator[TrackedRun]:
    names = wanted(mapping)
    for run, name, status, experiment in database.execute(_RUNS).fetchall():
        metrics = [key for (key,) in database.execute(_METRICS, (run,))]
        settings: dict[str, Any] = {
            **dict(database.execute(_PARAMETERS, (run,))),
            "run": run,
            "Name": name,
            "workload": experiment,
            "status": status,
        }
        yield TrackedRun(
            settings=settings,
            curves={key: _values(database, run, key) if key in names else () for key in metrics},
        )


def _values(database: sqlite3.Connection, run: str, key: str) -> Curve:
    rows = database.execute(_VALUES, (run, key))
    return [(step, float("nan") if value is None else value) for step, value in rows]
