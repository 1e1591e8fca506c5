"""The worker under Ray: an actor that trains one cohort after another.

It imports only what training needs, because every worker waits for these imports.
"""

import os
import warnings
from dataclasses import asdict
from typing import Any

import ray
import torch
from ray import tune

from study.config.study import ResolvedStudy
from study.engine.networks.training import LoadedWorkload, Trainable, prepare
from study.orchestration.cluster import this_node
from study.orchestration.worker import Report, Worker, ended_after
from study.records import Cohort, record_from_json
from workloads.registry import resolve as resolve_workload
from workloads.workload import Data, Examples

Arrays = tuple[Any, ...]


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
        resolved = ResolvedStudy.model_validate(job["resolved"])
        device = "cuda" if ray.get_gpu_ids() else "cpu"
        with ended_after(resolved.compute.cohort_minutes):
            workload = resolve_workload(resolved.workload, resolved.workload_options)
            data = _received(job["data"])
            trainable = prepare(workload, device, resolved.compute.precision, data)
        self._worker = Worker(
            folder=job["folder"],
            resolved=resolved,
            trainable=trainable,
            device=device,
            stopping=job["sign"].seen,
        )

    def step(self) -> dict[str, Any]:
        """Train the cohort and write its part; with a time limit, first report that it begins."""
        if self._worker.resolved.compute.cohort_minutes is not None and not self._announced:
            self._announced = True
            return {"done": False, **asdict(Report())}
        report = self._worker.train(record_from_json(Cohort, self.config["cohort"]), this_node())
        if self._worker.device == "cuda" and report.failed:
            torch.cuda.synchronize()  # raises if the device is lost: another worker takes over
        return {"done": True, **asdict(report)}

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Accept the next cohort."""
        self._announced = False
        return True


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
