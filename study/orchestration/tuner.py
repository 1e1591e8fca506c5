"""A sweep under Ray: runs of Ray Tune over the missing cohorts of a study.

Ray gets scalars only, because Tune's own records lose failed trials and swallow NaN.
"""

import tempfile
import time
from dataclasses import fields
from pathlib import Path
from typing import Any

from ray import tune
from ray.tune.search import Searcher

from study.orchestration.actor import Board, RaceTrainable, shared_data
from study.orchestration.cluster import joined
from study.orchestration.dispatch import Dispatch
from study.orchestration.resources import Resources
from study.orchestration.signals import Stop
from study.orchestration.worker import Report, Worker
from study.records import Cohort, record_to_json

COHORTS_PER_RUN = 500
"""Cohorts in one run of Tune, which keeps some 60 KiB of each until the run ends."""
SAVING_SECONDS = 10.0
"""Time that cohorts have to save themselves or to end; Tune then gives workers ten seconds more."""


class PerBatchSearch(Searcher):
    """Hands out cohorts to Ray Tune and takes them back."""

    def __init__(self, dispatch: Dispatch) -> None:
        super().__init__(metric="reached", mode="max")
        self._dispatch = dispatch
        self._running: dict[str, Cohort] = {}
        self._began: dict[str, float] = {}
        self._handed_out = 0

    def suggest(self, trial_id: str) -> Any:  # Ray types it as dict, and documents FINISHED
        """Return the next cohort; None while all must wait, FINISHED after the run's last one."""
        if self._handed_out >= COHORTS_PER_RUN:
            return Searcher.FINISHED
        cohort = self._dispatch.queue.take()
        if cohort is None:
            return Searcher.FINISHED if self._dispatch.queue.empty else None
        self._running[trial_id] = cohort
        self._handed_out += 1
        # as one string: Tune keeps every config to the end, and several copies of each entry
        return {"cohort": record_to_json(cohort)}

    def needs_another_run(self) -> bool:
        """Return whether a run of Tune ended with cohorts left for another."""
        full, self._handed_out = self._handed_out >= COHORTS_PER_RUN, 0
        return full and not self._dispatch.queue.empty

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Pass on a cohort that ended; one whose worker died has no report."""
        report = None
        if result is not None and not error:
            report = Report(**{field.name: result[field.name] for field in fields(Report)})
        self._dispatch.ended(self._running.pop(trial_id), report, self._began.get(trial_id))

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Note when a cohort with a time limit began: it reports at its start and at its end."""
        self._began[trial_id] = time.monotonic()

    def __getstate__(self) -> dict[str, Any]:
        """Return nothing: Tune pickles its searcher for a restore that never happens."""
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
        """Return nothing: Tune pickles it for a restore that never happens."""
        return {}

    def stop_all(self) -> bool:
        """Return whether the time for saving is over; Tune ends earlier if nothing is training."""
        if not self._stop.requested:
            return False
        if self._since is None:
            self._since = time.monotonic()
            self._dispatch.close()
            self._board.stop()
        return time.monotonic() - self._since > SAVING_SECONDS


class RayWorkers:
    """The workers of a sweep as actors of Ray Tune."""

    def __init__(
        self,
        dispatch: Dispatch,
        worker: Worker,
        resources: Resources,
        stop: Stop,
    ) -> None:
        """Start no Ray yet; its actors get the study and the workload of `worker`."""
        self._dispatch, self._worker = dispatch, worker
        self._resources, self._stop = resources, stop
        self._board = Board()
        self.laps = self._board.laps  # safe in another thread

    def run(self, work: Path) -> None:
        """Train cohorts until none is left or a stop is requested; `work` is a folder for Ray."""
        with joined(work, self._resources, self._stop):
            searcher, trainable = PerBatchSearch(self._dispatch), self._with_data()
            tune_config = tune.TuneConfig(
                search_alg=searcher,
                num_samples=-1,  # the searcher knows when there is nothing left
                max_concurrent_trials=self._resources.workers,
                reuse_actors=True,
            )
            unfinished = True
            while unfinished:
                try:
                    self._run_tune(trainable, tune_config)
                except OSError as error:  # Tune writes its own state, which nothing reads
                    if error.errno is None:  # an error of Ray's, not of the disk
                        raise
                    self._dispatch.end(
                        "the folder of temporary files must be writable, got "
                        f"{tempfile.gettempdir()}: {error.strerror or error}; free some space "
                        "there, or set TMPDIR to another folder"
                    )
                unfinished = searcher.needs_another_run() and not self._stop.requested
            self._board.clear()

    def _run_tune(self, trainable: Any, tune_config: tune.TuneConfig) -> None:
        with tempfile.TemporaryDirectory(
            prefix="batchscale-", ignore_cleanup_errors=True
        ) as scratch:
            run_config = tune.RunConfig(
                name="cohorts",
                storage_path=scratch,
                checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
                callbacks=[],
                stop=Ending(self._stop, self._board, self._dispatch),
                verbose=0,
            )
            tune.Tuner(trainable, tune_config=tune_config, run_config=run_config).fit()

    def _with_data(self) -> Any:  # Ray gives no type
        data, form = shared_data(self._worker.trainable)
        actor = tune.with_parameters(
            RaceTrainable,
            folder=self._worker.folder,
            resolved=self._worker.resolved.as_data(),
            data=data,
            form=form,
            data_dir=self._resources.data_dir,
            board=self._board,
        )
        # one bundle of a placement group, so that a worker has it all on one machine
        share = self._resources
        wanted = {"cpu": share.cpus_per_worker, "gpu": share.gpus_per_worker}
        return tune.with_resources(actor, wanted)
