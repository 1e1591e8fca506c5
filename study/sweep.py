"""The orchestrator: one Ray Tune run over the cohorts of a study.

The worker writes each cohort's part and Ray sees scalars only: Tune's own records lose failed
trials and swallow NaN, so nothing is ever read back from them.
"""

import json
import shutil
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import Any

from ray import tune
from ray.tune.search import Searcher

from analysis.errors import AnalysisError
from analysis.folder import ResultsFolder
from study.actor import RaceTrainable, shared_data
from study.cluster import Resources, joined
from study.cohorts import CohortQueue, Standing
from study.config import ResolvedStudy
from study.errors import StudyError
from study.journal import Journal
from study.parts import part_name, read_part
from study.records import Cohort, Status, TrialResult
from study.store import consolidate, read_parts
from study.worker import Trainable

JOURNAL_FILE = "optuna.log"
SCRATCH = "ray"


class PerBatchSearch(Searcher):
    """Hands out cohorts to Ray Tune and feeds their parts back to one search per batch size."""

    def __init__(
        self, folder: ResultsFolder, study: ResolvedStudy, queue: CohortQueue, journal: Journal
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
        self._failed_sizes: set[int] = set()

    def suggest(self, trial_id: str) -> Any:  # Ray types it as dict, and documents FINISHED
        """Gives the next cohort, None while all must wait, FINISHED after the last."""
        cohort = self._queue.take()
        if cohort is None:
            return Searcher.FINISHED if self._queue.empty else None
        self._running[trial_id] = cohort
        # as one string: Tune keeps every config to the end, in several copies of each of its parts
        return {"cohort": json.dumps(asdict(cohort))}

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Reads the cohort's part; a worker that died left none."""
        cohort = self._running.pop(trial_id)
        try:
            results = self._part(cohort)
        except (AnalysisError, StudyError) as stopping:  # Tune would end in its own traceback
            self.errors.append(f"the sweep stopped: {stopping}")
            self._queue.stop()
            return
        if results is None:
            self.errors.append(
                f"the worker died, or could not write its part, in cohort {cohort.number} at "
                f"batch size {cohort.batch_size}; `sweep` again runs it again"
            )
            self._queue.lose(cohort)
            return
        self._queue.finish(results)
        self._journal.add(self._queue.searches()[cohort.batch_size], results)
        self._stop_if_hopeless(results)

    def _part(self, cohort: Cohort) -> list[TrialResult] | None:
        name = part_name(cohort.batch_size, cohort.number, cohort.role)
        if not self._folder.exists(name):
            return None
        return read_part(self._folder, name, self._study)

    def _stop_if_hopeless(self, results: list[TrialResult]) -> None:
        """Stops where nothing but failures came from the first two batch sizes, or the only one."""
        if not all(result.outcome.status is Status.FAILED for result in results):
            self._any_ran = True
            return
        self._failed_sizes.add(results[0].batch_size)
        if not self._any_ran and len(self._failed_sizes) >= min(2, len(self._study.batch_sizes)):
            self.errors.append(
                f"every trial of the first cohorts failed, the sweep stopped: {results[0].message}"
            )
            self._queue.stop()

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
        statuses: how many trials of the study ended in each status, as the tables have them.
        errors: cohorts that were lost, in words.
        seconds: wall-clock of this sweep.
    """

    statuses: Counter[Status]
    errors: list[str]
    seconds: float


class Sweep:
    """A study's remaining work, ready to run."""

    def __init__(self, folder: ResultsFolder, study: ResolvedStudy, trainable: Trainable) -> None:
        """Rebuilds the searches from the folder's parts.

        Args:
            folder: the results folder, opened by `study.store.open_folder`.
            study: the study in it.
            trainable: its workload, whose data every worker is given.
        """
        self._folder, self._study, self._trainable = folder, study, trainable
        self._recorded = read_parts(folder, study)
        self._queue = CohortQueue(study, self._recorded)

    @property
    def recorded(self) -> Sequence[TrialResult]:
        """The trials of earlier sweeps; none once it has run."""
        return self._recorded

    @property
    def complete(self) -> bool:
        """Whether nothing is left to run; the tables may still have to be written."""
        return self._queue.empty

    def standings(self) -> list[Standing]:
        """Gives where each batch size stands; may be called from another thread."""
        return self._queue.standings()

    def run(self, resources: Resources) -> SweepEnd:
        """Runs every missing cohort and writes the tables.

        Args:
            resources: where and how wide.

        Returns:
            How its trials ended and what went wrong.
        """
        started = time.monotonic()
        with self._folder.workspace(keep=[JOURNAL_FILE]) as work:
            journal = self._journal(work / JOURNAL_FILE)
            searcher = PerBatchSearch(self._folder, self._study, self._queue, journal)
            if not self._queue.empty:
                with joined(work, resources):
                    self._tuner(searcher, resources, work / SCRATCH).fit()
                shutil.rmtree(work / SCRATCH, ignore_errors=True)
        statuses = consolidate(self._folder, self._study)
        seconds = time.monotonic() - started
        return SweepEnd(statuses=statuses, errors=searcher.errors, seconds=seconds)

    def _journal(self, path: Path) -> Journal:
        journal, searches = Journal(path), self._queue.searches()
        for size, results in groupby(self._recorded, key=attrgetter("batch_size")):
            journal.add(searches[size], list(results))
        self._recorded.clear()  # the queue has what it needs
        return journal

    def _tuner(self, searcher: PerBatchSearch, resources: Resources, scratch: Path) -> tune.Tuner:
        trainable = tune.with_parameters(
            RaceTrainable,
            folder=self._folder,
            study=self._study.as_data(),
            data=shared_data(self._trainable),
            data_dir=resources.data_dir,
        )
        per_worker = {"cpu": 1, "gpu": resources.gpus_per_worker}
        return tune.Tuner(
            tune.with_resources(trainable, per_worker),
            tune_config=tune.TuneConfig(
                search_alg=searcher,
                num_samples=-1,  # the searcher knows when there is nothing left
                max_concurrent_trials=resources.workers,
                reuse_actors=True,
            ),
            run_config=tune.RunConfig(
                name="cohorts",
                storage_path=str(scratch),
                checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
                callbacks=[],
                verbose=0,
            ),
        )
