"""The layout of the published archive: its names, and what batchscale calls the same things.

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
"""The folder that the published file unpacks into; optional."""

STUDY_JSON = "study.json"
METADATA_JSON = "metadata.json"
MEASUREMENTS_CSV = "measurements.csv"

COMPLETE, INCOMPLETE, INFEASIBLE = "COMPLETE", "INCOMPLETE", "INFEASIBLE"
STATUS_OF: Mapping[str, str] = {
    COMPLETE: "exhausted",
    INCOMPLETE: "capped",
    INFEASIBLE: "diverged",
}
"""Status by that of the archive; a COMPLETE trial that gets below the target is `reached`."""
ARCHIVED_AS: Mapping[str, str] = {
    "reached": COMPLETE,
    "exhausted": COMPLETE,
    "capped": INCOMPLETE,
    "pruned": INCOMPLETE,
    "failed": INCOMPLETE,
    "diverged": INFEASIBLE,
}
"""Status in the archive by that of batchscale."""

SCALE_NAMES: Mapping[str, str] = {
    "LINEAR_SCALE": "linear",
    "LOG_SCALE": "log",
    "REVERSE_LOG_SCALE": "reverse-log",
    "": "linear",  # of INTEGER parameters
}
ARCHIVED_SCALES = {scale: archived for archived, scale in SCALE_NAMES.items() if archived}

PARAMETERS: Mapping[str, str] = {"learning_rate": "lr"}
"""Names of hyperparameters by those of the archive; others are the same in both."""

LOSS = "cross_entropy_error"
TRAIN_LOSS, VAL_LOSS = f"train/{LOSS}", f"val/{LOSS}"


@dataclass(frozen=True, slots=True)
class Metric:
    """A measurement that may be the error of a study."""

    column: str  # its name in `measurements.csv`
    quantity: str = "error"  # what the target is a value of, `error` or `loss`
    maximized: bool = False  # whether more is better; the error is then 1 - value

    def error(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the errors for values of the metric: lower is better."""
        return 1 - values if self.maximized else values


METRICS: Mapping[str, Metric] = {
    "classification_error": Metric("val/classification_error"),
    LOSS: Metric(VAL_LOSS, "loss"),
    "average_precision": Metric("val/average_precision", maximized=True),
}
"""Known measurements on validation data by name, the default ones first."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]*")
_NUMBER = re.compile(r"[0-9]{1,18}")
_WORKLOAD_PARTS = (3, 4)


@dataclass(frozen=True, slots=True)
class Place:
    """The place of a file in the layout."""

    workload: tuple[str, ...]  # dataset, model and optimizer, possibly after the name of a group
    batch_size: int  # number of the folder
    trial: int | None  # number of the folder; None for `study.json`
    file: str  # name of the file

    @property
    def study(self) -> str:
        """Folder of the search, for messages."""
        return f"{'/'.join(self.workload)}/{self.batch_size}"

    def __str__(self) -> str:
        trial = "" if self.trial is None else f"{self.trial}/"
        return f"{self.study}/{trial}{self.file}"


_NUMBERED: Mapping[str, int] = {STUDY_JSON: 1, METADATA_JSON: 2, MEASUREMENTS_CSV: 2}
"""How many numbered folders are above a file: batch size, and trial."""


def place_of(parts: Sequence[str]) -> Place | None:
    """Return the place of a file by the parts of its path; None for a file not in the layout.

    Raises:
        AnalysisError: a folder's name cannot be that of a data set, model or optimizer.

    >>> str(place_of(["batch_science", "mnist", "cnn", "sgd", "8", "study.json"]))
    'mnist/cnn/sgd/8/study.json'
    """  # noqa: DOC502  (raised by check_name)
    if parts and parts[0] == TOP:
        parts = parts[1:]
    *folders, file = parts
    count = _NUMBERED.get(file)
    if count is None or len(folders) - count not in _WORKLOAD_PARTS:
        return None
    workload, numbers = tuple(folders[:-count]), folders[-count:]
    if not all(map(_NUMBER.fullmatch, numbers)):
        return None
    for name in workload:
        check_name("data sets, models and optimizers", name, "/".join(parts))
    trial = int(numbers[1]) if len(numbers) > 1 else None
    return Place(workload, int(numbers[0]), trial, file)


def check_name(kind: str, name: str, where: str) -> None:
    """Refuse a name in the file `where` that no study can have; `kind` is a plural."""
    if not _NAME.fullmatch(name):
        raise AnalysisError(
            f"names of {kind} must be of letters, digits, _ . + and -, got {name!r} in {where}; "
            "rename it"
        )
