"""The orchestrator: one Ray Tune run over the cohorts of a study.

The worker writes each cohort's part and Ray sees scalars only: Tune's own records lose failed
trials and swallow NaN, so nothing is ever read back from them.
"""

import contextlib
import logging
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import ray
from ray import tune
from ray.tune.search import Searcher

from study.actor import RaceTrainable, shared_data
from study.cohorts import CohortQueue, Standing
from study.config import ResolvedStudy
from study.errors import StudyError
from study.parts import part_path, read_part
from study.records import Cohort, Status, TrialResult
from study.search import Journal
from study.store import consolidate, read_parts
from study.worker import Trainable

JOURNAL_FILE = "optuna.log"
SCRATCH = "ray"
_QUIET = {
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_DEDUP_LOGS": "0",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Resources:
    """Where and how wide a sweep runs; none of it changes a result on one kind of machine.

    Attributes:
        workers: cohorts trained at once, >= 1.
        gpus_per_worker: share of a GPU that each worker gets, >= 0; 0 trains on the CPU.
        address: a Ray cluster to join; None starts Ray on this machine.
        data_dir: folder of data files, passed on to the workers; None leaves it to them.
    """

    workers: int
    gpus_per_worker: float = 0.0
    address: str | None = None
    data_dir: str | None = None


class PerBatchSearch(Searcher):
    """Hands out cohorts to Ray Tune and feeds their parts back to one search per batch size."""

    def __init__(
        self, folder: Path, study: ResolvedStudy, queue: CohortQueue, journal: Journal
    ) -> None:
        """Wraps a queue.

        Args:
            folder: the results folder.
            study: the resolved study.
            queue: its missing cohorts.
            journal: where finished trials are shown to Optuna's dashboard.
        """
        super().__init__(metric="reached", mode="max")
        self._folder, self._study, self._queue, self._journal = folder, study, queue, journal
        self._running: dict[str, Cohort] = {}
        self.errors: list[str] = []
        self._any_ran = False

    def suggest(self, trial_id: str) -> Any:  # Ray types it as dict, and documents FINISHED
        """Gives the next cohort, None while all must wait, FINISHED after the last."""
        cohort = self._queue.take()
        if cohort is None:
            return Searcher.FINISHED if self._queue.empty else None
        self._running[trial_id] = cohort
        return {"cohort": asdict(cohort)}

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Reads the cohort's part; a worker that died left none."""
        cohort = self._running.pop(trial_id)
        path = part_path(self._folder, cohort.batch_size, cohort.number)
        if not path.is_file():
            self.errors.append(
                f"the worker died in cohort {cohort.number} at batch size {cohort.batch_size}; "
                "`sweep` again runs it again"
            )
            self._queue.lose(cohort.batch_size, cohort.number)
            return
        results = read_part(path, self._study)
        self._queue.finish(results)
        self._journal.add(self._queue.searches()[cohort.batch_size], results)
        failed = all(r.outcome.status is Status.FAILED for r in results)
        if failed and not self._any_ran:
            self.errors.append(
                f"every trial of the first cohort failed, the sweep stopped: {results[0].message}"
            )
            self._queue.stop()
        self._any_ran = self._any_ran or not failed

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Does nothing: a cohort reports once, when it is complete."""

    def save(self, checkpoint_path: str) -> None:
        """Does nothing: the parts are the state."""

    def restore(self, checkpoint_path: str) -> None:
        """Does nothing: a sweep is resumed from its parts."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SweepEnd:
    """What a sweep leaves to say.

    Attributes:
        results: all trials of the study, as the tables have them.
        errors: cohorts that were lost, in words.
        seconds: wall-clock of this sweep.
    """

    results: list[TrialResult]
    errors: list[str]
    seconds: float


class Sweep:
    """A study's remaining work, ready to run."""

    def __init__(self, folder: Path, study: ResolvedStudy, trainable: Trainable) -> None:
        """Rebuilds the searches from the folder's parts.

        Args:
            folder: the results folder, opened by `study.store.open_folder`.
            study: the study in it.
            trainable: its workload, whose data every worker is given.
        """
        recorded = read_parts(folder, study)
        self._folder, self._study, self._trainable = folder.resolve(), study, trainable
        self._queue = CohortQueue(study, recorded)
        self._journal = Journal(folder / JOURNAL_FILE)
        for size, search in self._queue.searches().items():
            there = [result for result in recorded if result.batch_size == size]
            if there:
                self._journal.add(search, there)

    def standings(self) -> list[Standing]:
        """Gives where each batch size stands; may be called from another thread."""
        return self._queue.standings()

    def run(self, resources: Resources) -> SweepEnd:
        """Runs every missing cohort and writes the tables.

        Args:
            resources: where and how wide.

        Returns:
            All trials of the study and what went wrong.
        """
        started = time.monotonic()
        searcher = PerBatchSearch(self._folder, self._study, self._queue, self._journal)
        if not self._queue.empty:
            with _ray(self._folder, resources):
                self._tuner(searcher, resources).fit()
            shutil.rmtree(self._folder / SCRATCH, ignore_errors=True)
        results = consolidate(self._folder, self._study)
        return SweepEnd(results=results, errors=searcher.errors, seconds=time.monotonic() - started)

    def _tuner(self, searcher: PerBatchSearch, resources: Resources) -> tune.Tuner:
        trainable = tune.with_parameters(
            RaceTrainable,
            folder=str(self._folder),
            study=self._study.as_data(),
            data=shared_data(self._trainable),
            data_dir=resources.data_dir,
        )
        per_worker = {"cpu": 1, "gpu": resources.gpus_per_worker}
        return tune.Tuner(
            tune.with_resources(trainable, per_worker),
            tune_config=tune.TuneConfig(
                search_alg=searcher,
                num_samples=self._queue.size,
                max_concurrent_trials=resources.workers,
                reuse_actors=True,
            ),
            run_config=tune.RunConfig(
                name="cohorts",
                storage_path=str(self._folder / SCRATCH),
                checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
                callbacks=[],
                verbose=0,
            ),
        )


@contextlib.contextmanager
def _ray(folder: Path, resources: Resources) -> Iterator[None]:
    """Starts or joins Ray from the study's own folder, and leaves it again."""
    # actors of all workers start at once; Ray's own default has them wait for one another
    wanted = _QUIET | {"TUNE_MAX_PENDING_TRIALS_PG": str(resources.workers)}
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        # Ray puts the driver's current folder first on every worker's path, where a user's
        # study.py or analysis.py would hide ours
        with contextlib.chdir(folder):
            _init(resources)
        yield
    finally:
        ray.shutdown()
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


def _init(resources: Resources) -> None:
    local: dict[str, Any] = {"num_cpus": resources.workers, "include_dashboard": False}
    try:
        ray.init(
            address=resources.address or "local",
            log_to_driver=False,
            logging_level=logging.ERROR,
            **({} if resources.address else local),
        )
    except ConnectionError as error:
        raise StudyError(
            f"--address must be a running Ray cluster, got {resources.address}: {error}; start "
            "one with `ray start --head`, or leave the option out"
        ) from error
