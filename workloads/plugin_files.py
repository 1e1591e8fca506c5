"""Plug-in files: a user's Python files, which may import the files and packages beside them.

Each folder of plug-ins becomes a package, named after a digest of its path, and imports in its
files look into the folder first, as Python does for a script. Nothing is added to `sys.path`: two
folders may both have a `models.py`, and no other code can import either.
"""

import builtins
import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Mapping, Sequence
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any

from workloads.errors import WorkloadError

_PREFIX = "batchscale_plugin_"
_RESERVED = sys.stdlib_module_names | {"analysis", "batchscale", "study", "workloads"}
"""Top-level names that a file beside a plug-in cannot shadow."""


def module_of(path: Path, noun: str = "workload") -> ModuleType:
    """Return a file's module, imported under a name that is the same in every process."""
    try:
        path = path.resolve()
        exists = path.is_file()
    except (OSError, ValueError, RuntimeError) as error:  # too long, a NUL, a loop of links
        raise WorkloadError(f"a {noun} file needs a valid path, got {path}: {error}") from error
    if not exists:
        raise WorkloadError(f"a {noun} file must exist, got {path}")
    importlib.invalidate_caches()  # a file beside it may be new
    stem = path.stem if path.stem.isidentifier() else f"file_{_digest(path.name)}"
    name = f"{_package(path.parent)}.{stem}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path, loader=_Loader(name, str(path)))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    # a script that calls sys.exit must not end the sweep silently
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise WorkloadError(
            f"a {noun} file must import, got {type(error).__name__}: {error} from {path}"
        ) from error
    return module


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _package(folder: Path) -> str:
    """Return the name of a folder's package; create it on first use."""
    name = _PREFIX + _digest(str(folder))
    if name not in sys.modules:
        package = ModuleType(name)
        package.__path__ = [str(folder)]
        sys.modules[name] = package
        if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
            sys.meta_path.insert(0, _Finder())
    return name


class _Finder:
    """A finder for the modules of plug-in folders, which gives them `_Loader` as well."""

    @staticmethod
    def find_spec(
        name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not name.startswith(_PREFIX) or path is None:
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and isinstance(spec.loader, SourceFileLoader):
            spec.loader = _Loader(name, spec.loader.path)
        return spec


class _Loader(SourceFileLoader):
    """A loader that runs a file with its own `__import__`."""

    def exec_module(self, module: ModuleType) -> None:
        package, itself = module.__name__.partition(".")[0], Path(self.path).stem
        folder = sys.modules[package].__path__

        def imported(
            name: str,
            globals: Mapping[str, Any] | None = None,
            locals: Mapping[str, Any] | None = None,
            fromlist: Sequence[str] | None = (),
            level: int = 0,
        ) -> ModuleType:
            top = name.partition(".")[0]
            # a file named transformers.py may import the package transformers
            if level or top == itself or not _is_in(folder, top):
                return builtins.__import__(name, globals, locals, fromlist or (), level)
            within = builtins.__import__(f"{package}.{name}", globals, locals, fromlist or ())
            return within if fromlist else sys.modules[f"{package}.{top}"]

        vars(module)["__builtins__"] = vars(builtins) | {"__import__": imported}
        super().exec_module(module)


def _is_in(folder: Sequence[str], top: str) -> bool:
    """Return whether importing a top-level name means a module in a folder of plug-ins."""
    spec = None if top in _RESERVED else PathFinder.find_spec(top, folder)
    # installed packages take precedence over a folder without __init__.py, perhaps of data
    plain = spec is not None and spec.loader is None
    return spec is not None and not (plain and importlib.util.find_spec(top))
