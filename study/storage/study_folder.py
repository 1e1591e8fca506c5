"""The study of a results folder: started, continued, or read."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import tomlkit

from analysis.tables.files import as_written, read_study_file, write_file
from analysis.tables.folder import ResultsFolder
from analysis.tables.nested import leaves
from analysis.tables.schema import PROVENANCE_FILE, STUDY_FILE, TRIALS_FILE
from analysis.tables.validation import check_config
from study.config.sections import ReplicatesConfig, SearchConfig
from study.config.study import ResolvedStudy
from study.config.study_file import refuse_imported, validated
from study.errors import StudyError
from study.storage.parts import part_names

_Section = TypeVar("_Section", SearchConfig, ReplicatesConfig)


def folder_of(study_file: str) -> ResultsFolder | None:
    """Return the results folder whose `study.toml` a path names; None if it is no such file.

    Raises:
        StudyError: the folder's study cannot be run: its file is damaged, or was imported.
    """  # noqa: DOC502  (raised by read_study_toml)
    path = Path(study_file)
    if path.name != STUDY_FILE or not os.path.isfile(path):  # of a name of any length
        return None
    folder = ResultsFolder.at(path.parent)
    # a user's own file may have this name; a sweep or an import has left more than that
    if not any(map(folder.exists, (PROVENANCE_FILE, TRIALS_FILE))) and not part_names(folder):
        return None
    read_study_toml(folder)
    return folder


def open_folder(folder: ResultsFolder, resolved: ResolvedStudy) -> ResolvedStudy:
    """Write `study.toml`; return the study with the batch sizes and trials that the folder has."""
    resolved = continued(folder, resolved)
    data = resolved.as_data()
    # inline, because TOML puts tables last: ranges, and so their columns, would move behind numbers
    space = tomlkit.table()
    for name, entry in data["search"]["space"].items():
        inline = tomlkit.inline_table()
        space.append(name, inline | entry if isinstance(entry, dict) else entry)
    data["search"]["space"] = space
    write_file(folder, STUDY_FILE, tomlkit.dumps(data).encode())
    return resolved


def continued(folder: ResultsFolder, resolved: ResolvedStudy) -> ResolvedStudy:
    """Return a study with the batch sizes and trials that its results folder already has.

    Nothing is written; the folder need not exist.

    Raises:
        StudyError: the folder belongs to another study, or holds other files.
    """
    if not folder.exists(STUDY_FILE):
        if folder.is_empty:
            return resolved
        raise StudyError(
            f"the results folder must be empty or hold a study, got {folder} with other files; "
            "choose another --results"
        )
    there = read_study_toml(folder)
    more = "batch sizes" if resolved.recipe else "batch sizes, trials or replicates"
    differences = _differences(there.identity(), resolved.identity())
    if differences:
        raise StudyError(
            f"{folder} holds another study; a sweep may only add {more} to it, got "
            + "; ".join(differences)
            + "; choose another --results or change the study file back"
        )
    search, replicates = resolved.search, resolved.replicates
    sizes = there.batch_sizes  # a sweep that chooses goes on from those it has
    listed = None
    if not resolved.has_initial_sizes:
        sizes = tuple(sorted({*sizes, *resolved.batch_sizes}))
        listed = there.listed or (True if there.candidates and not resolved.candidates else None)
    return resolved.model_copy(
        update={
            "batch_sizes": sizes,
            "candidates": resolved.candidates or there.candidates,
            "listed": listed,
            "search": _grown(search, there.search, "trials", "extend"),
            "replicates": _grown(replicates, there.replicates, "seeds", "top", "confirm"),
            "granted": resolved.granted or there.granted,
        }
    )


def read_study_toml(folder: ResultsFolder) -> ResolvedStudy:
    """Return the resolved study of a results folder; refuse one that batchscale did not run."""
    data = read_study_file(folder)
    refuse_imported(data, folder)
    check_config(str(folder / STUDY_FILE), data)  # a key that is gone must not take its default
    with as_written(folder, STUDY_FILE):
        return validated(ResolvedStudy, data)


def _grown(here: _Section, there: _Section, *keys: str) -> _Section:
    """Return a section in which each of these numbers is the larger of the two."""
    return here.model_copy(
        update={
            key: max(getattr(here, key) or 0, getattr(there, key) or 0) or getattr(here, key)
            for key in keys
        }
    )


def _differences(there: Mapping[str, Any], here: Mapping[str, Any]) -> list[str]:
    old, new = dict(leaves(there)), dict(leaves(here))
    return [
        f"{key} = {new.get(key)!r} where the folder has {old.get(key)!r}"
        for key in sorted({*old, *new})
        if old.get(key) != new.get(key)
    ]
