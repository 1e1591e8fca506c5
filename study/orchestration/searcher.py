"""What Ray Tune asks for cohorts and reports them to, and asks whether to end.

Ray sees scalars only: Tune's own records lose failed trials and swallow NaN.
"""

import time
from dataclasses import fields
from typing import Any

from ray import tune
from ray.tune.search import Searcher

from study.orchestration.board import Board
from study.orchestration.dispatch import Dispatch
from study.orchestration.signals import Stop
from study.orchestration.worker import Report
from study.records import Cohort, record_to_json

COHORTS_PER_RUN = 500
"""Cohorts in one run of Tune, which keeps some 60 KiB of each until the run ends."""
SAVING_SECONDS = 10.0
"""Time in which cohorts may save themselves or end; Tune then gives workers ten seconds more."""


class PerBatchSearch(Searcher):
    """Hands out cohorts to Ray Tune and takes them back."""

    def __init__(self, dispatch: Dispatch) -> None:
        super().__init__(metric="reached", mode="max")
        self._dispatch = dispatch
        self._running: dict[str, Cohort] = {}
        self._began: dict[str, float] = {}
        self._handed_out = 0

    def suggest(self, trial_id: str) -> Any:  # Ray types it as dict, and documents FINISHED
        """Return the next cohort; None while all must wait, FINISHED after the last of the run."""
        if self._handed_out >= COHORTS_PER_RUN:
            return Searcher.FINISHED
        cohort = self._dispatch.queue.take()
        if cohort is None:
            return Searcher.FINISHED if self._dispatch.queue.empty else None
        self._running[trial_id] = cohort
        self._handed_out += 1
        # as one string: Tune keeps every config to the end, in several copies of each of its parts
        return {"cohort": record_to_json(cohort)}

    def needs_another_run(self) -> bool:
        """Return whether a run of Tune has ended with cohorts left for the next."""
        full, self._handed_out = self._handed_out >= COHORTS_PER_RUN, 0
        return full and not self._dispatch.queue.empty

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Pass on a cohort that ended; a worker that died reported nothing."""
        report = None
        if result is not None and not error:
            report = Report(**{field.name: result[field.name] for field in fields(Report)})
        self._dispatch.ended(self._running.pop(trial_id), report, self._began.get(trial_id))

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


class Ending(tune.Stopper):
    """Ends a run of Tune on request, once every cohort in training is saved or has ended."""

    def __init__(self, stop: Stop, board: Board, dispatch: Dispatch) -> None:
        self._stop, self._board, self._dispatch = stop, board, dispatch
        self._since: float | None = None

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Return False: no single cohort is stopped."""
        return False

    def __getstate__(self) -> dict[str, Any]:
        """Return nothing: Tune pickles it for a restore that is never asked for."""
        return {}

    def stop_all(self) -> bool:
        """Return whether the time for saving is over; with nothing in training Tune ends before."""
        if not self._stop.requested:
            return False
        if self._since is None:
            self._since = time.monotonic()
            self._dispatch.close()
            self._board.stop()
        return time.monotonic() - self._since > SAVING_SECONDS
