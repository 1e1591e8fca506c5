"""The orchestrator: Ray Tune runs over the cohorts of a study, and its tables after the last."""

import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import Any

from ray import tune

from analysis.errors import AnalysisError
from analysis.tables.folder import ResultsFolder
from study.config.study import ResolvedStudy
from study.engine.checkpoints import CHECKPOINTS
from study.engine.networks.training import Trainable
from study.orchestration.actor import RaceTrainable, shared_data
from study.orchestration.cluster import Resources, joined
from study.orchestration.searcher import PerBatchSearch
from study.orchestration.signals import Stop
from study.records import TrialResult
from study.search.journal import Journal
from study.search.queue import CohortQueue, Standing
from study.storage.consolidate import Ended, consolidate, read_parts
from study.storage.provenance import record_end, record_start

JOURNAL_FILE = "optuna.log"
SCRATCH = "ray"


class _Asked(tune.Stopper):
    """Has Tune end, with ten seconds for cohorts in training, when the sweep is asked to stop."""

    def __init__(self, stop: Stop) -> None:
        self._stop = stop

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return False

    def stop_all(self) -> bool:
        return self._stop.requested


@dataclass(frozen=True, kw_only=True, slots=True)
class SweepEnd:
    """What a sweep leaves to say.

    Attributes:
        trials: batch size, status and message of all trials of the study, as the tables have them.
        errors: cohorts that were lost and why it stopped, in words.
        notes: what became of checkpoints, in words.
        seconds: wall-clock of this sweep.
    """

    trials: list[Ended]
    errors: list[str]
    notes: list[str]
    seconds: float


class Sweep:
    """A study's remaining work, ready to run."""

    def __init__(
        self, folder: ResultsFolder, resolved: ResolvedStudy, trainable: Trainable
    ) -> None:
        """Rebuilds the searches from the folder's parts.

        Args:
            folder: the results folder, opened by `study.storage.study_folder.open_folder`.
            resolved: the study in it.
            trainable: its workload, whose data every worker is given.
        """
        self._folder, self._resolved, self._trainable = folder, resolved, trainable
        self._recorded: list[TrialResult] = []
        self._queue = CohortQueue(resolved, self._read())

    @property
    def recorded(self) -> Sequence[TrialResult]:
        """The trials of earlier sweeps, without curves; none once it has run."""
        return self._recorded

    def standings(self) -> list[Standing]:
        """Gives where each batch size stands; may be called from another thread."""
        return self._queue.standings()

    def run(self, resources: Resources, stop: Stop) -> SweepEnd:
        """Runs every missing cohort, until there is none or it is asked to stop; writes the tables.

        Args:
            resources: where and how wide.
            stop: asks it to stop.

        Returns:
            How its trials ended and what went wrong.
        """
        started, missing = time.monotonic(), not self._queue.empty
        if missing:
            width = {"workers": resources.workers, "gpus_per_worker": resources.gpus_per_worker}
            record_start(self._folder, width)
        searcher = self._run_missing(resources, stop)
        errors = list(searcher.errors)
        if not errors and not stop.requested:
            errors += self._without_base()
        trials: list[Ended] = []
        try:
            trials = consolidate(self._folder, self._resolved)
            if missing:
                record_end(self._folder)
            if self._queue.empty and not searcher.errors:
                # left by cohorts that ended otherwise, or that a study which grew does not have
                self._folder.remove_all(CHECKPOINTS)
        except AnalysisError as error:  # the parts are whole; the next sweep writes the tables
            errors.append(f"the tables could not be written: {error}")
        return SweepEnd(
            trials=trials,
            errors=errors,
            notes=searcher.notes,
            seconds=time.monotonic() - started,
        )

    def _read(self) -> Iterator[TrialResult]:
        for result in read_parts(self._folder, self._resolved):
            self._recorded.append(result.without_curve())
            yield result

    def _run_missing(self, resources: Resources, stop: Stop) -> PerBatchSearch:
        with self._folder.workspace(keep=[JOURNAL_FILE]) as work:
            scratch = work / SCRATCH
            journal = self._journal(work / JOURNAL_FILE)
            searcher = PerBatchSearch(self._folder, self._resolved, self._queue, journal)
            if not self._queue.empty and not stop.requested:
                try:
                    with joined(work, resources, stop):
                        self._run_all(searcher, resources, stop, scratch)
                except OSError as error:  # Tune keeps state of its own in the scratch
                    if error.errno is None:  # Ray's own, not the disk's
                        raise
                    searcher.end(self._folder.unwritable(error))
                finally:
                    shutil.rmtree(scratch, ignore_errors=True)
        return searcher

    def _run_all(
        self, searcher: PerBatchSearch, resources: Resources, stop: Stop, scratch: Path
    ) -> None:
        trainable = self._with_data(resources)
        going = True
        while going:
            shutil.rmtree(scratch, ignore_errors=True)  # of the run before, or a killed sweep
            run_config = _run_config(stop, scratch)
            tune.Tuner(
                trainable, tune_config=_tune_config(searcher, resources), run_config=run_config
            ).fit()
            going = searcher.goes_on() and not stop.requested

    def _without_base(self) -> list[str]:
        recipe = self._resolved.recipe
        if recipe is None or not self._queue.without_base:
            return []
        return [
            f"no trial reached the target at batch size {recipe.base}, so that the {recipe.rule} "
            "rule has no point to start from and ran nowhere; loosen race.target, or raise "
            "race.max_steps or search.trials, in a new results folder"
        ]

    def _journal(self, path: Path) -> Journal:
        try:
            journal, searches = Journal(path), self._queue.searches()
            for size, results in groupby(self._recorded, key=attrgetter("batch_size")):
                journal.add(searches[size], list(results))
        except OSError as error:
            raise AnalysisError(self._folder.unwritable(error)) from error
        self._recorded.clear()  # the queue has what it needs
        return journal

    def _with_data(self, resources: Resources) -> Any:  # Ray gives no type
        trainable = tune.with_parameters(
            RaceTrainable,
            folder=self._folder,
            resolved=self._resolved.as_data(),
            data=shared_data(self._trainable),
            data_dir=resources.data_dir,
        )
        return tune.with_resources(trainable, {"cpu": 1, "gpu": resources.gpus_per_worker})


def _tune_config(searcher: PerBatchSearch, resources: Resources) -> tune.TuneConfig:
    return tune.TuneConfig(
        search_alg=searcher,
        num_samples=-1,  # the searcher knows when there is nothing left
        max_concurrent_trials=resources.workers,
        reuse_actors=True,
    )


def _run_config(stop: Stop, scratch: Path) -> tune.RunConfig:
    return tune.RunConfig(
        name="cohorts",
        storage_path=str(scratch),
        checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
        callbacks=[],
        stop=_Asked(stop),
        verbose=0,
    )
