"""Trees of tensors: a tensor, or dicts, lists, tuples, named tuples and dataclasses of trees.

Anything else is a leaf.
"""

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

import torch
from torch import Tensor

from workloads.errors import WorkloadError

Tree = Any
"""A tensor, or a dict, list, tuple, named tuple or dataclass of trees."""


def mapped(function: Callable[[Any], Any], tree: Tree) -> Any:
    """Return a tree of the same containers, with `function` applied to each leaf."""
    if isinstance(tree, Tensor):
        return function(tree)
    if hasattr(tree, "_make"):  # a shortcut for Examples, which every step gathers a batch of
        return tree._make([mapped(function, part) for part in tree])
    steps = _steps(tree)
    if steps is None:
        return function(tree)
    return _rebuilt(tree, [(key, mapped(function, part)) for key, _, part in steps])


def leaves(tree: Tree) -> list[Any]:
    """Return the leaves of a tree, in order."""
    return [leaf for _, leaf in named_leaves(tree)]


def named_leaves(tree: Tree, name: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the path and value of each leaf; paths begin with `name`, such as x['mask'][0]."""
    steps = None if isinstance(tree, Tensor) else _steps(tree)
    if steps is None:
        yield name, tree
        return
    for _, step, part in steps:
        yield from named_leaves(part, name + step)


def rebuilt(tree: Tree, values: Sequence[Any]) -> Any:
    """Return a tree of the same containers with `values` as its leaves, in order."""
    rest = iter(values)
    return mapped(lambda _: next(rest), tree)


def stacked(trees: Sequence[Tree], name: str) -> Any:
    """Return trees of the same form as one tree of tensors, stacked along a new first axis.

    Numbers and arrays become tensors; other leaves are refused. `name` begins the paths in
    messages.

    Raises:
        WorkloadError: the trees differ in form.
    """
    first = dict(named_leaves(trees[0], name))
    columns: dict[str, list[Any]] = {path: [] for path in first}
    for tree in trees:
        leaf_of = dict(named_leaves(tree, name))
        if leaf_of.keys() != columns.keys():
            raise WorkloadError(
                "items must all have the same form, got one with "
                f"{', '.join(first) or 'nothing'} and one with {', '.join(leaf_of) or 'nothing'}"
            )
        for path, leaf in leaf_of.items():
            columns[path].append(leaf)
    return rebuilt(trees[0], [_stacked(path, column) for path, column in columns.items()])


def _stacked(path: str, column: Sequence[Any]) -> Tensor:
    try:
        return torch.stack([torch.as_tensor(leaf) for leaf in column])
    except (TypeError, ValueError, RuntimeError) as error:
        raise WorkloadError(
            f"{path} of all items must be tensors, arrays or numbers of one shape, got "
            f"{type(column[0]).__name__}: {error}; convert or pad them in the data set"
        ) from error


def _steps(tree: Tree) -> list[tuple[Any, str, Tree]] | None:
    """Return the key, the path step and the part of each part of a container; None for a leaf."""
    if isinstance(tree, Mapping):
        return [(key, f"[{key!r}]", part) for key, part in tree.items()]
    if hasattr(tree, "_make"):
        return [(name, f".{name}", part) for name, part in tree._asdict().items()]
    if isinstance(tree, list | tuple):
        return [(place, f"[{place}]", part) for place, part in enumerate(tree)]
    if is_dataclass(tree) and not isinstance(tree, type):
        return [(f.name, f".{f.name}", getattr(tree, f.name)) for f in fields(tree)]
    return None


def _rebuilt(tree: Any, parts: list[tuple[Any, Any]]) -> Any:
    """Return a container like `tree` with other parts, by key; dataclasses are not constructed."""
    if isinstance(tree, Mapping) and not hasattr(tree, "update"):
        return dict(parts)
    if isinstance(tree, list | tuple):
        return type(tree)(part for _, part in parts)
    like = copy.copy(tree)
    if isinstance(tree, Mapping):
        like.update(parts)
    else:
        for key, part in parts:
            object.__setattr__(like, key, part)  # a frozen dataclass too
    return like
