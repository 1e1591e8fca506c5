"""The orchestrator: one Ray Tune run over the cohorts of a study.

The worker writes each cohort's part and Ray sees scalars only: Tune's own records lose failed
trials and swallow NaN, so nothing is ever read back from them.
"""

import json
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import Any

from ray import tune
from ray.tune.search import Searcher

from analysis.errors import AnalysisError
from analysis.folder import ResultsFolder
from study.actor import UNWRITTEN, RaceTrainable, shared_data
from study.checkpoints import CHECKPOINTS
from study.cluster import Resources, joined
from study.cohorts import CohortQueue, Standing
from study.config import ResolvedStudy
from study.errors import StudyError
from study.journal import Journal
from study.parts import part_name, read_part, write_part
from study.provenance import record_end, record_start
from study.records import Cohort, Status, TrialResult
from study.stopping import Stop
from study.store import Ended, consolidate, read_parts, read_parts_at
from study.worker import Trainable, failed

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
        self._began: dict[str, float] = {}
        self.errors: list[str] = []
        self.notes: list[str] = []
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
            self._queue.plan(read_parts_at(self._folder, self._study, size))
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
        return read_part(self._folder, name, self._study)

    def _overdue(self, cohort: Cohort, began: float | None) -> list[TrialResult] | None:
        """Records the trials of a cohort whose worker ended itself when the time was over."""
        minutes = self._study.compute.cohort_minutes
        if minutes is None or began is None or time.monotonic() - began < 60 * minutes:
            return None
        results = failed(
            cohort, f"the cohort trained for longer than compute.cohort_minutes = {minutes:g}"
        )
        write_part(self._folder, self._study, results)
        return results

    def _stop_if_hopeless(self, results: list[TrialResult]) -> None:
        """Stops where nothing but failures came from the first two batch sizes, or the only one."""
        if not all(result.outcome.status is Status.FAILED for result in results):
            self._any_ran = True
            return
        self._failed_sizes.add(results[0].batch_size)
        first = self._study.searched or self._study.batch_sizes
        if not self._any_ran and len(self._failed_sizes) >= min(2, len(first)):
            self.end(f"every trial of the first cohorts failed: {results[0].message}")

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Notes when a cohort whose time is limited began; one reports once more at its end."""
        self._began[trial_id] = time.monotonic()

    def save(self, checkpoint_path: str) -> None:
        """Does nothing: the parts are the state."""

    def restore(self, checkpoint_path: str) -> None:
        """Does nothing: a sweep is resumed from its parts."""


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

    def __init__(self, folder: ResultsFolder, study: ResolvedStudy, trainable: Trainable) -> None:
        """Rebuilds the searches from the folder's parts.

        Args:
            folder: the results folder, opened by `study.store.open_folder`.
            study: the study in it.
            trainable: its workload, whose data every worker is given.
        """
        self._folder, self._study, self._trainable = folder, study, trainable
        self._recorded: list[TrialResult] = []
        self._queue = CohortQueue(study, self._read())

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
            trials = consolidate(self._folder, self._study)
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
        for result in read_parts(self._folder, self._study):
            self._recorded.append(result.without_curve())
            yield result

    def _run_missing(self, resources: Resources, stop: Stop) -> PerBatchSearch:
        with self._folder.workspace(keep=[JOURNAL_FILE]) as work:
            scratch = work / SCRATCH
            shutil.rmtree(scratch, ignore_errors=True)  # of a sweep that was killed
            journal = self._journal(work / JOURNAL_FILE)
            searcher = PerBatchSearch(self._folder, self._study, self._queue, journal)
            if not self._queue.empty and not stop.requested:
                try:
                    with joined(work, resources, stop):
                        self._tuner(searcher, resources, stop, scratch).fit()
                except OSError as error:  # Tune keeps state of its own in the scratch
                    if error.errno is None:  # Ray's own, not the disk's
                        raise
                    searcher.end(self._folder.unwritable(error))
                finally:
                    shutil.rmtree(scratch, ignore_errors=True)
        return searcher

    def _without_base(self) -> list[str]:
        recipe = self._study.recipe
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

    def _tuner(
        self, searcher: PerBatchSearch, resources: Resources, stop: Stop, scratch: Path
    ) -> tune.Tuner:
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
                stop=_Asked(stop),
                verbose=0,
            ),
        )
