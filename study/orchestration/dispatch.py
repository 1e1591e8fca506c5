"""Cohorts handed out to workers, and the results that come back.

A worker writes the part of its cohort, and only the part is read back: neither Ray's records nor
any message carries a result.
"""

import time

from analysis.tables.schema import STUDY_FILE
from batchscale.errors import BatchscaleError
from study.engine.cohort import failed_results
from study.orchestration.progress import Progress
from study.orchestration.worker import Report
from study.records import Cohort, Status, TrialResult
from study.search.journal import Journal
from study.search.queue import CohortQueue
from study.storage.parts import Parts, write_part


class Dispatch:
    """Hands out cohorts and returns their trials to one search per batch size."""

    def __init__(
        self, parts: Parts, queue: CohortQueue, journal: Journal, progress: Progress
    ) -> None:
        self.queue = queue  # the missing cohorts
        self._parts, self._journal, self._progress = parts, journal, progress
        self._resolved = parts.resolved
        self.errors: list[str] = []  # why cohorts were lost or the sweep stopped, one sentence each
        self.notes: list[str] = []  # what workers reported about checkpoints
        self._any_ran = False
        self._failed_sizes: set[int] = set()

    def ended(self, cohort: Cohort, report: Report | None, began: float | None) -> None:
        """Read the part of a cohort that ended; the report is None if its worker died.

        `began` is when training began, by the monotonic clock; None if unknown.
        """
        report = report or Report()
        self.notes += report.notes
        if report.unwritten is not None:
            self.end(report.unwritten)
            return
        if report.saved:
            self.queue.lose(cohort)
            return
        try:
            if not self.in_place():
                return
            recorded = self._parts.read_cohort(cohort.batch_size, cohort.number, cohort.role)
            self._record(cohort, recorded or self._overdue(cohort, began))
        except BatchscaleError as error:  # Tune would end in its own traceback
            self.end(str(error))
        except OSError as error:
            self.end(self._parts.folder.unwritable(error))

    def in_place(self) -> bool:
        """Return whether the results folder is still there; if not, end the sweep.

        If it was moved away, workers make a new one and write their parts there.
        """
        folder = self._parts.folder
        if folder.exists(STUDY_FILE):
            return True
        self.end(
            f"a results folder must stay where it is while a sweep runs, got no study in {folder}; "
            "move it back, and run the same `sweep` again"
        )
        return False

    def close(self) -> None:
        """Hand out nothing more."""
        self.queue.stop()

    def end(self, reason: str) -> None:
        """Hand out nothing more; a reason is reported once, however often it is given."""
        error = f"the sweep stopped: {reason}"
        if error not in self.errors:
            self.errors.append(error)
        self.close()

    def _record(self, cohort: Cohort, results: list[TrialResult] | None) -> None:
        size = cohort.batch_size
        if results is None:
            self.errors.append(
                f"the worker died in cohort {cohort.number} at batch size {size}; run the same "
                "`sweep` again to retrain it"
            )
            self.queue.lose(cohort)
            return
        self._journal.add(self.queue.searches()[size], results)
        self._progress.add(results)
        if self.queue.finish(results):
            self.queue.plan(size, self._parts.at(size))
        self._stop_if_hopeless(results)

    def _overdue(self, cohort: Cohort, began: float | None) -> list[TrialResult] | None:
        """Record the trials of a cohort whose worker ended itself at the time limit."""
        minutes = self._resolved.compute.cohort_minutes
        if minutes is None or began is None or time.monotonic() - began < 60 * minutes:
            return None
        results = failed_results(
            cohort, f"the cohort trained for longer than compute.cohort_minutes = {minutes:g}"
        )
        write_part(self._parts.folder, self._resolved, results)
        return results

    def _stop_if_hopeless(self, results: list[TrialResult]) -> None:
        """Stop if the first two batch sizes, or the only one, gave nothing but failures."""
        if not all(result.outcome.status is Status.FAILED for result in results):
            self._any_ran = True
            return
        self._failed_sizes.add(results[0].batch_size)
        first = self._resolved.searched or self._resolved.batch_sizes
        if not self._any_ran and len(self._failed_sizes) >= min(2, len(first)):
            self.end(f"every trial of the first cohorts failed: {results[0].message}")
