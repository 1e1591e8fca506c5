"""A sweep under Ray: runs of Ray Tune over the missing cohorts of a study."""

import tempfile
from pathlib import Path
from typing import Any

from ray import tune

from analysis.tables.folder import ResultsFolder
from study.config.study import ResolvedStudy
from study.engine.networks.training import Trainable
from study.orchestration.actor import RaceTrainable, shared_data
from study.orchestration.board import Board
from study.orchestration.cluster import joined
from study.orchestration.dispatch import Dispatch
from study.orchestration.resources import Resources
from study.orchestration.searcher import Ending, PerBatchSearch
from study.orchestration.signals import Stop


class RayWorkers:
    """The workers of a sweep as actors of Ray Tune.

    Attributes:
        laps: returns how far cohorts in training are; safe in another thread.
    """

    def __init__(
        self,
        dispatch: Dispatch,
        study: tuple[ResultsFolder, ResolvedStudy, Trainable],
        resources: Resources,
        stop: Stop,
    ) -> None:
        """Start without a Ray; `study` is its results folder, itself, and its workload."""
        self._dispatch, self._study = dispatch, study
        self._resources, self._stop = resources, stop
        self._board = Board()
        self.laps = self._board.laps

    def run(self, work: Path) -> None:
        """Train cohorts until none is left or a stop is asked for; `work` is a folder for Ray."""
        with joined(work, self._resources, self._stop):
            searcher = PerBatchSearch(self._dispatch)
            trainable, tune_config = self._with_data(), self._tune_config(searcher)
            unfinished = True
            while unfinished:
                try:
                    with tempfile.TemporaryDirectory(
                        prefix="batchscale-", ignore_cleanup_errors=True
                    ) as scratch:
                        ending = Ending(self._stop, self._board, self._dispatch)
                        tune.Tuner(
                            trainable,
                            tune_config=tune_config,
                            run_config=_run_config(ending, scratch),
                        ).fit()
                except OSError as error:  # Tune writes its own state, which nothing reads
                    if error.errno is None:  # an error of Ray's, not of the disk
                        raise
                    self._dispatch.end(_no_scratch(error))
                unfinished = searcher.needs_another_run() and not self._stop.requested
            self._board.clear()

    def _with_data(self) -> Any:  # Ray gives no type
        folder, resolved, trainable = self._study
        data, form = shared_data(trainable)
        actor = tune.with_parameters(
            RaceTrainable,
            folder=folder,
            resolved=resolved.as_data(),
            data=data,
            form=form,
            data_dir=self._resources.data_dir,
            board=self._board,
        )
        # one bundle of a placement group, so that all of it is on one machine
        share = self._resources
        wanted = {"cpu": share.cpus_per_worker, "gpu": share.gpus_per_worker}
        return tune.with_resources(actor, wanted)

    def _tune_config(self, searcher: PerBatchSearch) -> tune.TuneConfig:
        return tune.TuneConfig(
            search_alg=searcher,
            num_samples=-1,  # the searcher knows when there is nothing left
            max_concurrent_trials=self._resources.workers,
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
