"""One task on a Ray cluster, with a machine of it to itself."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import ray
from ray.exceptions import RayError

from study.errors import StudyError
from study.orchestration.cluster import joined
from study.orchestration.resources import Resources
from study.orchestration.signals import Stop

T = TypeVar("T")


def run_alone(address: str, work: Callable[..., T], *arguments: Any) -> T:
    """Return the result of `work(device, *arguments)` on a machine of a cluster.

    The task has all cores of the machine, or a whole GPU where any machine has one, and waits until
    they are free. `device` is cpu or cuda.

    Raises:
        StudyError: the cluster cannot be joined, or the work fails there.
    """
    resources = Resources(workers=1, address=address)
    with (
        tempfile.TemporaryDirectory(prefix="batchscale-") as folder,
        joined(Path(folder), resources, _Unstopped()),
    ):
        nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
        machines = [node["Resources"] for node in nodes if node["Alive"]]
        gpu = any(machine.get("GPU", 0) >= 1 for machine in machines)
        most = max(machine.get("CPU", 0) for machine in machines)
        share = {"num_gpus": 1} if gpu else {"num_cpus": most}

        @ray.remote(max_retries=0, **share)
        def task(device: str, *given: Any) -> T:
            return work(device, *given)  # which need not be a function itself

        try:
            result: T = ray.get(task.remote("cuda" if gpu else "cpu", *arguments))
        except RayError as error:
            last = str(error).strip().rpartition("\n")[2]  # it is as long as the traceback there
            raise StudyError(f"the task failed on a machine of the cluster: {last}") from error
    return result


class _Unstopped(Stop):
    """Leaves signals to Python, which end the command: there is nothing to be saved."""

    def listen(self) -> None:
        """Install no handlers."""
