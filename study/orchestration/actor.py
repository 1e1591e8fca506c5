"""The worker under Ray: an actor that trains one cohort after another.

It imports only what training needs, because every worker waits for its imports.
"""

import json
import os
import time
import warnings
from collections.abc import Callable
from dataclasses import asdict
from itertools import count
from typing import Any
from uuid import uuid4

import ray
import torch
from ray import cloudpickle, tune
from ray.experimental import internal_kv

from analysis.tables.folder import ResultsFolder
from study.config.study import ResolvedStudy
from study.engine.fingerprint import untrained_numbers
from study.engine.networks.training import LoadedWorkload, Trainable, prepare
from study.orchestration.cluster import this_node
from study.orchestration.worker import Report, Worker, ended_after
from study.records import Cohort, Lap, record_from_json
from study.storage.provenance import changed_workload
from workloads.command import PROGRAM
from workloads.registry import resolve as resolve_workload
from workloads.trees import mapped
from workloads.workload import Data

Arrays = tuple[Any, ...]
_POLL_SECONDS = 0.5


class Board:
    """What the workers of a sweep last reported, and whether they are to stop.

    Both are keys in Ray's own store, which a worker polls far more cheaply than a file.
    """

    def __init__(self) -> None:
        self._sweep, self._polled, self._stopping = uuid4().hex, 0.0, False

    def laps(self) -> list[Lap]:
        """Return how far the cohorts in training are; empty if Ray does not answer."""
        keys = _call_store("list", f"{self._sweep}-lap-") or []
        texts = [_call_store("get", key) for key in keys]
        return [Lap(**json.loads(text)) for text in texts if text]

    def reporter(self) -> Callable[[Lap | None], None]:
        """Return the function that a worker reports with; its key is empty while it is idle."""
        key = f"{self._sweep}-lap-{uuid4().hex}"
        return lambda lap: _call_store(
            "put", key, b"" if lap is None else json.dumps(asdict(lap)).encode()
        )

    def stop(self) -> None:
        """Tell every worker, on other machines too, to save what it trains and to stop."""
        _call_store("put", f"{self._sweep}-stop", b"1")

    def stopping(self) -> bool:
        """Return whether a worker is to stop; asks Ray at most every half second."""
        now = time.monotonic()
        if not self._stopping and now - self._polled >= _POLL_SECONDS:
            self._polled, self._stopping = now, bool(_call_store("exists", f"{self._sweep}-stop"))
        return self._stopping

    def clear(self) -> None:
        """Remove the keys from Ray, which may outlive the sweep."""
        _call_store("del", self._sweep, del_by_prefix=True)


def _call_store(operation: str, *arguments: str | bytes, **options: bool) -> Any:
    """Return the answer of Ray's store; None while Ray starts or ends, which must harm nothing."""
    try:
        function = getattr(internal_kv, f"_internal_kv_{operation}")
        return function(*arguments, namespace="batchscale", **options)
    except Exception:  # noqa: BLE001 - Ray raises many types
        return None


class RaceTrainable(tune.Trainable):
    """A Ray Tune trial, which is one cohort. Actors are reused: each loads the workload once."""

    def setup(self, config: dict[str, Any], **job: Any) -> None:
        """Load the workload on this worker.

        Args:
            config: the first cohort, as Tune passes it; read in `step`.
            **job: `folder`, the results folder; `resolved`, the study as plain data; `data` and
                `form`, from `shared_data`; `data_dir`, the folder of data files or None; `board`,
                where workers report how far they are and see whether to stop.
        """
        torch.set_num_threads(1)  # results must not depend on the number of workers per core
        if job["data_dir"] is not None:
            os.environ["BATCHSCALE_DATA"] = job["data_dir"]
        self._announced, self._refusal = False, None
        resolved = ResolvedStudy.model_validate(job["resolved"])
        program = resolved.compute.mode == PROGRAM  # it has the GPUs to itself
        device = "cuda" if ray.get_gpu_ids() and not program else "cpu"
        try:
            with ended_after(resolved.compute.cohort_minutes):
                workload = resolve_workload(resolved.workload, resolved.workload_options)
                data = received(job["data"], job["form"])
                trainable = prepare(workload, device, resolved.compute.precision, data)
                self._refusal = refusal(trainable, job["folder"], this_node())
        except Exception as error:  # noqa: BLE001 - code of the workload; Ray would hide the cause
            self._refusal = (
                f"a worker must be able to load the workload, {this_node()} got "
                f"{type(error).__name__}: {error}; install the same packages and files on all "
                "machines"
            )
            return
        self._worker = Worker(
            folder=job["folder"],
            resolved=resolved,
            trainable=trainable,
            device=device,
            stopping=job["board"].stopping,
            report_lap=job["board"].reporter(),
        )

    def step(self) -> dict[str, Any]:
        """Train the cohort and write its part; with a time limit, first report its start."""
        if self._refusal is not None:
            return {"done": True, **asdict(Report(unwritten=self._refusal))}
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


def refusal(trainable: Trainable, folder: ResultsFolder, node: str) -> str | None:
    """Return why a worker on a node must not train; None if it has the driver's workload.

    It has another one if an untrained model gives other numbers than the driver recorded: the
    files differ, or the numbers depend on the order of a set or on the process.
    """
    if not isinstance(trainable, LoadedWorkload):
        return None
    changes = changed_workload(folder, {"data": {}, "start": untrained_numbers(trainable)})
    if not changes:
        return None
    return (
        f"a worker must train the workload that the driver has examined, {node} got "
        f"{'; '.join(changes)}; install the same files on all machines, and let models and "
        "losses depend on data and seeds alone, not on the order of a set or on the process"
    )


def shared_data(trainable: Trainable) -> tuple[Arrays, bytes] | tuple[None, None]:
    """Return a workload's data as arrays and their form; None for both if workers read data alone.

    Ray's object store keeps the arrays once per machine. The form is the containers of all splits,
    with the index of an array at each leaf. It is pickled separately: its classes may come from the
    workload's own file, which a worker has to load first.
    """
    if not isinstance(trainable, LoadedWorkload) or not trainable.data.held:
        return None, None
    splits, index = trainable.data.splits, count()
    if not all(split.tensors for split in splits.values()):
        return None, None
    tensors = [tensor for split in splits.values() for tensor in split.tensors]
    arrays = tuple(t if t.dtype is torch.bfloat16 else t.cpu().numpy() for t in tensors)
    form = cloudpickle.dumps(mapped(lambda _: next(index), splits))  # type: ignore[no-untyped-call]
    return arrays, bytes(form)


def received(arrays: Arrays | None, form: bytes | None) -> Data | None:
    """Return the data of `shared_data` on a worker; None if there are none."""
    if arrays is None or form is None:
        return None
    with warnings.catch_warnings():
        # the store's memory is read-only, which torch cannot express; nothing writes to data
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        tensors = [torch.as_tensor(array) for array in arrays]
    # unpickling is safe: like everything that Ray delivers, it comes from the driver
    return Data(**mapped(tensors.__getitem__, cloudpickle.loads(form)))
