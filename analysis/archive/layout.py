"""The layout of the published archive: its names, and those that batchscale uses instead.

    [batch_science/][group/]dataset/model/optimizer/batch_size/study.json
                                                    .../trial_id/metadata.json
                                                    .../trial_id/measurements.csv

Source: the README of google-research/batch_science, the data of Shallue et al. 2018
(arXiv:1811.03600).
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.errors import AnalysisError

PUBLISHED_NAME = "batch_science_data.tar.bz2"
PUBLISHED_SHA256 = "6460ab86a6ab0f22a02e1c9b982e1ca31220bf41f669304ce86f14d19053f435"
TOP = "batch_science"
"""The folder that the published file unpacks into, which other archives may lack."""

STUDY_JSON = "study.json"
METADATA_JSON = "metadata.json"
MEASUREMENTS_CSV = "measurements.csv"

COMPLETE, INCOMPLETE, INFEASIBLE = "COMPLETE", "INCOMPLETE", "INFEASIBLE"
STATUS_OF: Mapping[str, str] = {
    COMPLETE: "exhausted",
    INCOMPLETE: "capped",
    INFEASIBLE: "diverged",
}
"""Our status by the archive's; a COMPLETE trial that gets below the target is `reached`."""
ARCHIVED_AS: Mapping[str, str] = {
    "reached": COMPLETE,
    "exhausted": COMPLETE,
    "capped": INCOMPLETE,
    "pruned": INCOMPLETE,
    "failed": INCOMPLETE,
    "diverged": INFEASIBLE,
}
"""The archive's status by ours."""

SCALE_NAMES: Mapping[str, str] = {
    "LINEAR_SCALE": "linear",
    "LOG_SCALE": "log",
    "REVERSE_LOG_SCALE": "reverse-log",
    "": "linear",  # of INTEGER parameters
}
ARCHIVED_SCALES = {scale: archived for archived, scale in SCALE_NAMES.items() if archived}

PARAMETERS: Mapping[str, str] = {"learning_rate": "lr"}
"""Our names of hyperparameters by the archive's, where they differ."""

LOSS = "cross_entropy_error"
TRAIN_LOSS, VAL_LOSS = f"train/{LOSS}", f"val/{LOSS}"


@dataclass(frozen=True, slots=True)
class Metric:
    """A measurement that may be the error of a study."""

    column: str  # its name in `measurements.csv`
    quantity: str = "error"  # what the target is a value of, `error` or `loss`
    maximized: bool = False  # whether higher is better; the error is then 1 - value

    def error(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the errors for values of the metric; lower is better."""
        return 1 - values if self.maximized else values


METRICS: Mapping[str, Metric] = {
    "classification_error": Metric("val/classification_error"),
    LOSS: Metric(VAL_LOSS, "loss"),
    "average_precision": Metric("val/average_precision", maximized=True),
}
"""Known measurements on validation data by name, in order of preference."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]*")
_PLACE = re.compile(
    r"((?:[^/]+/){3,4})([0-9]{1,18})/"
    r"(?:study\.json|([0-9]{1,18})/(?:metadata\.json|measurements\.csv))"
)
"""The folders of a workload, its batch size, and the number of a trial."""


@dataclass(frozen=True, slots=True)
class Place:
    """The place of a file in the layout."""

    workload: tuple[str, ...]  # data set, model and optimizer, possibly after a group
    batch_size: int
    trial: int | None  # number of the trial's folder; None for `study.json`
    file: str  # name of the file

    @property
    def study(self) -> str:
        """Folder of the search at a batch size."""
        return f"{'/'.join(self.workload)}/{self.batch_size}"

    def __str__(self) -> str:
        trial = "" if self.trial is None else f"{self.trial}/"
        return f"{self.study}/{trial}{self.file}"


def place_of(parts: Sequence[str]) -> Place | None:
    """Return the place of a file by the parts of its path; None for a file not in the layout.

    >>> str(place_of(["batch_science", "mnist", "cnn", "sgd", "8", "study.json"]))
    'mnist/cnn/sgd/8/study.json'
    """
    path = "/".join(parts).removeprefix(f"{TOP}/")
    found = _PLACE.fullmatch(path)
    if found is None:
        return None
    *workload, _ = found[1].split("/")
    for name in workload:
        check_name("data sets, models and optimizers", name, path)
    trial = None if found[3] is None else int(found[3])
    return Place(tuple(workload), int(found[2]), trial, parts[-1])


def check_name(kind: str, name: str, where: str) -> None:
    """Refuse an invalid name of some `kind`, a plural, in the file `where`."""
    if not _NAME.fullmatch(name):
        raise AnalysisError(
            f"names of {kind} must be of letters, digits, _ . + and -, got {name!r} in {where}; "
            "rename it"
        )
