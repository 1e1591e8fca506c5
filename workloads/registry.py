"""Workloads: built in, from an entry point, or given as path/to/file.py:Class."""

import importlib
import inspect
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from batchscale.errors import did_you_mean, not_among
from workloads.builtin.table import BUILTIN
from workloads.entry_points import Kind, package
from workloads.errors import WorkloadError
from workloads.plugin_files import module_of

if TYPE_CHECKING:
    from workloads.command import Command
    from workloads.workload import Dynamics, Workload

COMMAND = "command"
"""Name of the workload that is a program."""
_KIND = Kind(noun="workload", article="a", builtin=BUILTIN, error=WorkloadError)
_TRAINED = ("target", "data", "model", "loss", "error")
_OWN_DYNAMICS = ("target", "lanes")
_OPTIONAL = ("augment", "quantities")
_FILES_REFUSED = ContextVar("files refused", default=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """A workload that a study file can name."""

    name: str
    source: str  # "built in", or the distribution that provides it
    data: str  # source of its data; empty for a plug-in
    summary: str  # one line


def names() -> list[Entry]:
    """Return the workloads that a study file can name, without importing them."""
    built_in = [
        Entry(name=name, source="built in", data=own.data, summary=own.summary)
        for name, own in BUILTIN.items()
    ]
    plugins = [
        Entry(name=name, source=package(point), data="", summary=point.value)
        for name, point in sorted(_KIND.points().items())
    ]
    return built_in + plugins


def resolve(
    reference: str, options: Mapping[str, Any] | None = None
) -> "Workload | Dynamics | Command":
    """Return a workload, built from its class with the options as keyword arguments.

    The reference is a name, path/to/file.py:Class, or "command" for a program. A workload that is
    not found, does not import, refuses its options or lacks a member raises a `WorkloadError`.
    """
    if reference == COMMAND:
        return _program(options or {})
    workload = _built(maker(reference), reference, options or {})
    _check_members(workload, reference)
    return workload  # type: ignore[no-any-return]


def maker(reference: str) -> Any:
    """Return the class, or any other callable, that makes a workload from its options."""
    return class_in_file(reference, "workload") or _named(reference)


def class_in_file(reference: str, noun: str) -> Any:
    """Return what path/to/file.py:Class refers to, if it may run; None for other references."""
    path, colon, name = reference.rpartition(":")
    if reference.endswith((".py", ".py:")):
        raise WorkloadError(
            f"a {noun} in a file must be given as path/to/file.py:Class, got {reference!r}"
        )
    if not colon or not path.endswith(".py"):
        return None
    if _FILES_REFUSED.get():
        raise WorkloadError(
            "a results folder may come from a stranger, so its code does not run unasked; got "
            f"{noun} {name} in {Path(path).resolve()}; read that file, then give --run-code"
        )
    return _class_in(module_of(Path(path), noun), name, f"a {noun}", reference)


def plug_in(kind: Kind, key: str, name: str) -> Any:
    """Return the plug-in that a key of the study file names; None for a built-in.

    The name is path/to/file.py:Class or that of an entry point; other names are refused.
    """
    points = kind.points()
    if name in kind.builtin:
        return None
    if (in_file := class_in_file(name, kind.noun)) is not None:
        return in_file
    if name not in points:
        known = [*kind.builtin, *sorted(points), "path/to/file.py:Class"]
        raise kind.error(not_among(key, name, known))
    return kind.load(points[name])


@contextmanager
def files_refused(refused: bool = True) -> Iterator[None]:
    """Refuse the files and programs of a study that its user did not write.

    Built-in workloads and installed packages are still accepted.
    """
    token = _FILES_REFUSED.set(refused)
    try:
        yield
    finally:
        _FILES_REFUSED.reset(token)


def refuse_unknown(reference: str) -> None:
    """Refuse a name that no workload has, without importing any; files need not exist."""
    known = [*BUILTIN, *_KIND.points(), COMMAND, "path/to/file.py:Class"]
    in_file = reference.endswith(".py") or reference.rpartition(":")[0].endswith(".py")
    if not in_file and reference not in known:
        raise WorkloadError(not_among("workload", reference, known))


def _program(options: Mapping[str, Any]) -> "Command":
    from workloads.command import made

    if _FILES_REFUSED.get():
        raise WorkloadError(
            "a results folder may come from a stranger, so its program does not run unasked; got "
            f"workload_options.run = {options.get('run')!r}; read what it runs, then give "
            "--run-code"
        )
    return made(**options)


def _named(name: str) -> Any:
    refuse_unknown(name)
    if name in BUILTIN:
        module, _, attribute = BUILTIN[name].attribute.partition(":")
        return getattr(importlib.import_module(f"workloads.builtin.{module}"), attribute)
    return _KIND.load(_KIND.points()[name])


def _class_in(module: ModuleType, name: str, noun: str, reference: str) -> Any:
    make = getattr(module, name, None)
    if callable(make):
        return make
    classes = [n for n, v in vars(module).items() if inspect.isclass(v)]
    hint = did_you_mean(name, classes) or f"add class {name!r} to the file"
    raise WorkloadError(f"{noun} must be a class in its file, got {reference!r}; {hint}")


def _built(make: Any, reference: str, options: Mapping[str, Any]) -> Any:
    try:
        _check_options(inspect.signature(make), reference, options)
        return make(**options)
    except WorkloadError:
        raise
    except (Exception, SystemExit) as error:
        raise WorkloadError(
            f"workload {reference} must build from its workload_options, got "
            f"{type(error).__name__}: {error}"
        ) from error


def _check_options(
    signature: inspect.Signature, reference: str, options: Mapping[str, Any]
) -> None:
    variadic = {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD}
    named = {n: p for n, p in signature.parameters.items() if p.kind not in variadic}
    open_ended = any(p.kind is p.VAR_KEYWORD for p in signature.parameters.values())
    unknown = [] if open_ended else [name for name in options if name not in named]
    if unknown:
        raise WorkloadError(
            f"workload_options of {reference} must be among: {', '.join(named) or 'none'}; got "
            f"{unknown[0]!r}; {did_you_mean(unknown[0], named) or 'remove it'}"
        )
    missing = [n for n, p in named.items() if p.default is p.empty and n not in options]
    if missing:
        raise WorkloadError(
            f"workload_options of {reference} must give {', '.join(missing)}, got "
            f"{', '.join(options) or 'none'}"
        )


def _check_members(workload: object, reference: str) -> None:
    try:
        members = _OWN_DYNAMICS if hasattr(workload, "lanes") else _TRAINED
        methods = [*members, *(name for name in _OPTIONAL if hasattr(workload, name))]
        there = {name: getattr(workload, name) for name in methods if hasattr(workload, name)}
    except (Exception, SystemExit) as error:
        raise WorkloadError(
            f"a workload's members must be readable, got {type(error).__name__}: {error} in "
            f"{reference}"
        ) from error
    whole = getattr(workload, "whole", False)
    if not isinstance(whole, bool):
        raise WorkloadError(
            f"`whole` of a workload must be True or False, got {whole!r:.100} in {reference}"
        )
    missing = [name for name in members if name not in there]
    if missing:
        raise WorkloadError(
            f"a workload must have {', '.join(members)}; {reference} lacks {', '.join(missing)}"
        )
    values = [name for name in methods[1:] if not callable(there[name])]
    if values:
        raise WorkloadError(
            f"{', '.join(methods[1:])} of a workload must be methods; {values[0]} of {reference} "
            f"is {there[values[0]]!r:.100}"
        )
