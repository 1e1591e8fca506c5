"""The worker: a Ray actor that trains one cohort after another.

It imports only what training needs, because every worker waits for these imports.
"""

import contextlib
import faulthandler
import os
import warnings
from collections.abc import Iterator
from typing import Any

import ray
import torch
from ray import tune

from analysis.errors import AnalysisError
from analysis.tables.folder import ResultsFolder
from study.config.study import ResolvedStudy
from study.engine.checkpoints import Checkpoint, SavedError
from study.engine.cohort import run_cohort
from study.engine.networks.training import LoadedWorkload, Trainable, prepare
from study.orchestration.cluster import this_node
from study.orchestration.stopping import StopSign
from study.records import Cohort, Status, record_from_json
from study.storage.parts import cohort_stem, write_part
from workloads.command.program import PROGRAM
from workloads.registry import resolve as resolve_workload
from workloads.workload import Data, Examples

_STDERR = 2
Arrays = tuple[Any, ...]
UNWRITTEN = "unwritten"
"""Key of a result with the reason why a cohort's part could not be written."""
SAVED = "saved"
"""Key of a result of a cohort whose training ended early and goes on from its checkpoint."""


class RaceTrainable(tune.Trainable):
    """A Ray Tune trial: one cohort. Actors are reused, so each loads the workload once."""

    def setup(self, config: dict[str, Any], **job: Any) -> None:
        """Load the workload on this worker.

        Args:
            config: the first cohort, as Tune passes it; read in `step`.
            **job: `folder`, the results folder; `resolved`, the study as plain data;
                `data`, from `shared_data`; `data_dir`, the folder of data files or None; `sign`,
                which tells that the sweep is to stop.
        """
        torch.set_num_threads(1)  # results must not depend on the number of workers per core
        if job["data_dir"] is not None:
            os.environ["BATCHSCALE_DATA"] = job["data_dir"]
        self._announced = False
        self._folder: ResultsFolder = job["folder"]
        self._sign: StopSign = job["sign"]
        self._resolved = ResolvedStudy.model_validate(job["resolved"])
        # programs have the GPUs to themselves
        program = self._resolved.compute.mode == PROGRAM
        self._device = "cuda" if ray.get_gpu_ids() and not program else "cpu"
        with _ended_after(self._resolved.compute.cohort_minutes):
            workload = resolve_workload(self._resolved.workload, self._resolved.workload_options)
            self._trainable: Trainable = prepare(
                workload, self._device, self._resolved.compute.precision, _received(job["data"])
            )

    def step(self) -> dict[str, Any]:
        """Train the cohort and write its part; with a time limit, first report that it begins."""
        minutes = self._resolved.compute.cohort_minutes
        if minutes is not None and not self._announced:
            self._announced = True
            return {"reached": 0, "notes": [], "done": False}
        cohort = record_from_json(Cohort, self.config["cohort"])
        stem = cohort_stem(cohort.batch_size, cohort.number, cohort.role)
        checkpoint = Checkpoint(self._folder, stem, self._resolved, cohort, self._device)
        checkpoint.stopping = self._sign.seen
        try:
            with _ended_after(minutes):
                results = run_cohort(self._resolved, self._trainable, cohort, checkpoint)
        except SavedError:
            return {"reached": 0, "notes": checkpoint.notes, "done": True, SAVED: True}
        try:
            write_part(self._folder, self._resolved, results, this_node())
        except AnalysisError as error:
            return {"reached": 0, "notes": checkpoint.notes, "done": True, UNWRITTEN: str(error)}
        checkpoint.remove()
        if self._device == "cuda" and any(r.outcome.status is Status.FAILED for r in results):
            torch.cuda.synchronize()  # raises if the device is lost: another worker takes over
        reached = sum(result.outcome.status is Status.REACHED for result in results)
        return {"reached": reached, "notes": checkpoint.notes, "done": True}

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Accept the next cohort."""
        self._announced = False
        return True


@contextlib.contextmanager
def _ended_after(minutes: float | None) -> Iterator[None]:
    """End this process if the body takes longer; the driver records why."""
    if minutes is None:
        yield
        return
    # a Python thread could not end code that holds the interpreter lock; faulthandler can
    faulthandler.dump_traceback_later(60 * minutes, exit=True, file=_STDERR)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()


def shared_data(trainable: Trainable) -> Arrays | None:
    """Return a workload's data as arrays, which Ray's object store holds once per machine.

    Returns:
        Inputs and targets of the training and validation sets; None where there are no data, or
        where each worker maps the data file itself.
    """
    if not isinstance(trainable, LoadedWorkload) or trainable.data.mapped:
        return None
    tensors = (*trainable.data.train, *trainable.data.validation)
    return tuple(t if t.dtype is torch.bfloat16 else t.cpu().numpy() for t in tensors)


def _received(arrays: Arrays | None) -> Data | None:
    if arrays is None:
        return None
    with warnings.catch_warnings():
        # the store's memory is read-only, which torch cannot express; nothing writes to data
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        train, targets, validation, validation_targets = map(torch.as_tensor, arrays)
    return Data(train=Examples(train, targets), validation=Examples(validation, validation_targets))
