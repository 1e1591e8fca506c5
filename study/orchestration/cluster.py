"""Ray for a sweep: started on this machine, or a running cluster that it joins."""

import contextlib
import logging
import os
import secrets
import socket
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import ray
from ray._common.utils import get_default_ray_temp_dir
from ray._private import ray_constants
from ray._private.authentication.authentication_token_setup import (
    AUTH_MODE_ENV_VAR,
    maybe_enable_token_auth_if_token_available,
)
from ray._raylet import AuthenticationTokenLoader  # type: ignore[attr-defined]
from ray.exceptions import AuthenticationError, RayError

from study.errors import StudyError, cause
from study.orchestration.resources import AUTO, Resources
from study.orchestration.signals import Stop, no_orphans, outliving_terminal, ray_watched

T = TypeVar("T")
_QUIET = {
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_DEDUP_LOGS": "0",
    # Tune would save all cohorts so far again and again; a sweep resumes from its parts
    "TUNE_GLOBAL_CHECKPOINT_S": "1000000000",
}


@contextlib.contextmanager
def joined(folder: Path, resources: Resources, stop: Stop) -> Iterator[None]:
    """Start or join Ray for the body, and leave it afterwards.

    Args:
        folder: a folder on this machine used by this sweep alone, without Python files.
        resources: where to run, and with how many workers.
        stop: takes back the signal handlers that Ray replaces.
    """
    # by default Ray starts one actor after another; all workers should start at once
    wanted = _QUIET | {"TUNE_MAX_PENDING_TRIALS_PG": str(resources.workers)}
    if resources.address is None:
        wanted |= {ray_constants.ENABLE_RAY_CLUSTERS_ENV_VAR: "0"}
    before = {name: os.environ.get(name) for name in (*wanted, AUTH_MODE_ENV_VAR)}
    os.environ.update(wanted)
    clusters = ray_constants.ENABLE_RAY_CLUSTER
    # Ray executes whatever it is sent, and listens on every network interface by default. With
    # clusters disabled it listens on loopback only. The driver reads this flag at import, hence
    # the assignment; workers read the environment variable when they start.
    ray_constants.ENABLE_RAY_CLUSTER = clusters and resources.address is not None
    try:
        with no_orphans(folder), contextlib.ExitStack() as end:
            end.callback(ray.shutdown)
            if resources.address is None:
                # or Ray would write a token into the home folder; this one stays as long as the
                # process, because Ray remembers the first token that it reads
                if not AuthenticationTokenLoader.instance().has_token(ignore_auth_mode=True):
                    os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
            elif resources.address != AUTO:
                # uses ~/.ray/auth_token, which Ray itself reads for `auto` only; a cluster that
                # requires no token accepts it too. RAY_AUTH_MODE, if set, takes precedence
                logging.getLogger("ray._private.authentication").setLevel(logging.ERROR)
                maybe_enable_token_auth_if_token_available(warn_if_disabled=False)
            # Ray puts the driver's current folder first on every worker's path, where a user's
            # study.py or analysis.py would shadow our packages
            with contextlib.chdir(folder), outliving_terminal():
                _init(resources)
            stop.listen()
            end.enter_context(ray_watched(stop))
            yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = clusters
        for name, value in before.items():
            os.environ.pop(name, None) if value is None else os.environ.update({name: value})


def run_alone(address: str, work: Callable[..., T], *arguments: Any) -> T:
    """Return the result of `work(device, *arguments)` on a machine of a cluster.

    The task gets all cores of a machine, or a whole GPU if any machine has one, and waits until
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
            return work(device, *given)  # Ray takes plain functions only

        try:
            result: T = ray.get(task.remote("cuda" if gpu else "cpu", *arguments))
        except RayError as error:
            last = str(error).strip().rpartition("\n")[2]  # of a whole traceback
            raise StudyError(f"the task failed on a machine of the cluster: {last}") from error
    return result


class _Unstopped(Stop):
    """Leaves signals to Python, which ends the command: there is nothing to save."""

    def listen(self) -> None:
        """Install no handlers."""


def this_node() -> str:
    """Return the host name of the machine that a worker runs on, and its Ray node ID."""
    return f"{socket.gethostname()} {ray.get_runtime_context().get_node_id()}"


def _init(resources: Resources) -> None:
    cores = resources.workers * resources.cpus_per_worker
    local: dict[str, Any] = {"num_cpus": cores, "include_dashboard": False}
    # Tune logs a traceback if it cannot write its state, which nothing reads
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
    try:
        ray.init(
            address=resources.address or "local",
            log_to_driver=False,
            logging_level=logging.ERROR,
            **({} if resources.address else local),
        )
    except (ConnectionError, AuthenticationError) as error:
        raise StudyError(
            f"--address must be a Ray cluster that this machine is part of, got "
            f"{resources.address}: {str(error).rstrip('.')}; start one with `ray start --head`, "
            "or leave the option out. If the cluster requires a token, put what `ray "
            "get-auth-token` prints on its head into ~/.ray/auth_token here, or set "
            "RAY_AUTH_MODE=token and RAY_AUTH_TOKEN to it"
        ) from error
    except Exception as error:
        if resources.address is not None:
            raise
        folder = get_default_ray_temp_dir()  # type: ignore[no-untyped-call]
        raise StudyError(
            f"Ray must start on this machine, got {cause(error)}; the logs in "
            f"{folder}/session_latest/logs may say why"
        ) from error
