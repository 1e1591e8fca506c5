"""The studies of one file as written, with everything refused that needs no slow import.

Nobody who mistypes a key or a path should wait seconds for torch and Ray.
"""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from analysis.tables.files import DIGEST_SUFFIX, read_file
from analysis.tables.folder import ResultsFolder
from analysis.tables.schema import STUDY_FILE
from batchscale.errors import BatchscaleError
from study.config.grid import Member, read_members
from study.config.study import RECORDED_KEYS, StudyConfig
from study.config.study_file import refuse_imported, validated
from study.errors import StudyError
from study.storage.study_folder import folder_of
from workloads.errors import WorkloadError
from workloads.registry import refuse_unknown

T = TypeVar("T")


def members_in(source: str, settings: Sequence[str]) -> list[Member]:
    """Return the studies that a study file or the name of a workload describes."""
    path = Path(source)
    if os.path.isfile(path / STUDY_FILE):
        _refuse_folder(path, source)
    if path.name == STUDY_FILE and os.path.isfile(f"{path}{DIGEST_SUFFIX}"):
        read_file(ResultsFolder.at(path.parent), STUDY_FILE)  # refuses bytes that have changed
    folder_of(source)  # says so if its study cannot be run
    members = read_members(source, settings)
    for member in members:
        refuse_imported(member.data, path.parent)
    for_each(members, _check)
    return members


def _refuse_folder(path: Path, source: str) -> None:
    """Refuse a results folder, unless it has the name of a workload."""
    try:
        refuse_unknown(source)
    except WorkloadError as error:
        folder_of(str(path / STUDY_FILE))  # says so if its study cannot be run
        raise StudyError(
            f"a study must be a file or the name of a workload, got the folder {source}; give "
            f"{path / STUDY_FILE} to run what its study lacks"
        ) from error


def _check(member: Member) -> None:
    written = {key: value for key, value in member.data.items() if key not in RECORDED_KEYS}
    refuse_unknown(validated(StudyConfig, written).workload)


def for_each(members: Sequence[Member], work: Callable[[Member], T]) -> list[T]:
    """Return the result of `work` for every study; refuse with all messages, each once."""
    results: list[T] = []
    refused: dict[str, list[str]] = {}
    for member in members:
        try:
            results.append(work(member))
        except BatchscaleError as error:
            for line in str(error).splitlines():
                refused.setdefault(line, []).append(member.name or "the study")
    if refused:
        lines = [_with_names(line, names, len(members)) for line, names in refused.items()]
        raise StudyError("\n".join(lines))
    return results


def _with_names(line: str, names: Sequence[str], count: int) -> str:
    if len(names) == count:
        return line
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return f"in {names[0]}{more}: {line}"
