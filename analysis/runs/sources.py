"""The kinds of sources of finished runs, and the reader of each."""

import os
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pandas as pd

from analysis.errors import AnalysisError
from analysis.runs.columns import ALIASES
from analysis.runs.readers.event_files import read_event_files
from analysis.runs.readers.mlflow_store import read_mlflow_database, read_mlflow_folder
from analysis.runs.readers.table_files import READERS, is_table, melt_chart, read_table_of_runs
from analysis.runs.readers.wandb_api import read_wandb
from analysis.runs.rows import Rows

Reader = Callable[[str, Mapping[str, str]], Rows]
WANDB = "wandb:"
DATABASES = (".db", ".sqlite", ".sqlite3")
"""Suffixes of SQLite files."""


def reader_of(source: str) -> Reader | None:
    """Return the reader of a source; None if it is no source of runs, such as an archive.

    A reader takes the source and the mapping of columns, and reads only the columns it needs.
    """
    return next((read for is_one, read in _KINDS if is_one(source)), None)


def may_be_archive(source: str) -> bool:
    """Return whether a source that has no reader here may be a folder or a tar file."""
    path, tars = Path(source), {".tar", ".tgz", ".tbz2", ".txz"}
    # for a text that cannot be a path, os.path returns False and pathlib raises
    return not os.path.isfile(source) or bool(tars & set(path.suffixes)) or _is_tar(path)


def _is_tar(path: Path) -> bool:
    try:
        return not path.suffix and tarfile.is_tarfile(path)
    except OSError:
        return False


def join_runs(rows: Rows, table: Path, mapping: Mapping[str, str]) -> Rows:
    """Return rows with the further columns of a table of one row per run, joined by run.

    Raises:
        AnalysisError: one of them has no column for the run, or the table lacks or repeats a run.
    """
    if not is_table(table):
        raise AnalysisError(f"--join must be a table, {', '.join(READERS)}, got {table}")
    more = read_table_of_runs(table)
    key, other = _run_column(rows, mapping), _run_column(more, mapping)
    runs, ids = rows.texts(key), more.texts(other)
    if ids.duplicated().any():
        row = ids.index[ids.duplicated()][0]
        more.refuse("--join must have one row per run", f"{ids[row]!r} twice", [row])
    missing = runs.index[~runs.isin(set(ids.dropna()))]
    if len(missing):
        rows.refuse(f"every run must be in {table}", f"{runs[missing[0]]!r}", [missing[0]])
    new = more.frame.set_axis(ids)[[n for n in more.frame.columns if n not in (*rows.names, other)]]
    added = new.reindex(runs).set_axis(rows.frame.index).astype(object)
    frame = pd.concat([rows.frame.rename(columns={key: "run"}), added], axis="columns")
    return Rows(where=rows.where, frame=frame, label=rows.label, remarks=rows.remarks)


def _run_column(rows: Rows, mapping: Mapping[str, str]) -> str:
    for name in (mapping.get("run", ""), "run", *ALIASES["run"]):
        if name in rows.names:
            return name
    raise AnalysisError(
        f"--join needs a column that names the run, got {', '.join(rows.names)} in {rows.where}; "
        "say which with --columns run=column"
    )


def _refuse_wandb_files(source: str, mapping: Mapping[str, str]) -> Rows:
    raise AnalysisError(
        f"local files of Weights & Biases cannot be read, got {source}; run `wandb sync` and "
        "import wandb:entity/project, or a CSV export of its table of runs"
    )


def _has_files(pattern: str) -> Callable[[str], bool]:
    """Return a predicate: whether a source is a folder with files that match a pattern."""
    return lambda source: os.path.isdir(source) and any(Path(source).glob(pattern))


_KINDS: tuple[tuple[Callable[[str], bool], Reader], ...] = (
    (lambda source: source.startswith(WANDB), lambda s, m: read_wandb(s.removeprefix(WANDB), m)),
    (is_table, lambda source, _: melt_chart(read_table_of_runs(Path(source)))),
    (lambda s: Path(s).suffix in DATABASES, lambda s, m: read_mlflow_database(Path(s), m)),
    (_has_files("*/meta.yaml"), lambda s, m: read_mlflow_folder(Path(s), m)),
    (_has_files("**/*.tfevents.*"), lambda s, m: read_event_files(Path(s), m)),
    (_has_files("**/run-*.wandb"), _refuse_wandb_files),
)
"""How to recognize each kind of source, and its reader."""
