"""The study of a results folder: start, continue or read it."""

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
    """Return the results folder whose `study.toml` a path names; None for any other path.

    A study that cannot be run, because its file is damaged or was imported, is refused.
    """
    path = Path(study_file)
    if path.name != STUDY_FILE or not os.path.isfile(path):  # unlike pathlib, takes any length
        return None
    folder = ResultsFolder.at(path.parent)
    # a user's own file may have this name; a sweep or an import leaves more than that
    if not any(map(folder.exists, (PROVENANCE_FILE, TRIALS_FILE))) and not part_names(folder):
        return None
    read_study_toml(folder)
    return folder


def open_folder(folder: ResultsFolder, resolved: ResolvedStudy) -> ResolvedStudy:
    """Return a study merged with what its folder already has, after writing `study.toml`."""
    resolved = continued(folder, resolved)
    data = resolved.as_data()
    # inline, because TOML puts tables last, which would reorder hyperparameters and their columns
    space = tomlkit.table()
    for name, entry in data["search"]["space"].items():
        inline = tomlkit.inline_table()
        space.append(name, inline | entry if isinstance(entry, dict) else entry)
    data["search"]["space"] = space
    write_file(folder, STUDY_FILE, tomlkit.dumps(data).encode())
    return resolved


def continued(folder: ResultsFolder, resolved: ResolvedStudy) -> ResolvedStudy:
    """Return a study merged with the batch sizes and trials that its results folder already has.

    Nothing is written; the folder need not exist.

    Raises:
        StudyError: the folder belongs to another study, or contains other files.
    """
    if not folder.exists(STUDY_FILE):
        if folder.is_empty:
            return resolved
        raise StudyError(
            f"the results folder must be empty or contain a study, got {folder} with other files; "
            "choose another --results"
        )
    recorded = read_study_toml(folder)
    more = "batch sizes" if resolved.recipe else "batch sizes, trials or replicates"
    differences = _differences(recorded.identity(), resolved.identity())
    if differences:
        raise StudyError(
            f"{folder} contains another study; a sweep may only add {more} to it, got "
            f"{'; '.join(differences)}; choose another --results or change the study file back"
        )
    sizes = recorded.batch_sizes  # from these, a sweep that chooses its batch sizes continues
    listed = None
    if not resolved.has_initial_sizes:
        sizes = tuple(sorted({*sizes, *resolved.batch_sizes}))
        only_recorded = recorded.candidates and not resolved.candidates
        listed = recorded.listed or (True if only_recorded else None)
    replicates = _larger(resolved.replicates, recorded.replicates, "seeds", "top", "confirm")
    return resolved.model_copy(
        update={
            "batch_sizes": sizes,
            "candidates": resolved.candidates or recorded.candidates,
            "listed": listed,
            "search": _larger(resolved.search, recorded.search, "trials", "extend"),
            "replicates": replicates,
            "granted": resolved.granted or recorded.granted,
        }
    )


def read_study_toml(folder: ResultsFolder) -> ResolvedStudy:
    """Return the resolved study of a results folder; refuse one that batchscale did not run."""
    data = read_study_file(folder)
    refuse_imported(data, folder)
    check_config(str(folder / STUDY_FILE), data)  # a lost key must not take its default
    with as_written(folder, STUDY_FILE):
        return validated(ResolvedStudy, data)


def _larger(section: _Section, other: _Section, *keys: str) -> _Section:
    """Return a section in which each of these numbers is the larger of the two."""
    return section.model_copy(
        update={
            key: max(getattr(section, key) or 0, getattr(other, key) or 0) or getattr(section, key)
            for key in keys
        }
    )


def _differences(recorded: Mapping[str, Any], resolved: Mapping[str, Any]) -> list[str]:
    old, new = dict(leaves(recorded)), dict(leaves(resolved))
    return [
        f"{key} = {new.get(key)!r} where the folder has {old.get(key)!r}"
        for key in sorted({*old, *new})
        if old.get(key) != new.get(key)
    ]
