"""Trackers by name: built in, or entry points of installed packages."""

import pkgutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from batchscale.errors import not_among
from study.errors import StudyError
from workloads.entry_points import Kind

TRIAL, BATCH_SIZE = "trial", "batch-size"
"""What a tracker shows as one run."""


@dataclass(frozen=True, slots=True)
class Adapter:
    """A built-in tracker."""

    place: str  # its module and class
    package: str  # that it needs
    install: str  # what pip must be given for that


TRACKERS: Mapping[str, Adapter] = {
    "tensorboard": Adapter("event_files:EventFiles", "tensorboardX", "tensorboardX"),
    "wandb": Adapter("wandb_runs:WandbRuns", "wandb", "'batchscale[wandb]'"),
    "mlflow": Adapter("mlflow_runs:MlflowRuns", "mlflow", "'batchscale[mlflow]'"),
    "trackio": Adapter("trackio_runs:TrackioRuns", "trackio", "'batchscale[trackio]'"),
}
"""Built-in trackers; the classes are in modules beside this one."""
_KIND = Kind(noun="tracker", article="a", builtin=TRACKERS, error=StudyError)


def check_trackers(names: Sequence[str], by: str) -> None:
    """Refuse trackers that are unknown or whose package is missing; nothing is imported."""
    if by not in (TRIAL, BATCH_SIZE):
        raise StudyError(not_among("--track-by", by, (TRIAL, BATCH_SIZE)))
    for name in names:
        if name in TRACKERS:
            adapter = TRACKERS[name]
            if find_spec(adapter.package) is None:
                raise StudyError(
                    f"--track {name} needs the package {adapter.package}, got none; run "
                    f"`pip install {adapter.install}`"
                )
        elif name not in _KIND.points():
            raise StudyError(not_among("--track", name, [*TRACKERS, *sorted(_KIND.points())]))


def tracker_class(name: str) -> Any:
    """Return the class of a tracker that `check_trackers` allowed."""
    if name not in TRACKERS:
        return _KIND.load(_KIND.points()[name])
    return pkgutil.resolve_name(f"study.tracking.{TRACKERS[name].place}")
