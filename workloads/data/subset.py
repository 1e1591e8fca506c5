"""Parts of a data set of labelled examples: fewer images, fewer classes."""

import math

import torch
from torch import Tensor

from workloads.errors import WorkloadError
from workloads.workload import Data, Examples


def kept_classes(classes: int, fraction: float) -> int:
    """Gives how many classes a fraction of them is.

    Args:
        classes: number of classes of the whole data set.
        fraction: in (0, 1].

    Returns:
        The number, >= 2.

    Raises:
        WorkloadError: it is no whole number, or below 2.
    """
    _check("classes", fraction)
    wanted = fraction * classes
    kept = round(wanted)
    if kept < 2 or not math.isclose(kept, wanted):
        raise WorkloadError(
            f"`classes` must keep a whole number of the {classes} classes, and at least 2, got "
            f"{fraction:g}, which is {wanted:g} of them; choose another fraction"
        )
    return kept


def subset(data: Data, images: float, classes: int) -> Data:
    """Gives a part of a data set, always the same one.

    Smaller parts lie within larger ones. Of each class the same fraction is kept, so that the
    classes stay as balanced as they were. Validation keeps all images of the classes kept.

    Args:
        data: labels are 0, 1, ...
        images: fraction of each class's training images, in (0, 1], others are refused: its first
            ones in the order of the data, at least one.
        classes: how many classes are kept: those of the smallest labels.

    Returns:
        The part, in the order of the data; the data themselves where everything is kept.
    """
    _check("images", images)
    whole = bool((data.train.targets < classes).all() and (data.validation.targets < classes).all())
    if whole and images == 1:
        return data
    labels = data.train.targets
    rows = [_first(labels == label, images) for label in range(classes)]
    return Data(
        train=_taken(data.train, torch.cat(rows).sort().values),
        validation=_taken(data.validation, torch.nonzero(data.validation.targets < classes)[:, 0]),
    )


def _check(name: str, fraction: float) -> None:
    if not 0 < fraction <= 1:
        raise WorkloadError(f"`{name}` must be a fraction in (0, 1], got {fraction}; choose one")


def _first(members: Tensor, fraction: float) -> Tensor:
    rows = torch.nonzero(members)[:, 0]
    return rows[: max(1, round(fraction * len(rows)))]


def _taken(examples: Examples, rows: Tensor) -> Examples:
    return Examples(examples.inputs[rows], examples.targets[rows])
