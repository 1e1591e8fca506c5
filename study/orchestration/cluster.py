"""Where a sweep runs: Ray on this machine, or a running cluster that it joins."""

import contextlib
import logging
import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
from ray._private import ray_constants
from ray.exceptions import AuthenticationError

from study.errors import StudyError
from study.orchestration.signals import Stop, no_orphans, ray_watched

AUTO = "auto"
_CONNECT_SECONDS = 5.0
_QUIET = {
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_DEDUP_LOGS": "0",
    # Tune would write down all cohorts so far, again and again; a sweep resumes from its parts
    "TUNE_GLOBAL_CHECKPOINT_S": "1000000000",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Resources:
    """Where and how wide a sweep runs; none of it changes a result on one kind of machine.

    Attributes:
        workers: cohorts trained at once, >= 1.
        gpus_per_worker: share of a GPU that each worker gets, >= 0; 0 trains on the CPU.
        address: a Ray cluster to join; None starts Ray on this machine.
        data_dir: folder of data files, passed on to the workers; None leaves it to them.
    """

    workers: int
    gpus_per_worker: float = 0.0
    address: str | None = None
    data_dir: str | None = None


def check_address(address: str | None) -> None:
    """Refuses an address at which nothing answers; Ray by itself asks for two minutes.

    Args:
        address: `auto`, or `host:port` of a cluster's head; None is no cluster.

    Raises:
        StudyError: it is neither, or no connection can be made.
    """
    if address is None or address == AUTO:
        return
    host, colon, port = address.rpartition(":")
    if not colon or not host or "/" in host or not port.isdecimal() or int(port) > 65535:
        raise StudyError(
            f"--address must be `auto` or host:port, got {address}; give the one that "
            "`ray start --head` printed"
        )
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=_CONNECT_SECONDS):
            return
    except OSError as error:
        raise StudyError(
            f"--address must be a running Ray cluster, got {address}: {error}; start one with "
            "`ray start --head`, or leave the option out"
        ) from error


@contextlib.contextmanager
def joined(folder: Path, resources: Resources, stop: Stop) -> Iterator[None]:
    """Starts or joins Ray, and leaves it again.

    Args:
        folder: a folder on this machine without Python files, which no other sweep is given.
        resources: where and how wide.
        stop: takes the signals again that Ray takes.

    Yields:
        Nothing.
    """
    # actors of all workers start at once; Ray's own default has them wait for one another
    wanted = _QUIET | {"TUNE_MAX_PENDING_TRIALS_PG": str(resources.workers)}
    if resources.address is None:
        wanted |= {ray_constants.ENABLE_RAY_CLUSTERS_ENV_VAR: "0"}
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    clusters = ray_constants.ENABLE_RAY_CLUSTER
    # Ray runs whatever it is sent, and by default listens on every network of the machine. Where
    # it takes the machine for one that joins no cluster, it listens on loopback only; it looks at
    # the variable above when it is imported, workers at theirs when they start.
    ray_constants.ENABLE_RAY_CLUSTER = clusters and resources.address is not None
    try:
        with no_orphans(folder), contextlib.ExitStack() as end:
            end.callback(ray.shutdown)
            # Ray puts the driver's current folder first on every worker's path, where a user's
            # study.py or analysis.py would hide ours
            with contextlib.chdir(folder):
                _init(resources)
            stop.listen()
            end.enter_context(ray_watched(stop))
            yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = clusters
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


def this_node() -> str:
    """Gives the name of the machine that a worker runs on, and Ray's number for it there."""
    return f"{socket.gethostname()} {ray.get_runtime_context().get_node_id()}"


def _init(resources: Resources) -> None:
    local: dict[str, Any] = {"num_cpus": resources.workers, "include_dashboard": False}
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
            "or leave the option out. Where the cluster asks for a token, set RAY_AUTH_MODE=token, "
            "and RAY_AUTH_TOKEN to what `ray get-auth-token` prints on its head: Ray sends a "
            "token by itself to `auto` only"
        ) from error
