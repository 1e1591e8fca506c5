"""The searches as `optuna-dashboard` opens them: a journal on disk, derived from the results."""

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
        """Starts the journal anew.

        Args:
            path: the journal file; an old one is replaced.
        """
        for old in (path, path.with_name(f"{path.name}.lock")):  # a killed sweep may have held it
            old.unlink(missing_ok=True)
        self._lines = _Lines(path)
        self._names: set[str] = set()

    def add(self, search: Search, results: Sequence[TrialResult]) -> None:
        """Adds finished trials of one batch size, but those that are no part of its search."""
        apart = {Role.REPLICATE, Role.RECIPE}
        results = [result for result in results if result.point.role not in apart]
        if not results:
            return
        # a storage holds all trials that it has seen: each knows of the studies, and of its own
        storage = JournalStorage(self._lines)
        name = f"batch size {results[0].batch_size}"
        # `load_if_exists` would write down another attempt to create it at each cohort
        begin = optuna.load_study if name in self._names else optuna.create_study
        resolved = begin(storage=storage, study_name=name)
        self._names.add(name)
        studies = len(self._lines.known)
        resolved.add_trials(search.frozen(results))
        self._lines.write()
        del self._lines.known[studies:]


class _Lines(BaseJournalBackend):
    """Lines of a journal in the form of `optuna.storages.journal.JournalFileBackend`.

    That one syncs the disk for every trial, which a view of what is on disk already need not.

    Attributes:
        known: what a storage is told of.
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
        """Appends what is waiting at once, so that a reader sees whole lines."""
        with self._path.open("ab", buffering=0) as file:
            file.write("".join(f"{line}\n" for line in self._waiting).encode())
        self._waiting.clear()
