"""Where a sweep runs: its own Ray on this machine, or a running cluster that it joins."""

import contextlib
import logging
import os
import secrets
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ray
from ray._common.utils import get_default_ray_temp_dir
from ray._private import ray_constants
from ray._private.authentication.authentication_token_setup import (
    AUTH_MODE_ENV_VAR,
    maybe_enable_token_auth_if_token_available,
)
from ray._raylet import AuthenticationTokenLoader  # type: ignore[attr-defined]
from ray.exceptions import AuthenticationError

from study.errors import StudyError, cause
from study.orchestration.resources import AUTO, Resources
from study.orchestration.signals import Stop, no_orphans, outliving_terminal, ray_watched

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


@contextlib.contextmanager
def joined(folder: Path, resources: Resources, stop: Stop) -> Iterator[None]:
    """Start or join Ray for the body, and leave it afterwards.

    Args:
        folder: a folder on this machine for this sweep alone, without Python files.
        resources: where to run, and with how many workers.
        stop: takes back the signals whose handlers Ray replaces.
    """
    # by default Ray starts one actor after another; all workers are to start at once
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
                _give_token()
            elif resources.address != AUTO:
                _find_token()
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


def this_node() -> str:
    """Return the host name of the machine that a worker runs on, and its Ray node ID."""
    return f"{socket.gethostname()} {ray.get_runtime_context().get_node_id()}"


def _give_token() -> None:
    """Make a token for a Ray of our own, which would otherwise write one into the home folder.

    It stays for as long as this process, because Ray remembers the first that it reads.
    """
    if not AuthenticationTokenLoader.instance().has_token(ignore_auth_mode=True):
        os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)


def _find_token() -> None:
    """Use the token of `~/.ray/auth_token`, which Ray itself looks for at `auto` only.

    A cluster that requires none takes it too. RAY_AUTH_MODE, where it is set, decides.
    """
    logging.getLogger("ray._private.authentication").setLevel(logging.ERROR)
    maybe_enable_token_auth_if_token_available(warn_if_disabled=False)


def _init(resources: Resources) -> None:
    cores = resources.workers * resources.cpus_per_worker
    local: dict[str, Any] = {"num_cpus": cores, "include_dashboard": False}
    # Tune logs a traceback where it cannot write its state, which nothing reads
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
