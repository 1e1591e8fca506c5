"""Python state around a model: what a trace would freeze, since it is no tensor operation.

A snapshot holds the values that a model or a workload can reach by its own code: attributes,
closures, class attributes, globals of the files that its author wrote, and states of generators.
Two snapshots tell which of them a call has changed.
"""

import hashlib
import inspect
import itertools
import os
import random
import sys
import types
import warnings
import weakref
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from functools import cache, partial
from multiprocessing.sharedctypes import SynchronizedBase
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from workloads.examination.authors import written_by_the_author

Snapshot = Mapping[str, Any]
"""Values by path, for example `model.net.calls`; comparable with `==`."""

_MOST = 200_000
"""Values of a snapshot at most."""
UNSEEN = f"one of more than {_MOST:,} values"
"""Path that stands for what lies beyond; it always counts as changed."""
_SHORT = 100
"""Longer lists and mappings of plain values, as a vocabulary, are one value."""
_HASHED = 1 << 20
"""Tensors of more elements are told by place and version in place of their content."""
_LARGE = 1 << 24
"""Arrays, which have no version, by their place, unless they cannot change."""
_TENSORS = {"_parameters", "_buffers", "_modules", "_non_persistent_buffers_set"}
_PLAIN = (type(None), bool, int, float, complex, str, bytes)
_HOLDERS = {"types", "collections", "argparse", "_thread", "multiprocessing", "__main__"}
"""Modules of Python whose objects hold what their users put there."""
_WHOLE_FILE = {"globals", "modules"}
"""Names by which a function may reach all globals of its file."""
_ITERATORS = (
    *(type(iter(kind())) for kind in (list, tuple, str, dict, set)),
    *(getattr(itertools, name) for name in ("count", "cycle", "repeat", "chain", "islice")),
    enumerate,
    map,
    zip,
)


def snapshot(**roots: object) -> Snapshot:
    """Return the Python values that objects reach, by path; the names of `roots` begin the paths.

    Parameters and buffers are left out: they are tensors that training handles itself.
    """
    walk = _Walk()
    for root in roots.values():
        if isinstance(root, nn.Module):
            walk.seen.update(map(id, (*root.parameters(), *root.buffers())))
    for name, root in roots.items():
        walk.visit(name, root)
    return walk.values


def changed(before: Snapshot, after: Snapshot) -> list[str]:
    """Return the paths whose value differs, or that only one of two snapshots has."""
    return [
        path for path in {**before, **after} if before.get(path, _MOST) != after.get(path, _MOST)
    ]


class _Walk:
    """A walk along references, each object once."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self.seen: set[int] = set()
        self._kept: list[object] = []  # an object freed here could hand its id to another one

    def visit(self, path: str, value: object) -> None:
        """Record a value, or what it refers to."""
        if id(value) in self.seen:
            return
        if len(self.values) >= _MOST:
            self.values[UNSEEN] = object()
            return
        if isinstance(value, _PLAIN):
            self.values[path] = (type(value), repr(value))
            return
        self.seen.add(id(value))
        self._kept.append(value)
        for kinds, state in _STATES:
            if isinstance(value, kinds):
                self.values[path] = state(value)
                return
        for kinds, parts in _PARTS:
            if isinstance(value, kinds):
                for step, part in parts(value):
                    self.visit(f"{path}{step}", part)
                return


def digest(value: Tensor | np.ndarray[Any, Any]) -> bytes:
    """Return a digest of the elements of a tensor, or of an array of no objects."""
    if isinstance(value, Tensor):
        value = value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy()
    return hashlib.sha256(np.ascontiguousarray(value).data).digest()


def _content(value: Any) -> tuple[Any, ...]:
    kind = (tuple(value.shape), value.dtype)
    if isinstance(value, Tensor):
        if value.numel() > _HASHED or value.is_meta:
            return (*kind, id(value), value._version)
    elif value.size > (_LARGE if value.flags.writeable else _HASHED):
        return (*kind, value.ctypes.data)
    elif value.dtype.hasobject:
        return (*kind, repr(value))
    return (*kind, digest(value))


def _position(iterator: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 on itertools
        try:
            return repr(iterator.__reduce__())
        except TypeError:
            return object()  # equal to nothing: an iterator that cannot be read counts as used


def _of_object(value: Any) -> Iterator[tuple[str, Any]]:
    kind = type(value)
    if kind.__module__.partition(".")[0] in sys.stdlib_module_names - _HOLDERS:
        yield from _of_library(value)
        return
    yield from _attributes(value)
    for base in kind.__mro__:
        for name in getattr(base, "__slots__", ()):
            if name != "__dict__" and hasattr(value, name):
                yield f".{name}", getattr(value, name)
    yield "", kind


def _of_library(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield what a copy of an object of Python's would be made from, as of a range or a date."""
    try:
        made_from = value.__reduce_ex__(4)
    except Exception:  # noqa: BLE001 - a lock or a file has no copy, and no model computes with it
        return
    if isinstance(made_from, tuple):
        yield from _of_sequence(made_from[1:3])


def _attributes(value: Any) -> Iterator[tuple[str, Any]]:
    for name, member in list(getattr(value, "__dict__", {}).items()):
        yield f".{name}", member


def _of_module(module: nn.Module) -> Iterator[tuple[str, Any]]:
    for name, member in list(vars(module).items()):
        if name not in _TENSORS:
            # hooks are numbered through the process, so their keys say nothing about the model
            hooks = "_hooks" in name and isinstance(member, Mapping)
            yield f".{name}", list(member.values()) if hooks else member
    for name, tensor in (*module._parameters.items(), *module._buffers.items()):
        for step, member in _attributes(tensor):
            yield f".{name}{step}", member
    for name, child in module.named_children():
        yield f".{name}", child
    yield "", type(module)


def _of_class(kind: type) -> Iterator[tuple[str, Any]]:
    for base in kind.__mro__:
        if written_by_the_author(sys.modules.get(base.__module__)):
            for name, member in list(vars(base).items()):
                if not name.startswith("__") or isinstance(member, types.FunctionType):
                    yield f"<class {base.__name__}>.{name}", member


def _of_function(function: Any) -> Iterator[tuple[str, Any]]:
    if not written_by_the_author(sys.modules.get(function.__module__)):
        return
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            yield f"<local {name}>", cell.cell_contents
        except ValueError:  # a name that is not bound yet
            continue
    for place, default in enumerate(function.__defaults__ or ()):
        yield f"<default {place}>", default
    for name, default in (function.__kwdefaults__ or {}).items():
        yield f"<default {name}>", default
    yield from _attributes(function)
    names, package = _global_names(function.__code__), function.__module__.rpartition(".")[0]
    for name in function.__globals__ if names & _WHOLE_FILE else names:
        if name in function.__globals__:
            yield f"<global {name}>", function.__globals__[name]
        else:  # imported where it is used, perhaps from beside a plug-in
            for module in {name, f"{package}.{name}"} & sys.modules.keys():
                yield f"<import {name}>", sys.modules[module]


def _global_names(code: types.CodeType) -> set[str]:
    inner = (constant for constant in code.co_consts if isinstance(constant, types.CodeType))
    return set(code.co_names).union(*map(_global_names, inner))


def _of_file(module: types.ModuleType) -> Iterator[tuple[str, Any]]:
    if module is os:
        yield ".environ", os.environ
    if written_by_the_author(module):
        for name, member in list(vars(module).items()):
            if not name.startswith("__"):
                yield f".{name}", member


def _of_generator(generator: Any) -> Iterator[tuple[str, Any]]:
    frame = generator.gi_frame
    yield ".position", None if frame is None else frame.f_lasti
    for name, value in inspect.getgeneratorlocals(generator).items():
        yield f".{name}", value


def _of_mapping(mapping: Mapping[Any, Any]) -> Iterator[tuple[str, Any]]:
    yield from _of_items(list(mapping.items()))
    yield from _attributes(mapping)


def _of_sequence(values: Any) -> Iterator[tuple[str, Any]]:
    yield from _of_items(list(enumerate(list(values))))
    yield from _attributes(values)


def _of_items(items: list[tuple[Any, Any]]) -> Iterator[tuple[str, Any]]:
    parts = (part for _, v in items for part in (v if isinstance(v, tuple) else (v,)))
    if len(items) > _SHORT and all(isinstance(part, _PLAIN) for part in parts):
        yield "", repr(items)
    else:
        yield from ((f"[{key!r:.40}]", value) for key, value in items)


_STATES: tuple[tuple[Any, Callable[[Any], Any]], ...] = (
    ((Tensor, np.ndarray), _content),
    (torch.Generator, lambda generator: generator.get_state().numpy().tobytes()),
    (random.SystemRandom, repr),
    (random.Random, lambda generator: generator.getstate()),
    (np.random.Generator, lambda generator: repr(generator.bit_generator.state)),
    (np.random.RandomState, lambda generator: repr(generator.get_state())),
    ((set, frozenset), lambda values: frozenset(map(repr, values))),
    (_ITERATORS, _position),
    (memoryview, bytes),
    ((np.generic, torch.dtype, torch.device, torch.Size), repr),
)
"""Kinds of values that are compared as a whole, and what is compared."""

_PARTS: tuple[tuple[Any, Callable[[Any], Iterator[tuple[str, Any]]]], ...] = (
    ((weakref.ReferenceType, types.BuiltinFunctionType), lambda _: iter(())),
    (types.ModuleType, _of_file),
    (nn.Module, _of_module),
    (type, _of_class),
    (types.FunctionType, _of_function),
    (types.MethodType, lambda method: iter([("", method.__func__), ("", method.__self__)])),
    ((staticmethod, classmethod), lambda method: iter([("", method.__func__)])),
    (property, lambda member: iter([("", member.fget)])),
    (type(cache(len)), lambda cached: iter([("", cached.__wrapped__)])),
    (ContextVar, lambda variable: iter([("", variable.get(None))])),
    (SynchronizedBase, lambda shared: iter([("", shared.get_obj())])),
    (partial, lambda call: _of_sequence([call.func, *call.args, *call.keywords.values()])),
    (types.GeneratorType, _of_generator),
    (Mapping, _of_mapping),
    ((list, tuple, deque), _of_sequence),
    (object, _of_object),
)
"""Kinds of values that refer to others, and how; the first kind that fits counts."""
