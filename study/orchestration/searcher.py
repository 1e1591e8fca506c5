"""The search algorithm that Ray Tune asks for cohorts, and reports them to.

A worker writes its cohort's part and Ray sees scalars only: Tune's own records lose failed trials
and swallow NaN, so nothing is read back from them.
"""

import time
from typing import Any

from ray.tune.search import Searcher

from batchscale.errors import BatchscaleError
from study.engine.cohort import failed
from study.orchestration.actor import SAVED, UNWRITTEN
from study.orchestration.progress import Progress
from study.records import Cohort, Status, TrialResult, record_to_json
from study.search.journal import Journal
from study.search.queue import CohortQueue
from study.storage.parts import Parts, write_part

COHORTS_PER_RUN = 500
"""Cohorts in one run of Tune, which keeps some 60 KiB of each until the run ends."""


class PerBatchSearch(Searcher):
    """Hands out cohorts to Ray Tune and returns their trials to one search per batch size.

    Attributes:
        errors: why cohorts were lost or the sweep stopped, one sentence each.
        notes: what workers reported about checkpoints.
    """

    def __init__(
        self, parts: Parts, queue: CohortQueue, journal: Journal, progress: Progress
    ) -> None:
        """Start with nothing handed out.

        Args:
            parts: the study's parts; each finished cohort is read through it.
            queue: the missing cohorts.
            journal: shows finished trials to Optuna's dashboard.
            progress: counts finished trials for the terminal.
        """
        super().__init__(metric="reached", mode="max")
        self._parts, self._queue, self._journal, self._progress = parts, queue, journal, progress
        self._resolved = parts.resolved
        self._running: dict[str, Cohort] = {}
        self._began: dict[str, float] = {}
        self._handed_out = 0
        self.errors: list[str] = []
        self.notes: list[str] = []
        self._any_ran = False
        self._failed_sizes: set[int] = set()

    def suggest(self, trial_id: str) -> Any:  # Ray types it as dict, and documents FINISHED
        """Return the next cohort; None while all must wait, FINISHED after the last of the run."""
        if self._handed_out >= COHORTS_PER_RUN:
            return Searcher.FINISHED
        cohort = self._queue.take()
        if cohort is None:
            return Searcher.FINISHED if self._queue.empty else None
        self._running[trial_id] = cohort
        self._handed_out += 1
        # as one string: Tune keeps every config to the end, in several copies of each of its parts
        return {"cohort": record_to_json(cohort)}

    def needs_another_run(self) -> bool:
        """Return whether a run of Tune has ended with cohorts left for the next."""
        full, self._handed_out = self._handed_out >= COHORTS_PER_RUN, 0
        return full and not self._queue.empty

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Read the part of a cohort that ended; a worker that died left none."""
        cohort = self._running.pop(trial_id)
        self.notes += (result or {}).get("notes", [])
        if result is not None and UNWRITTEN in result:
            self.end(result[UNWRITTEN])
            return
        if result is not None and SAVED in result:
            self._queue.lose(cohort)
            return
        try:
            recorded = self._parts.read_cohort(cohort.batch_size, cohort.number, cohort.role)
            results = recorded or self._overdue(cohort, self._began.get(trial_id))
            self._record(cohort, results)
        except BatchscaleError as error:  # Tune would end in its own traceback
            self.end(str(error))
        except OSError as error:
            self.end(self._parts.folder.unwritable(error))

    def _record(self, cohort: Cohort, results: list[TrialResult] | None) -> None:
        size = cohort.batch_size
        if results is None:
            self.errors.append(
                f"the worker died in cohort {cohort.number} at batch size {size}; run the same "
                "`sweep` to train it again"
            )
            self._queue.lose(cohort)
            return
        self._journal.add(self._queue.searches()[size], results)
        self._progress.add(results)
        if self._queue.finish(results):
            self._queue.plan(size, self._parts.at(size))
        self._stop_if_hopeless(results)

    def close(self) -> None:
        """Hand out nothing more."""
        self._queue.stop()

    def end(self, reason: str) -> None:
        """Hand out nothing more; the reason is reported once, however often it is given."""
        error = f"the sweep stopped: {reason}"
        if error not in self.errors:
            self.errors.append(error)
        self.close()

    def _overdue(self, cohort: Cohort, began: float | None) -> list[TrialResult] | None:
        """Record the trials of a cohort whose worker ended itself when its time was over."""
        minutes = self._resolved.compute.cohort_minutes
        if minutes is None or began is None or time.monotonic() - began < 60 * minutes:
            return None
        results = failed(
            cohort, f"the cohort trained for longer than compute.cohort_minutes = {minutes:g}"
        )
        write_part(self._parts.folder, self._resolved, results)
        return results

    def _stop_if_hopeless(self, results: list[TrialResult]) -> None:
        """Stop where the first two batch sizes, or the only one, gave nothing but failures."""
        if not all(result.outcome.status is Status.FAILED for result in results):
            self._any_ran = True
            return
        self._failed_sizes.add(results[0].batch_size)
        first = self._resolved.searched or self._resolved.batch_sizes
        if not self._any_ran and len(self._failed_sizes) >= min(2, len(first)):
            self.end(f"every trial of the first cohorts failed: {results[0].message}")

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Note when a cohort with a time limit began: it reports once then, and once at its end."""
        self._began[trial_id] = time.monotonic()

    def __getstate__(self) -> dict[str, Any]:
        """Return nothing: Tune pickles its searcher for a restore that is never asked for."""
        return {}

    def save(self, checkpoint_path: str) -> None:
        """Do nothing: the parts are the state."""

    def restore(self, checkpoint_path: str) -> None:
        """Do nothing: a sweep resumes from its parts."""
