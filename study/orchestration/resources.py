"""Where a sweep runs, and how many cohorts it trains at once."""

import socket
import sys
from dataclasses import dataclass

import torch

from analysis.tables.folder import ResultsFolder
from study.errors import StudyError

AUTO = "auto"
_CONNECT_SECONDS = 5.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Resources:
    """Where a sweep runs and how many cohorts it trains at once; no result depends on it."""

    workers: int  # cohorts trained at once, >= 1
    gpus_per_worker: float = 0.0  # fractions allowed; 0 trains on the CPU
    cpus_per_worker: int = 1  # more than one for programs
    address: str | None = None  # of a Ray cluster to join; None for this machine
    data_dir: str | None = None  # on the workers; None leaves it to their environment
    ray: bool | None = None  # True from the start, False never; None after a minute

    def needs_ray(self, folder: ResultsFolder) -> str | None:
        """Return why workers cannot be forked from this process; None if they can."""
        reasons = {
            "--address": self.address is not None,
            "workers with GPUs": self.gpus_per_worker > 0,
            "results in an object store": not folder.on_disk,
            "a machine with a GPU": torch.cuda.is_available(),  # autograd's threads are running
            "a system other than Linux": sys.platform != "linux",
        }
        return next((reason for reason, applies in reasons.items() if applies), None)

    def check(self, folder: ResultsFolder) -> None:
        """Refuse `--no-ray` if only Ray can run the sweep."""
        reason = self.needs_ray(folder)
        if self.ray is False and reason is not None:
            raise StudyError(
                f"--no-ray cannot be used with {reason}, which needs Ray; leave it out"
            )


def check_address(address: str | None) -> None:
    """Refuse an address where nothing answers; Ray itself would try it for two minutes.

    Args:
        address: `auto`, or `host:port` of a cluster's head; None for no cluster.

    Raises:
        StudyError: the address has another form, or accepts no connection.
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
