"""Who wrote a module: a workload's author, whose code is examined, or a library."""

import sysconfig
import types
from pathlib import Path

_AUTHORS: set[str] = set()
"""Packages of examined workloads, which count as the author's even where they are installed."""
OURS = {"workloads", "study", "analysis", "batchscale"}
_LIBRARY = str(Path(sysconfig.get_path("stdlib")).resolve())
_INSTALLED = {"site-packages", "dist-packages"}
"""Names of the folders of installed packages; an environment may have several."""


def watch(workload: object) -> None:
    """Count the package of a workload as its author's, even if it is installed."""
    _AUTHORS.add(type(workload).__module__.partition(".")[0])


def written_by_the_author(module: types.ModuleType | None) -> bool:
    """Return whether a module is neither Python's, nor an installed package, nor batchscale's."""
    package = "" if module is None else module.__name__.partition(".")[0]
    if module is None or package in OURS:
        return False
    if package in _AUTHORS:
        return True
    file = getattr(module, "__file__", None)
    if file is None:
        return module.__name__ == "__main__"
    path = Path(file).resolve()
    return not str(path).startswith(_LIBRARY) and _INSTALLED.isdisjoint(path.parts)
