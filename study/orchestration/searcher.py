"""What hands out the cohorts of a study to Ray Tune, and takes them back.

The worker writes each cohort's part and Ray sees scalars only: Tune's own records lose failed
trials and swallow NaN, so nothing is ever read back from them.
"""

import json
import time
from dataclasses import asdict
from typing import Any

from ray.tune.search import Searcher

from analysis.errors import AnalysisError
from analysis.tables.folder import ResultsFolder
from study.config.study import ResolvedStudy
from study.engine.cohort import failed
from study.errors import StudyError
from study.orchestration.actor import UNWRITTEN
from study.records import Cohort, Status, TrialResult
from study.search.journal import Journal
from study.search.queue import CohortQueue
from study.storage.consolidate import read_parts_at
from study.storage.parts import part_name, read_part, write_part

COHORTS_PER_RUN = 500
"""Tune keeps some 60 KiB of every cohort until its run ends; a study takes as many as it needs."""


class PerBatchSearch(Searcher):
    """Hands out cohorts to Ray Tune and feeds their parts back to one search per batch size."""

    def __init__(
        self, folder: ResultsFolder, resolved: ResolvedStudy, queue: CohortQueue, journal: Journal
    ) -> None:
        """Wraps a queue.

        Args:
            folder: the results folder.
            resolved: the resolved study.
            queue: its missing cohorts.
            journal: where finished trials are shown to Optuna's dashboard.
        """
        super().__init__(metric="reached", mode="max")
        self._folder, self._resolved, self._queue, self._journal = folder, resolved, queue, journal
        self._running: dict[str, Cohort] = {}
        self._began: dict[str, float] = {}
        self._handed_out = 0
        self.errors: list[str] = []
        self.notes: list[str] = []
        self._any_ran = False
        self._failed_sizes: set[int] = set()

    def suggest(self, trial_id: str) -> Any:  # Ray types it as dict, and documents FINISHED
        """Gives the next cohort, None while all must wait, FINISHED after the last of the run."""
        if self._handed_out >= COHORTS_PER_RUN:
            return Searcher.FINISHED
        cohort = self._queue.take()
        if cohort is None:
            return Searcher.FINISHED if self._queue.empty else None
        self._running[trial_id] = cohort
        self._handed_out += 1
        # as one string: Tune keeps every config to the end, in several copies of each of its parts
        return {"cohort": json.dumps(asdict(cohort))}

    def goes_on(self) -> bool:
        """Tells whether a run has ended with cohorts left for another."""
        full, self._handed_out = self._handed_out >= COHORTS_PER_RUN, 0
        return full and not self._queue.empty

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Reads the cohort's part; a worker that died left none."""
        cohort = self._running.pop(trial_id)
        self.notes += (result or {}).get("notes", [])
        if result is not None and UNWRITTEN in result:
            self.end(result[UNWRITTEN])
            return
        try:
            results = self._part(cohort) or self._overdue(cohort, self._began.get(trial_id))
            self._take_back(cohort, results)
        except (AnalysisError, StudyError) as error:  # Tune would end in its own traceback
            self.end(str(error))
        except OSError as error:
            self.end(self._folder.unwritable(error))

    def _take_back(self, cohort: Cohort, results: list[TrialResult] | None) -> None:
        size = cohort.batch_size
        if results is None:
            self.errors.append(
                f"the worker died in cohort {cohort.number} at batch size {size}; "
                "`sweep` again runs it again"
            )
            self._queue.lose(cohort)
            return
        self._journal.add(self._queue.searches()[size], results)
        if self._queue.finish(results):
            self._queue.plan(size, read_parts_at(self._folder, self._resolved, size))
        self._stop_if_hopeless(results)

    def end(self, reason: str) -> None:
        """Hands out nothing more, for a reason that is told once."""
        error = f"the sweep stopped: {reason}"
        if error not in self.errors:
            self.errors.append(error)
        self._queue.stop()

    def _part(self, cohort: Cohort) -> list[TrialResult] | None:
        name = part_name(cohort.batch_size, cohort.number, cohort.role)
        if not self._folder.exists(name):
            return None
        return read_part(self._folder, name, self._resolved)

    def _overdue(self, cohort: Cohort, began: float | None) -> list[TrialResult] | None:
        """Records the trials of a cohort whose worker ended itself when the time was over."""
        minutes = self._resolved.compute.cohort_minutes
        if minutes is None or began is None or time.monotonic() - began < 60 * minutes:
            return None
        results = failed(
            cohort, f"the cohort trained for longer than compute.cohort_minutes = {minutes:g}"
        )
        write_part(self._folder, self._resolved, results)
        return results

    def _stop_if_hopeless(self, results: list[TrialResult]) -> None:
        """Stops where nothing but failures came from the first two batch sizes, or the only one."""
        if not all(result.outcome.status is Status.FAILED for result in results):
            self._any_ran = True
            return
        self._failed_sizes.add(results[0].batch_size)
        first = self._resolved.searched or self._resolved.batch_sizes
        if not self._any_ran and len(self._failed_sizes) >= min(2, len(first)):
            self.end(f"every trial of the first cohorts failed: {results[0].message}")

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Notes when a cohort whose time is limited began; one reports once more at its end."""
        self._began[trial_id] = time.monotonic()

    def save(self, checkpoint_path: str) -> None:
        """Does nothing: the parts are the state."""

    def restore(self, checkpoint_path: str) -> None:
        """Does nothing: a sweep is resumed from its parts."""
