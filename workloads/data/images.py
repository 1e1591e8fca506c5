"""Labeled images as bytes: splits, and subsets of classes or images."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from workloads.errors import WorkloadError
from workloads.workload import Data, Examples

Bytes = NDArray[np.uint8]
_SEED = 2018


def split(images: Bytes, labels: NDArray[np.integer], train: int) -> Data:
    """Return images (examples, channels, height, width) as data, the first `train` for training.

    They stay bytes; a model's first layer converts a batch to floats.
    """
    inputs, targets = torch.from_numpy(images), torch.tensor(labels, dtype=torch.int64)
    return Data(
        train=Examples(inputs[:train], targets[:train]),
        validation=Examples(inputs[train:], targets[train:]),
    )


def check_labels(labels: NDArray[np.integer], classes: int, source: object) -> None:
    """Refuse labels outside 0 to `classes` - 1; messages name the source."""
    wrong = labels[(labels < 0) | (labels >= classes)]
    if wrong.size:
        raise WorkloadError(
            f"labels must lie from 0 to {classes - 1}, got {wrong[0]} in {source}; fetch it again"
        )


def subset(data: Data, images: float = 1.0, classes: float = 1.0) -> Data:
    """Return a subset of a data set, the same on every call (Shallue et al. 2018, section 4.5).

    `images` (training images, sampled once) and `classes` (the first ones, in both splits) keep a
    fraction up to 1, a number above.
    """
    available = int(data.train.targets.max()) + 1
    kept = resolve_amount("classes", classes, available)
    if kept < available:
        splits: dict[str, Any] = {
            name: Examples(*(tensor[split.targets < kept] for tensor in split))
            for name, split in data.splits.items()
        }
        data = replace(data, **splits)
    examples = len(data.train.inputs)
    count = resolve_amount("images", images, examples)
    if count == examples:
        return data
    rows = torch.from_numpy(sample_indices(count, examples))
    train = Examples(data.train.inputs[rows], data.train.targets[rows])
    return replace(data, train=train)


def sample_indices(count: int, examples: int) -> NDArray[np.int64]:
    """Return `count` sorted indices below `examples`; a smaller sample is a subset of a larger."""
    return np.sort(np.random.default_rng(_SEED).permutation(examples)[:count])


def resolve_amount(name: str, asked: float, available: int) -> int:
    """Return the number that an option gives: a fraction in (0, 1], rounded up, or a number > 1."""
    if not 0 < asked <= available or (asked > 1 and asked != int(asked)):
        raise WorkloadError(
            f"`{name}` must be a fraction in (0, 1] or an integer from 2 to {available:,}, got "
            f"{asked:g}"
        )
    return math.ceil(asked * available) if asked <= 1 else int(asked)
