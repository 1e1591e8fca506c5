"""Imports finished runs as results folders, one per workload and optimizer."""

import hashlib
import os
import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import tomlkit

from analysis.errors import AnalysisError
from analysis.fitting.estimates import counted
from analysis.runs.checked import Runs, checked_runs, listed
from analysis.runs.columns import Units
from analysis.runs.conversion import convert
from analysis.runs.readers.table_files import READERS
from analysis.runs.rows import Rows
from analysis.runs.sources import DATABASES, join_runs, reader_of
from analysis.runs.space import Space, check_space, space_of
from analysis.tables.files import as_parquet
from analysis.tables.folder import ResultsFolder
from analysis.tables.imported import NO_OPTIMIZER, Imported, check_new, status_counts, write_study
from analysis.tables.schema import COLUMNS, STATUSES, STUDY_FILE, TRIALS_FILE
from analysis.tables.validation import check_config, check_table

_MAX_BYTES = 100  # of a folder's name


@dataclass(frozen=True, kw_only=True, slots=True)
class Choices:
    """What is imported, and how its columns and numbers are read.

    Attributes:
        mapping: columns by the names that batchscale uses.
        units: what steps count.
        only: pattern that the names of the results folders must match.
        target: validation error to get below; None for the column of that name, if there is one.
        metric: what becomes the error, one of `columns.METRICS`; None for the first present.
        space: ranges that the points were drawn from evenly; empty if unknown.
        join: table of one row per run, whose columns are added by run.
        file: the file that is read, if it is one; its digest is recorded.
    """

    mapping: Mapping[str, str] = field(default_factory=dict)
    units: Units = field(default_factory=Units)
    only: str = "*"
    target: float | None = None
    metric: str | None = None
    space: Space = field(default_factory=dict)
    join: Path | None = None
    file: Path | None = None


def import_runs(source: str, results: ResultsFolder, choices: Choices) -> list[Imported]:
    """Make a results folder for each workload and optimizer of finished runs.

    Nothing is written unless everything could be read. The source is a table, a tracker's folder or
    file, or `wandb:entity/project`.

    Returns:
        The folders made.

    Raises:
        AnalysisError: the runs cannot be read, contradict each other, or a folder is taken.
    """
    reader = reader_of(source)
    if reader is None:
        raise AnalysisError(
            f"finished runs must be a table ({', '.join(READERS)}), MLflow's mlruns or .db, a "
            f"folder of event files, or wandb:entity/project, got {source}; check the path"
        )
    rows = reader(source, choices.mapping)
    file = Path(source) if os.path.isfile(source) else None
    return import_rows(rows, source, results, replace(choices, file=file))


def import_rows(
    rows: Rows, source: str, results: ResultsFolder, choices: Choices
) -> list[Imported]:
    """Make results folders from rows in memory, as `import_runs` does.

    Returns:
        The folders made.

    Raises:
        AnalysisError: the runs contradict each other, or a folder is taken.
    """
    if choices.join is not None:
        rows = join_runs(rows, choices.join, choices.mapping)
    runs = checked_runs(rows, choices.mapping, choices.units, choices.metric)
    made = list(_studies(source, rows, runs, results, choices))
    if not made:
        raise AnalysisError(
            f"the runs must have a study whose name matches --only, got none in {source} for "
            f"{choices.only!r}"
        )
    for imported, files in made:
        write_study(imported.folder, files.items())
    return [imported for imported, _ in made]


def _studies(
    source: str, rows: Rows, runs: Runs, results: ResultsFolder, choices: Choices
) -> Iterator[tuple[Imported, Mapping[str, Any]]]:
    """Yield each study with the content of its files, the study file last."""
    frame = runs.runs
    names = [frame["workload"].fillna(_folder_name(_stem(source))), frame["optimizer"].fillna("")]
    taken: set[str] = set()
    for key, part in frame.groupby(names, sort=False):
        workload, optimizer = map(str, key)
        name = _folder_name("-".join(filter(None, (workload, optimizer))))
        if name in taken:
            raise AnalysisError(
                "workloads and optimizers must have names that differ in more than punctuation, "
                f"got two studies {name} in {rows.where}; rename one"
            )
        taken.add(name)
        if not fnmatchcase(name, choices.only):
            continue
        folder = results / name
        check_new(folder)
        own = _study_runs(runs, part)
        target = _target(rows, own, choices.target)
        _check_outcomes(rows, own, target)
        check_space(rows, own, choices.space)
        tables = convert(own, choices.space, target)
        config = {
            "workload": workload,
            "optimizer": optimizer or NO_OPTIMIZER,
            **_config(source, own, choices, target),
        }
        # refuse now what no command could read back
        check_config(str(folder / STUDY_FILE), config)
        for file, table in tables.items():
            check_table(str(folder / file), table, COLUMNS[file])
        files: dict[str, Any] = {file: as_parquet(table) for file, table in tables.items()}
        files[STUDY_FILE] = tomlkit.dumps(config).encode()
        sentence = f"{folder}: {_sentence(own, tables[TRIALS_FILE], choices)}"
        yield Imported(folder=folder, sentence=sentence, has_target=target is not None), files


def _config(source: str, runs: Runs, choices: Choices, target: float | None) -> dict[str, Any]:
    """Return the study file except workload and optimizer."""
    return {
        "batch_sizes": sorted(runs.runs["batch_size"].astype(int).unique().tolist()),
        "adaptive": not choices.space,
        "imported": _record(source, runs, choices),
        "search": {"space": space_of(runs, choices.space)},
        # curves can be judged at any target, steps only at the one they were counted to
        "race": {
            "to": "budget" if runs.measured else "target",
            "quantity": "loss" if runs.metric == "val_loss" else "error",
            **({} if target is None else {"target": target}),
        },
    }


def _stem(source: str) -> str:
    """Return the name of a file without its suffix, of a folder, or of a project."""
    name = Path(source).name
    for suffix in (".gz", *READERS, *DATABASES):
        name = name.removesuffix(suffix)
    return name


def _folder_name(text: str) -> str:
    """Return a text as a folder name that any file system allows."""
    name = re.sub(r"[^\w.+-]+", "-", unicodedata.normalize("NFC", text)).strip("-.")
    return name.encode()[:_MAX_BYTES].decode(errors="ignore") or "runs"


def _study_runs(runs: Runs, part: pd.DataFrame) -> Runs:
    """Return the runs of one study, numbered from 0, without hyperparameters that none has."""
    places = pd.Series(range(len(part)), index=part.index)
    curves = runs.curves[runs.curves["run"].isin(part.index)]
    return replace(
        runs,
        runs=part.reset_index(drop=True),
        curves=curves.assign(run=curves["run"].map(places)),
        hyperparameters=tuple(n for n in runs.hyperparameters if part[n].notna().any()),
    )


def _target(rows: Rows, runs: Runs, given: float | None) -> float | None:
    stated = runs.runs[runs.runs["target"].notna()]
    target = given if given is not None else next(iter(stated["target"].tolist()), None)
    if target is not None and (given is None or not runs.measured):
        differ = stated[stated["target"] != target]
        rows.refuse_any(differ, f"a study must have one target, {target:g}", "{target:g}")
    if target is None and not runs.measured:
        raise AnalysisError(
            "steps to target need the target that they were counted to, got none for "
            f"{rows.where}; give --target"
        )
    if target is not None and not 0 < target < float("inf"):
        raise AnalysisError(f"a target must be a finite number above 0, got {target:g}")
    if target is not None and runs.measured and runs.metric != "val_loss" and target >= 1:
        raise AnalysisError(
            f"a target of {runs.metric} must be an error below 1, got {target:g}; write "
            f"{target / 100:g} for {target:g} %, or choose --metric val_loss"
        )
    return target


def _check_outcomes(rows: Rows, runs: Runs, target: float | None) -> None:
    """Refuse steps that the lowest error contradicts, and a target that all runs start below."""
    if target is None:
        return
    if runs.measured:
        first = runs.curves.groupby("run")["val_error"].first()
        if len(first) and (first < target).all():
            accuracy = ""
            if runs.metric == "val_accuracy":
                accuracy = f"; for an accuracy of {target:g}, write --target {1 - target:g}"
            raise AnalysisError(
                f"a target must not be met from the start, got {target:g}, which every run of "
                f"{rows.where} meets at its first measurement; give a tighter one{accuracy}"
            )
        return
    frame = runs.runs
    below = frame["best_error"] < target
    wrong = frame[frame["best_error"].notna() & (below != frame["steps"].notna())]
    rows.refuse_any(
        wrong,
        f"a run must have steps where its best_error is below the target, {target:g}, and "
        "nowhere else",
        "best_error {best_error:g}, steps {steps:g}",
    )


def _record(source: str, runs: Runs, choices: Choices) -> dict[str, Any]:
    """Return the section `[imported]`: the origin of the runs, and how they were read."""
    record = {
        "origin": Path(source).name or source,
        "sha256": choices.file and hashlib.sha256(choices.file.read_bytes()).hexdigest(),
        "metric": runs.metric,
        "columns": dict(choices.mapping) or None,
        "step_unit": choices.units.step,
        "tokens_per_example": choices.units.tokens_per_example,
        "counted_statuses": list(STATUSES),
    }
    return {key: value for key, value in record.items() if value is not None}


def _sentence(runs: Runs, trials: pa.Table, choices: Choices) -> str:
    repeats = trials["role"].to_pylist().count("replicate")
    text = (
        f"{counted(runs.runs['batch_size'].nunique(), 'batch sizes')}, "
        f"{counted(f'{len(trials):,}', 'runs')} "
        f"({status_counts(trials['status'].to_pylist())}), {len(runs.curves):,} "
        f"measurements of {runs.metric}; hyperparameters: "
        f"{', '.join(runs.hyperparameters) or 'none known'}; {repeats:,} replicates"
    )
    if runs.quantities:
        text += f"; further quantities: {listed(runs.quantities)}"
    if not_finite := runs.runs["not_finite"].sum():
        text += f"; measurements left out for not being finite: {not_finite:,}"
    if not choices.space:
        text += "; without --space, the searched ranges and under-tuning are unknown"
    return "; ".join((text, *runs.remarks))
