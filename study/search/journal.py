"""The searches as a journal file for `optuna-dashboard`, derived from the results."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import BaseJournalBackend

from study.records import APART, TrialResult
from study.search.search import Search

_BEGINNING = b'{"op_code":0,'
"""What the line that begins a study begins with."""


class Journal:
    """A journal that grows with the results."""

    def __init__(self, path: Path, trials: int = 0) -> None:
        """Go on with a file of so many trials, if it is whole; start a new one otherwise."""
        path.with_name(f"{path.name}.lock").unlink(missing_ok=True)  # of a killed sweep
        self._lines = _Lines(path)
        self._names = self._lines.resume(trials)
        # whether it holds all trials that were recorded when it was opened; else it is new
        self.whole = bool(self._names)
        if not self.whole:
            path.unlink(missing_ok=True)

    def add(self, search: Search, results: Sequence[TrialResult]) -> None:
        """Add finished trials of one batch size that belong to its search."""
        results = [result for result in results if result.point.role not in APART]
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
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._waiting: list[str] = []
        self.known: list[dict[str, Any]] = []  # the lines that a storage is shown

    def resume(self, trials: int) -> set[str]:
        """Return the studies in the file, if it holds a line for each and for so many trials."""
        content = self._path.read_bytes() if trials and self._path.is_file() else b""
        begun = [line for line in content.split(b"\n") if line.startswith(_BEGINNING)]
        if not begun or content[-1:] != b"\n" or content.count(b"\n") != len(begun) + trials:
            return set()
        try:
            self.known = [json.loads(line) for line in begun]
            return {str(log["study_name"]) for log in self.known}
        except (ValueError, KeyError):
            self.known = []
            return set()

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
