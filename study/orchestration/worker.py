"""What any worker does with a cohort: train it, and write its part."""

import contextlib
import faulthandler
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from analysis.errors import AnalysisError
from analysis.tables.folder import ResultsFolder
from study.config.study import ResolvedStudy
from study.engine.checkpoints import Checkpoint, SavedError
from study.engine.cohort import run_cohort
from study.engine.networks.training import Trainable
from study.engine.race import Race, Racing
from study.records import Cohort, Lap, Status
from study.storage.parts import cohort_stem, write_part

_STDERR = 2
_LAP_SECONDS = 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """A worker's report on a cohort; the results themselves are in its part."""

    reached: int = 0  # trials that reached the target
    failed: int = 0  # trials that failed
    notes: tuple[str, ...] = ()  # what happened to the cohort's checkpoint, one sentence each
    saved: bool = False  # training ended early, and resumes from the checkpoint
    unwritten: str | None = None  # why no part can be written; None if one was


@dataclass(frozen=True, kw_only=True, slots=True)
class Worker:
    """A workload ready for training, and where its results go."""

    folder: ResultsFolder  # of the study's results
    resolved: ResolvedStudy
    trainable: Trainable  # its workload, on the device of this worker
    device: str = "cpu"  # or cuda
    stopping: Callable[[], bool] = lambda: False  # whether to save the cohort and stop
    report_lap: Callable[[Lap | None], None] = lambda lap: None  # given None when a race ends

    def train(self, cohort: Cohort, node: str) -> Report:
        """Return how a cohort ended, after training it and writing its part.

        A cohort that takes longer than `compute.cohort_minutes` ends the process.
        """
        stem = cohort_stem(cohort.batch_size, cohort.number, cohort.role)
        checkpoint = Checkpoint(self.folder, stem, self.resolved, cohort, self.device)
        checkpoint.stopping = self.stopping
        Race.after_lap = _LapReporter(cohort.batch_size, self.report_lap)
        try:
            with ended_after(self.resolved.compute.cohort_minutes):
                results = run_cohort(self.resolved, self.trainable, cohort, checkpoint)
        except SavedError:
            return Report(notes=tuple(checkpoint.notes), saved=True)
        finally:
            self.report_lap(None)
        try:
            write_part(self.folder, self.resolved, results, node)
        except AnalysisError as error:
            return Report(notes=tuple(checkpoint.notes), unwritten=str(error))
        checkpoint.remove()
        statuses = [result.outcome.status for result in results]
        return Report(
            reached=statuses.count(Status.REACHED),
            failed=statuses.count(Status.FAILED),
            notes=tuple(checkpoint.notes),
        )


class _LapReporter:
    """Reports how far a cohort is after a lap, at most once a second."""

    def __init__(self, batch_size: int, report_lap: Callable[[Lap], None]) -> None:
        self._batch_size, self._report_lap = batch_size, report_lap
        self._began = self._reported = time.monotonic()
        self._step, self._steps = math.inf, 0.0

    def __call__(self, race: Racing) -> None:
        # a resumed race starts at a later step; one split into halves starts again at step 0
        self._steps += race.racing * max(0, race.step - self._step)
        self._step, now = race.step, time.monotonic()
        if now - self._reported < _LAP_SECONDS:
            return
        self._reported, loss = now, race.least_loss
        self._report_lap(
            Lap(
                batch_size=self._batch_size,
                share=race.share,
                loss=None if math.isnan(loss) else loss,
                steps_per_second=self._steps / (now - self._began),
            )
        )


@contextlib.contextmanager
def ended_after(minutes: float | None) -> Iterator[None]:
    """End this process if the body takes longer; the driver records why."""
    if minutes is None:
        yield
        return
    # a Python thread could not end code that keeps the interpreter lock; faulthandler can
    faulthandler.dump_traceback_later(60 * minutes, exit=True, file=_STDERR)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()
