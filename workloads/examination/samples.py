"""Selection of the examples that an examination looks at: a few, extreme ones, or all."""

import torch
from torch import Tensor

from workloads.items import Items
from workloads.randomness import forked, seed_all
from workloads.trees import rebuilt
from workloads.workload import Examples, Split

FEW = 13
"""A few examples: a prime number, so that it is seldom also a size of the model."""
_RAREST = 8
"""Number of the rarest classes from which an example is taken."""
_MAX_SEARCHED = 2**24
"""Elements of the largest tensor that is searched for extreme examples."""
_MAX_COMPARED = 2**26
"""Elements of the largest split that is compared whole."""
_SAMPLE = 4096
"""Examples that are compared of a larger one."""


def few(examples: Examples | Items) -> Examples:
    """Return copies of at most `FEW` examples, evenly spaced."""
    count = examples.size
    with forked(torch.device("cpu")):
        seed_all(0)  # items may draw random numbers
        return examples.rows(torch.arange(min(FEW, count)) * count // min(FEW, count))


def compared(split: Split) -> Examples:
    """Return the examples that two loads of a split are compared on: all, or a sample.

    A large split is sampled, as windows of a text overlap, and copies would take more memory than
    the text. Of a map-style data set, a few items are loaded.
    """
    if not split.tensors:
        return few(split)
    whole: Examples = split
    if sum(tensor.numel() for tensor in split.tensors) <= _MAX_COMPARED:
        return whole
    return whole.rows(torch.arange(_SAMPLE) * split.size // _SAMPLE)


def with_extremes(split: Split) -> Examples:
    """Return examples on which a mean differs from a measure that omits or weights examples.

    After a few, evenly spaced, come the examples with the smallest and largest numbers, such as a
    target that means "ignored" or a row that is mostly padding, and some of the rarest classes.
    """
    some = few(split)
    extreme: list[Tensor] = []
    for tensor in split.tensors:
        if tensor.numel() > _MAX_SEARCHED:
            continue
        flat = tensor.reshape(split.size, -1)
        flat = torch.view_as_real(flat.resolve_conj()).flatten(1) if flat.is_complex() else flat
        if flat.shape[1]:
            for key in (flat.amin(1), flat.amax(1), flat.sum(1, dtype=torch.float64)):
                extreme += [key.double().argmin(), key.double().argmax()]  # bool has no argmin
        if tensor.dim() == 1 and not tensor.is_floating_point():
            classes, counts = tensor.unique(return_counts=True)
            rarest = classes[counts.argsort()[:_RAREST]]
            extreme += [(tensor == value).int().argmax() for value in rarest]
    if not extreme:
        return some
    more = split.rows(torch.tensor(list(dict.fromkeys(map(int, extreme)))))
    joined = [torch.cat(pair) for pair in zip(some.tensors, more.tensors, strict=True)]
    examples: Examples = rebuilt(some, joined)
    return examples
