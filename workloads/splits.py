"""Faults of a split that keep its error from measuring generalization to unseen examples."""

from typing import Any

import torch
from torch import Tensor

from workloads.trees import leaves
from workloads.workload import Data, Split

_MAX_COMPARED = 2**26
"""Splits with more elements are not compared."""
_SUSPICIOUS_SHARE = 0.5
"""Share of validation examples that are also in the training set, too large to be chance."""


def remarks(data: Data) -> list[str]:
    """Return what a reader of the results should know about the splits, one phrase each.

    These are validation examples that are trained on, and labels without training examples if
    targets are single integers. Only splits in memory are compared.
    """
    train, validation = data.train, data.validation
    sizes = [sum(tensor.numel() for tensor in part.tensors) for part in (train, validation)]
    if min(sizes) == 0 or max(sizes) > _MAX_COMPARED:
        return []
    phrases = []
    trained, validated = set(_rows(train)), _rows(validation)
    shared = sum(row in trained for row in validated)
    if shared >= _SUSPICIOUS_SHARE * len(validated):
        phrases.append(
            f"{shared:,} of {len(validated):,} validation examples have the inputs of training "
            "examples"
        )
    labels, asked = _labels(train.targets), _labels(validation.targets)
    lacking = asked - labels
    # with more values than half the examples, targets are counts or indices, not labels
    if lacking and 0 < 2 * len(labels) <= train.size:
        phrases.append(
            f"{len(lacking)} of {len(asked)} labels of the validation set are not in the "
            f"training set, such as {min(lacking)}"
        )
    return phrases


def _rows(split: Split) -> list[bytes]:
    plain = [leaf.detach().cpu().resolve_conj().resolve_neg() for leaf in leaves(split.inputs)]
    rows = [leaf.reshape(split.size, -1).contiguous().view(torch.uint8).numpy() for leaf in plain]
    return [b"".join(leaf[row].tobytes() for leaf in rows) for row in range(split.size)]


def _labels(targets: Any) -> set[int]:
    if not isinstance(targets, Tensor) or targets.dim() != 1 or targets.dtype.is_floating_point:
        return set()
    return {int(label) for label in torch.unique(targets).tolist()}
