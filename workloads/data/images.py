"""Labelled images as bytes: split, and cut down to some of their classes or images."""

import math

import numpy as np
import torch
from numpy.typing import NDArray

from workloads.errors import WorkloadError
from workloads.workload import Data, Examples

Bytes = NDArray[np.uint8]
_SEED = 2018


def split(images: Bytes, labels: NDArray[np.integer], train: int) -> Data:
    """Gives the first images for training and the rest for validation.

    Args:
        images: (examples, channels, height, width).
        labels: (examples,).
        train: how many images train.

    Returns:
        The data, still bytes: a model's first layer makes floats of a batch.
    """
    inputs, targets = torch.from_numpy(images), torch.tensor(labels, dtype=torch.int64)
    return Data(
        train=Examples(inputs[:train], targets[:train]),
        validation=Examples(inputs[train:], targets[train:]),
    )


def part(data: Data, images: float = 1.0, classes: float = 1.0) -> Data:
    """Gives a part of a data set, the same part on every call (Shallue et al. 2018, section 4.5).

    Args:
        data: images and labels 0 to classes - 1.
        images: training images to keep, drawn at random once for all: a fraction up to 1, above it
            a number. All validation images stay.
        classes: classes to keep, the first of them, in training and validation: a fraction up to
            1, above it a number.

    Returns:
        The part; the data themselves where nothing is dropped.
    """
    there = class_count(data)
    kept = amount("classes", classes, there)
    if kept < there:
        train, validation = (
            Examples(*(tensor[split.targets < kept] for tensor in split))
            for split in (data.train, data.validation)
        )
        data = Data(train=train, validation=validation)
    examples = len(data.train.inputs)
    count = amount("images", images, examples)
    if count == examples:
        return data
    rows = torch.from_numpy(drawn(count, examples))
    train = Examples(data.train.inputs[rows], data.train.targets[rows])
    return Data(train=train, validation=data.validation)


def drawn(count: int, examples: int) -> NDArray[np.int64]:
    """Gives `count` of the indices below `examples`, in rising order; fewer are among more."""
    return np.sort(np.random.default_rng(_SEED).permutation(examples)[:count])


def class_count(data: Data) -> int:
    """Gives the number of classes in the training set."""
    return int(data.train.targets.max()) + 1


def amount(name: str, asked: float, there: int) -> int:
    """Reads a fraction or a number.

    Args:
        name: the option's, for an error.
        asked: a fraction in (0, 1], or a number above 1.
        there: how many there are.

    Returns:
        How many are meant, from 1 to `there`; a fraction is rounded up.

    Raises:
        WorkloadError: it is neither.
    """
    if not 0 < asked <= there or (asked > 1 and asked != int(asked)):
        raise WorkloadError(
            f"`{name}` must be a fraction in (0, 1] or a whole number from 2 to {there:,}, got "
            f"{asked:g}; choose another"
        )
    return math.ceil(asked * there) if asked <= 1 else int(asked)
