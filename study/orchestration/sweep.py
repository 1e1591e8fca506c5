"""A sweep: runs of Ray Tune over the missing cohorts of a study, then its tables."""

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ray import tune

from analysis.errors import AnalysisError
from analysis.tables.folder import ResultsFolder
from study.config.study import ResolvedStudy
from study.engine.checkpoints import CHECKPOINTS
from study.engine.networks.training import LoadedWorkload, Trainable
from study.orchestration.actor import RaceTrainable, shared_data
from study.orchestration.cluster import Resources, joined
from study.orchestration.progress import Progress
from study.orchestration.searcher import PerBatchSearch
from study.orchestration.signals import Stop
from study.orchestration.stopping import Ending, StopSign
from study.search.journal import Journal
from study.search.queue import CohortQueue, Standing
from study.storage.consolidate import Ended, consolidated
from study.storage.parts import Parts
from study.storage.provenance import check_readable, record_end, record_start
from workloads.command.program import Command

JOURNAL_FILE = "optuna.log"


@dataclass(frozen=True, kw_only=True, slots=True)
class SweepEnd:
    """How a sweep ended.

    Attributes:
        trials: batch size, status and message of every recorded trial; none if the parts could not
            be read.
        errors: sentences on lost cohorts, and on why the sweep stopped.
        notes: sentences on checkpoints.
        seconds: wall-clock time of this sweep.
    """

    trials: list[Ended]
    errors: list[str]
    notes: list[str]
    seconds: float


class Sweep:
    """The remaining work of a study, ready to run.

    Attributes:
        progress: counts the study's trials as they are recorded.
    """

    def __init__(
        self, folder: ResultsFolder, resolved: ResolvedStudy, trainable: Trainable
    ) -> None:
        """Rebuild the searches from the parts of earlier sweeps; nothing is written.

        Args:
            folder: the study's results folder.
            resolved: the study.
            trainable: its workload, whose data are sent to every worker.
        """
        self._folder, self._resolved, self._trainable = folder, resolved, trainable
        check_readable(folder)
        self._parts = Parts(folder, resolved)
        self._queue = CohortQueue(resolved, self._parts)
        self.progress = Progress(resolved, self._parts)

    def standings(self) -> list[Standing]:
        """Return how many trials race and wait at each batch size; safe from another thread."""
        return self._queue.standings()

    def run(self, resources: Resources, stop: Stop) -> SweepEnd:
        """Run every missing cohort and write the tables.

        Args:
            resources: where to run, and how many cohorts at once.
            stop: whether to end early; the tables are written all the same.

        Returns:
            How the trials ended, and what went wrong.
        """
        started, missing = time.monotonic(), not self._queue.empty
        if missing:
            used = {"workers": resources.workers, "gpus_per_worker": resources.gpus_per_worker}
            record_start(self._folder, used, self._admission())
        searcher = self._run_missing(resources, stop)
        errors = list(searcher.errors)
        if not errors and not stop.requested:
            errors += self._unusable_base()
        trials: list[Ended] = []
        try:
            tables = consolidated(self._parts)
            trials = tables.ended
            tables.write(self._folder)
            if missing:
                record_end(self._folder)
            if self._queue.empty and not searcher.errors and not stop.requested:
                # some are left by cohorts that were lost, or that the study no longer has
                self._folder.remove_all(CHECKPOINTS)
        except AnalysisError as error:  # the parts are whole; the next sweep writes the tables
            errors.append(f"the tables could not be written: {error}")
        return SweepEnd(
            trials=trials,
            errors=errors,
            notes=searcher.notes,
            seconds=time.monotonic() - started,
        )

    def _run_missing(self, resources: Resources, stop: Stop) -> PerBatchSearch:
        with self._folder.workspace(keep=[JOURNAL_FILE]) as work:
            journal = self._journal(work / JOURNAL_FILE)
            searcher = PerBatchSearch(self._parts, self._queue, journal, self.progress)
            if not self._queue.empty and not stop.requested:
                with joined(work, resources, stop):
                    self._run_all(searcher, resources, stop)
        return searcher

    def _run_all(self, searcher: PerBatchSearch, resources: Resources, stop: Stop) -> None:
        sign = StopSign()
        trainable = self._with_data(resources, sign)
        tune_config = _tune_config(searcher, resources)
        unfinished = True
        while unfinished:
            try:
                with tempfile.TemporaryDirectory(
                    prefix="batchscale-", ignore_cleanup_errors=True
                ) as scratch:
                    run_config = _run_config(Ending(stop, sign, searcher), scratch)
                    tune.Tuner(trainable, tune_config=tune_config, run_config=run_config).fit()
            except OSError as error:  # Tune writes state of its own, which nothing reads
                if error.errno is None:  # an error of Ray's, not of the disk
                    raise
                searcher.end(_no_scratch(error))
            unfinished = searcher.needs_another_run() and not stop.requested
        sign.take_down()

    def _admission(self) -> dict[str, Any]:
        """Return how lanes are trained and why, and what else the workload was seen to do."""
        mode = self._resolved.compute.mode
        if isinstance(self._trainable, Command):
            return {"mode": mode, **self._trainable.record()}
        if not isinstance(self._trainable, LoadedWorkload):
            return {"mode": mode}
        seen = self._trainable.observed.words()
        return {"mode": mode, "reason": self._trainable.looped_because, "observed": seen}

    def _unusable_base(self) -> list[str]:
        recipe = self._resolved.recipe
        if recipe is None or not self._queue.without_base:
            return []
        return [
            f"no trial reached the target at batch size {recipe.base}, so the {recipe.rule} "
            "scaling rule has no point to start from and was not run; loosen race.target, or raise "
            "race.max_steps or search.trials, in a new results folder"
        ]

    def _journal(self, path: Path) -> Journal:
        try:
            journal, searches = Journal(path), self._queue.searches()
            for size, results in self._parts.by_size():
                journal.add(searches[size], results)
        except OSError as error:
            raise AnalysisError(self._folder.unwritable(error)) from error
        return journal

    def _with_data(self, resources: Resources, sign: StopSign) -> Any:  # Ray gives no type
        trainable = tune.with_parameters(
            RaceTrainable,
            folder=self._folder,
            resolved=self._resolved.as_data(),
            data=shared_data(self._trainable),
            data_dir=resources.data_dir,
            sign=sign,
        )
        # one bundle of a placement group, so that all of it is on one machine
        wanted = {"cpu": resources.cpus_per_worker, "gpu": resources.gpus_per_worker}
        return tune.with_resources(trainable, wanted)


def _tune_config(searcher: PerBatchSearch, resources: Resources) -> tune.TuneConfig:
    return tune.TuneConfig(
        search_alg=searcher,
        num_samples=-1,  # the searcher knows when there is nothing left
        max_concurrent_trials=resources.workers,
        reuse_actors=True,
    )


def _no_scratch(error: OSError) -> str:
    return (
        f"the folder of temporary files must be writable, got {tempfile.gettempdir()}: "
        f"{error.strerror or error}; free some space there, or set TMPDIR to another folder"
    )


def _run_config(ending: Ending, scratch: str) -> tune.RunConfig:
    return tune.RunConfig(
        name="cohorts",
        storage_path=scratch,
        checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
        callbacks=[],
        stop=ending,
        verbose=0,
    )
