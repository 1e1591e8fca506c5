"""Timing of a study's steps at each of its batch sizes, here or on a Ray cluster."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from operator import attrgetter
from typing import Any, Self

import torch

from analysis.tables.folder import ResultsFolder
from batchscale.errors import BatchscaleError
from study.config.study import ResolvedStudy
from study.costing.timing import timed_program, timed_steps, unpacked
from study.engine.networks.training import LoadedWorkload, Trainable, prepare
from study.errors import StudyError, cause
from study.planning.cores import cores
from study.records import Point, TrialResult
from study.replay.recorded import recorded_trials
from study.storage.study_folder import read_study_toml
from workloads.command import Command
from workloads.registry import files_refused
from workloads.registry import resolve as resolve_workload
from workloads.workload import Data

Row = dict[str, Any]
Progress = Callable[[int], None]
"""Called with each batch size before it is timed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """What to time, on any machine."""

    study: ResolvedStudy
    points: Mapping[int, Point] = field(repr=False)  # the best recorded one at each batch size
    seconds: float  # of timing at each batch size
    threads: int | None = None  # of the CPU; None for one per core
    data_dir: str | None = None  # None leaves it to the environment

    @classmethod
    def of(cls, folder: ResultsFolder, seconds: float, threads: int | None = None) -> Self:
        """Return what to time for the study in a folder, which must not be imported."""
        resolved = read_study_toml(folder)
        return cls(
            study=resolved,
            points=good_points(recorded_trials(folder, resolved)),
            seconds=seconds,
            threads=threads,
            data_dir=os.environ.get("BATCHSCALE_DATA"),
        )


def good_points(recorded: Sequence[TrialResult]) -> dict[int, Point]:
    """Return the best recorded point at each batch size at which any trial trained.

    Steps take as long at any point, except where numbers diverge or vanish.

    Raises:
        StudyError: no trial is recorded.
    """
    best: dict[int, TrialResult] = {}
    for result in recorded:
        if result.outcome.best_error is not None:
            size = result.batch_size
            best[size] = min(best.get(size, result), result, key=attrgetter("rank"))
    if not best:
        raise StudyError(
            "steps are timed with the hyperparameters of a recorded trial, got a study without a "
            "measured trial; run `sweep` first"
        )
    return {size: best[size].point for size in sorted(best)}


def timed_here(job: Job, run_code: bool, progress: Progress) -> list[Row]:
    """Return the rows of `cost.parquet`, timed on the GPU of this machine, or on its cores."""
    with files_refused(not run_code):
        trainable = _trainable(job, "cuda" if torch.cuda.is_available() else "cpu")
    return timed(job, trainable, progress)


def timed_on_cluster(job: Job, address: str, run_code: bool) -> list[Row]:
    """Return the rows of `cost.parquet`, timed with a Ray cluster's GPU or largest machine alone.

    Raises:
        StudyError: the study is one of programs, or the cluster cannot be joined.
    """
    from study.orchestration.actor import shared_data
    from study.orchestration.cluster import run_alone

    with files_refused(not run_code):
        here = _trainable(job, "cpu")
    if isinstance(here, Command):
        raise StudyError(
            "--address only times networks that batchscale trains, got a study of a program; run "
            "`cost` on the machine to be timed, or give step times with --step-times"
        )
    return run_alone(address, partial(_timed_there, job), *shared_data(here))


def _timed_there(job: Job, device: str, data: Any, form: bytes | None) -> list[Row]:
    from study.orchestration.actor import received

    if job.data_dir is not None:
        os.environ["BATCHSCALE_DATA"] = job.data_dir
    return timed(job, _trainable(job, device, received(data, form)))


def _trainable(job: Job, device: str, data: Data | None = None) -> Trainable:
    workload = resolve_workload(job.study.workload, job.study.workload_options)
    return prepare(workload, device, job.study.compute.precision, data)


def timed(job: Job, trainable: Trainable, progress: Progress = lambda size: None) -> list[Row]:
    """Return the rows of `cost.parquet` for a workload that is ready to be trained.

    Raises:
        StudyError: the workload is neither a network nor a program, or a step raises.
    """
    if isinstance(trainable, Command):
        time_one, resolved = partial(timed_program, command=trainable), job.study
    elif isinstance(trainable, LoadedWorkload):
        time_one, resolved = partial(timed_steps, trainable=trainable), unpacked(job.study)
    else:
        raise StudyError(
            f"only networks and programs can be timed, got {job.study.workload!r}, a workload with "
            "its own dynamics; give its step times with --step-times"
        )
    rows = []
    with _threads(job.threads or cores()):
        for size, point in job.points.items():
            progress(size)
            try:
                row = time_one(resolved, point=point, batch_size=size, seconds=job.seconds)
            except Exception as error:
                if isinstance(error, BatchscaleError):
                    raise
                raise StudyError(
                    f"a step at batch size {size} must train as it did in the sweep, got "
                    f"{cause(error)}; free memory if it is short, or give step times with "
                    "--step-times"
                ) from error
            rows.append(row)
    return rows


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
