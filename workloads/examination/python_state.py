"""Python state around a model, which a trace would freeze because it is not a tensor operation.

A snapshot contains the values that the code of a model or a workload can reach: attributes,
closures, class attributes, globals of the files that its author wrote, and states of generators.
Comparing two snapshots shows which of them a call has changed.
"""

import gc
import inspect
import os
import sys
import types
import weakref
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from functools import cache, partial
from multiprocessing.sharedctypes import SynchronizedBase
from typing import Any

import numpy as np
from torch import Tensor, nn

from workloads.examination.authors import written_by_the_author
from workloads.examination.values import STATES

Snapshot = Mapping[str, Any]
"""Values by path, for example `model.net.calls`; comparable with `==`."""

_MAX_VALUES = 200_000
"""Most values in a snapshot."""
UNSEEN = f"one of more than {_MAX_VALUES:,} values"
"""Path that stands for all further values; it always counts as changed."""
CACHED = "<cached"
"""Prefix of the path step to a value in a function's cache."""
_LONGEST_LISTED = 100
"""Longer lists and mappings of plain values, such as a vocabulary, count as one value."""
_TENSORS = {"_parameters", "_buffers", "_modules", "_non_persistent_buffers_set"}
_PLAIN = (type(None), bool, int, float, complex, str, bytes)
_HOLDERS = {"types", "collections", "argparse", "_thread", "multiprocessing", "__main__"}
"""Standard modules whose objects hold what their users put there."""
_WHOLE_FILE = {"globals", "modules"}
"""Names through which a function may reach all globals of its file."""


def snapshot(**roots: object) -> Snapshot:
    """Return the Python values reachable from objects, by path; names of `roots` begin the paths.

    Parameters and buffers are left out, since training handles them itself.
    """
    return _walked(roots).values


def tensors_beside(model: nn.Module) -> Mapping[str, Tensor | np.ndarray[Any, Any]]:
    """Return the tensors and arrays reachable from a model, by path, except its parameters."""
    buffers = {f"buffer {name}": buffer for name, buffer in model.named_buffers()}
    return {**_walked({"model": model}).tensors, **buffers}


def _walked(roots: Mapping[str, object]) -> "_Walk":
    walk = _Walk()
    for root in roots.values():
        if isinstance(root, nn.Module):
            walk.seen.update(map(id, (*root.parameters(), *root.buffers())))
    for name, root in roots.items():
        walk.visit(name, root)
    return walk


def changed(before: Snapshot, after: Snapshot) -> list[str]:
    """Return the paths whose values differ between two snapshots, or that only one of them has."""
    return [
        path
        for path in {**before, **after}
        if (path in before, before.get(path)) != (path in after, after.get(path))
    ]


class _Walk:
    """A traversal of references that visits each object once."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self.tensors: dict[str, Tensor | np.ndarray[Any, Any]] = {}
        self.seen: set[int] = set()
        self._alive: list[object] = []  # a temporary, if freed, could pass on its id

    def visit(self, path: str, value: object) -> None:
        """Record a value, or follow its references."""
        if id(value) in self.seen:
            return
        if len(self.values) >= _MAX_VALUES:
            self.values[UNSEEN] = object()
            return
        if isinstance(value, _PLAIN):
            self.values[path] = (type(value), repr(value))
            return
        self.seen.add(id(value))
        self._alive.append(value)
        if isinstance(value, Tensor | np.ndarray):
            self.tensors[path] = value
        for kinds, state in STATES:
            if isinstance(value, kinds):
                self.values[path] = state(value)
                return
        for kinds, parts in _PARTS:
            if isinstance(value, kinds):
                for step, part in parts(value):
                    self.visit(f"{path}{step}", part)
                return


def _of_object(value: Any) -> Iterator[tuple[str, Any]]:
    kind: Any = type(value)
    if kind.__module__.partition(".")[0] in sys.stdlib_module_names - _HOLDERS:
        yield from _of_library(value)
        return
    yield from _attributes(value)
    slots = [name for base in kind.__mro__ for name in getattr(base, "__slots__", ())]
    for name in slots:
        if name != "__dict__" and hasattr(value, name):
            yield f".{name}", getattr(value, name)
    compiled = kind.__reduce__ is not object.__reduce__  # as pandas' blocks are
    if compiled and not slots and not getattr(value, "__dict__", None):
        yield from _of_library(value)
    yield "", kind


def _of_library(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield what pickle would store of an object, for example a range or a date."""
    try:
        reduced = value.__reduce_ex__(4)
    except Exception:  # noqa: BLE001 - such as a lock or a file, which no model computes with
        return
    if isinstance(reduced, tuple):
        yield from _of_sequence(reduced[1:3])


def _attributes(value: Any) -> Iterator[tuple[str, Any]]:
    for name, member in list(getattr(value, "__dict__", {}).items()):
        yield f".{name}", member


def _of_module(module: nn.Module) -> Iterator[tuple[str, Any]]:
    for name, member in list(vars(module).items()):
        if name not in _TENSORS:
            # the keys of hooks are a counter of the process, not of the model
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
        except ValueError:  # not bound yet
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
        else:  # imported inside the function, perhaps from beside a plug-in
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


def _of_cached(cached: Any) -> Iterator[tuple[str, Any]]:
    """Yield a cached function, and the values in its cache that can change."""
    yield "", cached.__wrapped__
    held = [part for part in gc.get_referents(cached) if part is not vars(cached)]
    if cached.cache_parameters()["maxsize"] is None:  # an unbounded cache is one dict
        held = [value for part in held if type(part) is dict for value in part.values()]
    mutable = (value for value in held if value is not cached.__wrapped__ and not _fixed(value))
    yield from ((f"{CACHED} {place}>", value) for place, value in enumerate(mutable))


def _fixed(value: Any) -> bool:
    """Return whether a cached value is immutable, or part of the cache itself."""
    if type(value) is dict and value:
        return type(next(iter(value.values()))).__name__ == "_lru_list_elem"
    parts = value if isinstance(value, tuple) else (value,)
    kinds = (*_PLAIN, Tensor, np.ndarray, type)
    return type(value) is object or all(isinstance(part, kinds) for part in parts)


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
    if len(items) > _LONGEST_LISTED and all(isinstance(part, _PLAIN) for part in parts):
        yield "", repr(items)
    else:
        yield from ((f"[{key!r:.40}]", value) for key, value in items)


_PARTS: tuple[tuple[Any, Callable[[Any], Iterator[tuple[str, Any]]]], ...] = (
    ((weakref.ReferenceType, types.BuiltinFunctionType), lambda _: iter(())),
    (types.ModuleType, _of_file),
    (nn.Module, _of_module),
    (type, _of_class),
    (types.FunctionType, _of_function),
    (types.MethodType, lambda method: iter([("", method.__func__), ("", method.__self__)])),
    ((staticmethod, classmethod), lambda method: iter([("", method.__func__)])),
    (property, lambda member: iter([("", member.fget)])),
    (type(cache(len)), _of_cached),
    (ContextVar, lambda variable: iter([("", variable.get(None))])),
    (SynchronizedBase, lambda shared: iter([("", shared.get_obj())])),
    (partial, lambda call: _of_sequence([call.func, *call.args, *call.keywords.values()])),
    (types.GeneratorType, _of_generator),
    (Mapping, _of_mapping),
    ((list, tuple, deque), _of_sequence),
    (object, _of_object),
)
"""Types that refer to other values, with the function that yields these; the first match counts."""
