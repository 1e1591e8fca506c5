"""What of two splits makes an error mean something else than one on examples not seen before."""

from typing import Any

import torch
from torch import Tensor

from workloads.trees import leaves
from workloads.workload import Data, Split

_MOST = 2**26
"""Elements that are compared at most."""
_MANY = 0.5
"""Share of the validation examples that does not lie in the training set by chance."""


def remarks(data: Data) -> list[str]:
    """Return what a reader of the results should know of the splits, a phrase each.

    Only what is held in memory is compared: validation examples that are trained on, and labels
    that training examples lack, where targets are one integer each.
    """
    train, validation = data.train, data.validation
    if not all(0 < sum(t.numel() for t in part.tensors) <= _MOST for part in (train, validation)):
        return []
    known, asked = set(_rows(train)), _rows(validation)
    shared, found = sum(row in known for row in asked), []
    if shared >= _MANY * len(asked):
        found.append(
            f"{shared:,} of {len(asked):,} validation examples have the inputs of training examples"
        )
    labels = _labels(train.targets), _labels(validation.targets)
    lacking = labels[1] - labels[0]
    # counts, or numbers of items, are no labels
    if lacking and 0 < 2 * len(labels[0]) <= train.size:
        found.append(
            f"{len(lacking)} of {len(labels[1])} labels of the validation set are not in the "
            f"training set, such as {min(lacking)}"
        )
    return found


def _rows(split: Split) -> list[bytes]:
    plain = [leaf.detach().cpu().resolve_conj().resolve_neg() for leaf in leaves(split.inputs)]
    held = [leaf.reshape(split.size, -1).contiguous().view(torch.uint8).numpy() for leaf in plain]
    return [b"".join(leaf[row].tobytes() for leaf in held) for row in range(split.size)]


def _labels(targets: Any) -> set[int]:
    if not isinstance(targets, Tensor) or targets.dim() != 1 or targets.dtype.is_floating_point:
        return set()
    return {int(label) for label in torch.unique(targets).tolist()}
