"""The searches as a journal file for `optuna-dashboard`, derived from the results."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import BaseJournalBackend

from study.records import Role, TrialResult
from study.search.sampler import Search


class Journal:
    """A journal that grows with the results."""

    def __init__(self, path: Path) -> None:
        """Start a new journal; an old file is replaced."""
        for old in (path, path.with_name(f"{path.name}.lock")):  # a killed sweep may have locked it
            old.unlink(missing_ok=True)
        self._lines = _Lines(path)
        self._names: set[str] = set()

    def add(self, search: Search, results: Sequence[TrialResult]) -> None:
        """Add finished trials of one batch size that belong to its search."""
        apart = {Role.REPLICATE, Role.RECIPE}
        results = [result for result in results if result.point.role not in apart]
        if not results:
            return
        # a storage keeps all trials it has seen, so each add has one of its own
        storage = JournalStorage(self._lines)
        name = f"batch size {results[0].batch_size}"
        # `load_if_exists` would log another attempt to create the study at each cohort
        begin = optuna.load_study if name in self._names else optuna.create_study
        search_study = begin(storage=storage, study_name=name)
        self._names.add(name)
        studies = len(self._lines.known)
        search_study.add_trials(search.frozen(results))
        self._lines.write()
        del self._lines.known[studies:]


class _Lines(BaseJournalBackend):
    """Lines of a journal in the format of `optuna.storages.journal.JournalFileBackend`.

    That backend syncs the disk for every trial, which a derived file does not need.

    Attributes:
        known: the lines that a storage is shown.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._waiting: list[str] = []
        self.known: list[dict[str, Any]] = []

    def read_logs(self, log_number_from: int) -> Iterable[dict[str, Any]]:
        return self.known[log_number_from:]

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        self.known += logs
        self._waiting += [json.dumps(log, separators=(",", ":")) for log in logs]

    def write(self) -> None:
        """Append the waiting lines in one write, so that readers see complete lines."""
        with self._path.open("ab", buffering=0) as file:
            file.write("".join(f"{line}\n" for line in self._waiting).encode())
        self._waiting.clear()
