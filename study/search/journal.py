"""A journal file of the searches for `optuna-dashboard`, derived from the results."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import BaseJournalBackend

from study.records import UNSEARCHED, TrialResult
from study.search.search import Search

_NEW_STUDY = b'{"op_code":0,'
"""Start of a line that creates a study."""


class Journal:
    """A journal that grows with the results."""

    def __init__(self, path: Path, trials: int = 0) -> None:
        """Continue a file if it is whole, with this many trials; otherwise start a new one."""
        path.with_name(f"{path.name}.lock").unlink(missing_ok=True)  # left by a killed sweep
        self._lines = _Lines(path)
        self._names = self._lines.resume(trials)
        # whether it has all trials recorded before it was opened; otherwise it is new
        self.whole = bool(self._names)
        if not self.whole:
            path.unlink(missing_ok=True)

    def add(self, search: Search, results: Sequence[TrialResult]) -> None:
        """Add those of the finished trials of one batch size that its search proposed."""
        results = [result for result in results if result.point.role not in UNSEARCHED]
        if not results:
            return
        # a storage keeps all trials in memory, so each call has a new one
        storage = JournalStorage(self._lines)
        name = f"batch size {results[0].batch_size}"
        # `load_if_exists` would write another line that creates the study for each cohort
        begin = optuna.load_study if name in self._names else optuna.create_study
        search_study = begin(storage=storage, study_name=name)
        self._names.add(name)
        studies = len(self._lines.known)
        search_study.add_trials(search.frozen(results))
        self._lines.write()
        del self._lines.known[studies:]


class _Lines(BaseJournalBackend):
    """Lines of a journal in the format of `optuna.storages.journal.JournalFileBackend`.

    Optuna's backend syncs the disk for every trial, which a derived file does not need.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._waiting: list[str] = []
        self.known: list[dict[str, Any]] = []  # the lines that a storage reads

    def resume(self, trials: int) -> set[str]:
        """Return the studies in the file if it has one line for each and for each trial."""
        if not trials or not self._path.is_file():
            return set()
        begun: dict[int, bytes] = {}
        number, line = 0, b""
        with self._path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if line.startswith(_NEW_STUDY):
                    begun[number] = line
        if 1 not in begun or not line.endswith(b"\n") or number != len(begun) + trials:
            return set()
        try:
            self.known = [json.loads(line) for line in begun.values()]
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
