"""Which examples of a set are looked at: a few, those that tell most, or all."""

import torch
from torch import Tensor

from workloads.items import Items
from workloads.randomness import forked, seed_all
from workloads.trees import rebuilt
from workloads.workload import Examples, Split

FEW = 13
"""Examples that are looked at: a prime, so that it is seldom also another size of the model."""
_RAREST = 8
"""Classes of which an example is sought."""
_SOUGHT = 2**24
"""Elements of a tensor in which extreme examples are sought."""
_MOST_COMPARED = 2**26
"""Elements of a split that are all compared."""
_SAMPLE = 4096


def few(examples: Examples | Items) -> Examples:
    """Return copies of at most `FEW` examples from all over a set, in order."""
    count = examples.size
    with forked(torch.device("cpu")):
        seed_all(0)  # an item of a data set may draw
        return examples.rows(torch.arange(min(FEW, count)) * count // min(FEW, count))


def compared(split: Split) -> Examples:
    """Return what a split is compared by: all of it, or some examples from all over it.

    Some are of one where there are very many, as windows of a text, which overlap and would fill
    more memory than it; a few of one that is loaded one by one.
    """
    if not split.tensors:
        return few(split)
    found: Examples = split
    if sum(tensor.numel() for tensor in split.tensors) > _MOST_COMPARED:
        found = split.rows(torch.arange(_SAMPLE) * split.size // _SAMPLE)
    return found


def telling(split: Split) -> Examples:
    """Return examples by which a mean is told from what leaves some out, or weighs them.

    Beside a few from all over the set they are those of the least and greatest numbers, as of a
    target that says "ignored" or a row that is mostly padding, and some of the rarest classes, at
    the end.
    """
    some = few(split)
    extreme: list[Tensor] = []
    for tensor in split.tensors:
        if tensor.numel() > _SOUGHT:
            continue
        flat = tensor.reshape(split.size, -1)
        flat = torch.view_as_real(flat.resolve_conj()).flatten(1) if flat.is_complex() else flat
        if flat.shape[1]:
            for key in (flat.amin(1), flat.amax(1), flat.sum(1, dtype=torch.float64)):
                extreme += [key.double().argmin(), key.double().argmax()]  # of truth values too
        if tensor.dim() == 1 and not tensor.is_floating_point():
            classes, counts = tensor.unique(return_counts=True)
            rarest = classes[counts.argsort()[:_RAREST]]
            extreme += [(tensor == value).int().argmax() for value in rarest]
    if not extreme:
        return some
    more = split.rows(torch.tensor(list(dict.fromkeys(map(int, extreme)))))
    joined = [torch.cat(pair) for pair in zip(some.tensors, more.tensors, strict=True)]
    found: Examples = rebuilt(some, joined)
    return found
