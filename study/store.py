"""The results folder: parts are the only truth, every table is derived from them."""

import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq
import tomlkit

from analysis.folder import ResultsFolder
from analysis.schema import (
    BOXES_FILE,
    CURVES_FILE,
    STUDY_FILE,
    TRIALS_FILE,
    box_schema,
    curve_schema,
    trial_schema,
)
from study.config import ResolvedStudy
from study.curve_columns import curve_table
from study.errors import StudyError
from study.judgement import final_results
from study.parts import parts_by_size, read_part, trial_row, write_table
from study.records import Role, TrialResult
from study.sections import ReplicatesConfig, SearchConfig
from study.space import Range

Ended = tuple[int, str, str]
"""A trial's batch size, status and message."""
_Regions = Mapping[tuple[int, int], Mapping[str, tuple[float, float]]]
_ROLES = list(Role)
_Section = TypeVar("_Section", SearchConfig, ReplicatesConfig)


def open_folder(folder: ResultsFolder, study: ResolvedStudy) -> ResolvedStudy:
    """Makes a results folder ready for a study, new or continued.

    Batch sizes and trials that the folder already has stay in the study.

    Args:
        folder: the study's own folder; need not exist.
        study: what is to run.

    Returns:
        The study with what the folder already holds added.
    """
    study = continued(folder, study)
    folder.write(STUDY_FILE, _as_toml(study).encode())
    return study


def continued(folder: ResultsFolder, study: ResolvedStudy) -> ResolvedStudy:
    """Gives what a study becomes in a results folder, and writes nothing.

    Args:
        folder: the study's own folder; need not exist.
        study: what is to run.

    Returns:
        The study with what the folder already holds added.

    Raises:
        StudyError: the folder belongs to another study, or holds other things.
    """
    if folder.exists(STUDY_FILE):
        return _continued(study, read_study_toml(folder), folder)
    if not folder.is_empty:
        raise StudyError(
            f"the results folder must be empty or hold a study, got {folder} with other files; "
            "choose another --results"
        )
    return study


def _as_toml(study: ResolvedStudy) -> str:
    data = study.as_data()
    # TOML puts tables last: as such, ranges would move behind what is fixed, and so their columns
    space = tomlkit.table()
    for name, entry in data["search"]["space"].items():
        inline = tomlkit.inline_table()
        space.append(name, inline | entry if isinstance(entry, dict) else entry)
    data["search"]["space"] = space
    return tomlkit.dumps(data)


def read_study_toml(folder: ResultsFolder) -> ResolvedStudy:
    """Reads the resolved study of a results folder.

    Args:
        folder: a results folder.

    Returns:
        The study as it ran.

    Raises:
        StudyError: it is not a resolved study.
    """
    content = folder.read(STUDY_FILE)
    try:
        data = tomllib.loads(content.decode("utf-8"))
        if "imported" in data:
            raise StudyError(
                f"a sweep must be of a study that batchscale ran, got one from an archive in "
                f"{folder}; use `analyze`, or another folder"
            )
        return ResolvedStudy.model_validate(data)
    except StudyError:
        raise
    except (ValueError, RecursionError) as error:
        raise StudyError(
            f"{folder / STUDY_FILE} must be as batchscale wrote it, got: {error}; "
            "restore it, or start anew in another folder"
        ) from error


def _continued(study: ResolvedStudy, there: ResolvedStudy, folder: ResultsFolder) -> ResolvedStudy:
    more = "batch sizes" if study.recipe else "batch sizes, trials or replicates"
    differences = _differences(there.identity(), study.identity())
    if differences:
        raise StudyError(
            f"{folder} holds another study; a sweep may only add {more} to it, got "
            + "; ".join(differences)
            + "; choose another --results or change the study file back"
        )
    search, replicates = study.search, study.replicates
    return study.model_copy(
        update={
            "batch_sizes": tuple(sorted({*there.batch_sizes, *study.batch_sizes})),
            "search": _grown(search, there.search, "trials", "extend"),
            "replicates": _grown(replicates, there.replicates, "seeds", "top"),
        }
    )


def _grown(here: _Section, there: _Section, *keys: str) -> _Section:
    """Gives a section in which these numbers are as large as in either."""
    return here.model_copy(
        update={key: max(getattr(here, key), getattr(there, key)) for key in keys}
    )


def _differences(there: Mapping[str, Any], here: Mapping[str, Any], at: str = "") -> list[str]:
    found = []
    for key in sorted({*there, *here}):
        old, new = there.get(key), here.get(key)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            found += _differences(old, new, f"{at}{key}.")
        elif old != new:
            found.append(f"{at}{key} = {new!r} where the folder has {old!r}")
    return found


def read_parts(folder: ResultsFolder, study: ResolvedStudy) -> Iterator[TrialResult]:
    """Reads every part, sorted by batch size, role and trial, each trial once.

    Args:
        folder: the results folder.
        study: the study that they belong to.

    Yields:
        All recorded trials; those of one batch size are in memory at a time.
    """
    for names in parts_by_size(folder).values():
        yield from _read(folder, study, names)


def read_parts_at(
    folder: ResultsFolder, study: ResolvedStudy, batch_size: int
) -> list[TrialResult]:
    """Reads the parts of one batch size, sorted by role and trial, each trial once."""
    return _read(folder, study, parts_by_size(folder).get(batch_size, []))


def _read(folder: ResultsFolder, study: ResolvedStudy, names: Iterable[str]) -> list[TrialResult]:
    """Reads parts of one batch size, sorted by role and trial, each trial once."""
    results: dict[tuple[int, int], TrialResult] = {}
    for name in names:
        for result in read_part(folder, name, study):
            role = _ROLES.index(result.point.role)
            results.setdefault((role, result.point.trial), result)
    return [results[key] for key in sorted(results)]


def consolidate(folder: ResultsFolder, study: ResolvedStudy) -> list[Ended]:
    """Writes `trials.parquet`, `curves.parquet` and `boxes.parquet` from the parts.

    One batch size is in memory at a time.

    Args:
        folder: the results folder.
        study: its study.

    Returns:
        Batch size, status and message of every trial, as the tables have them.
    """
    regions: dict[tuple[int, int], Mapping[str, tuple[float, float]]] = {}
    ended: list[Ended] = []
    files = pa.BufferOutputStream(), pa.BufferOutputStream()
    schemas = trial_schema(study.hyperparameters), curve_schema()
    with (
        pq.ParquetWriter(files[0], schemas[0], compression="zstd") as trials,
        pq.ParquetWriter(files[1], schemas[1], compression="zstd") as curves,
    ):
        for names in parts_by_size(folder).values():
            results = final_results(study, _read(folder, study, names))
            trials.write_table(_trial_table(study, results))
            curves.write_table(curve_table(results))
            regions.update(_regions(results))
            ended += [(r.batch_size, str(r.outcome.status), r.message) for r in results]
    for name, file in zip((TRIALS_FILE, CURVES_FILE), files, strict=True):
        folder.write(name, file.getvalue())
    write_table(folder, BOXES_FILE, _box_table(study, regions))
    return ended


def tables_of(study: ResolvedStudy, results: Sequence[TrialResult]) -> dict[str, pa.Table]:
    """Gives the tables that a study's trials make, by the names of their files.

    Args:
        study: the study.
        results: all its trials, finally judged.

    Returns:
        `trials.parquet`, `curves.parquet` and `boxes.parquet`.
    """
    return {
        TRIALS_FILE: _trial_table(study, results),
        CURVES_FILE: curve_table(results),
        BOXES_FILE: _box_table(study, _regions(results)),
    }


def _trial_table(study: ResolvedStudy, results: Sequence[TrialResult]) -> pa.Table:
    rows = [trial_row(result) for result in results]
    return pa.Table.from_pylist(rows, schema=trial_schema(study.hyperparameters))


def _regions(results: Iterable[TrialResult]) -> _Regions:
    return {
        (result.batch_size, result.region.number): result.region.box
        for result in results
        if result.region is not None
    }


def _box_table(study: ResolvedStudy, regions: _Regions) -> pa.Table:
    ranges = {n: entry for n, entry in study.search.space.items() if isinstance(entry, Range)}
    whole = {n: (r.low, r.high) for n, r in ranges.items()}
    boxes = {(size, 0): whole for size in study.searched} | dict(regions)
    rows = [
        {
            "batch_size": size,
            "region": region,
            "hyperparameter": name,
            "low": low,
            "high": high,
            "scale": str(ranges[name].scale),
        }
        for (size, region), box in sorted(boxes.items())
        for name, (low, high) in box.items()
    ]
    return pa.Table.from_pylist(rows, schema=box_schema())
