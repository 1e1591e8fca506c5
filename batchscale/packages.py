"""A check that Python imports our `study`, `workloads` and `analysis`, which are common names."""

import importlib.util
import re
from pathlib import Path

PACKAGES = ("study", "workloads", "analysis")
_OURS = re.compile(r'^DISTRIBUTION = "batchscale"$', re.MULTILINE)
_HOME = Path(__file__).resolve().parents[1]


def find_clash(home: Path = _HOME) -> str | None:
    """Return a sentence on the first of our packages in `home` that another shadows or replaced.

    Returns:
        The sentence, with the files concerned and the remedy; None if all packages are ours.
    """
    for name in PACKAGES:
        ours = home / name / "__init__.py"
        spec = importlib.util.find_spec(name)
        origin = None if spec is None else spec.origin
        if origin is not None and Path(origin).resolve() != ours.resolve():
            return (
                f"`import {name}` must find {ours} of batchscale, but finds {origin}, which comes "
                "first on Python's path; rename that file, run from another folder, or install "
                "batchscale in a virtual environment of its own"
            )
        if not ours.is_file() or not _OURS.search(ours.read_text("utf-8", errors="replace")):
            return (
                f"{ours} must be the file that batchscale installed, but {_fate(name, ours)}; run "
                "`pip install --force-reinstall --no-deps batchscale` in a virtual environment of "
                "its own"
            )
    return None


def _fate(name: str, ours: Path) -> str:
    """Return what became of our file, with the name of the distribution that replaced it."""
    from importlib.metadata import distributions

    if not ours.is_file():
        return "another distribution that was uninstalled has removed it"
    owners = sorted(
        f"{distribution.name} {distribution.version}"
        for distribution in distributions()
        if distribution.name != "batchscale"
        and any(str(file) == f"{name}/__init__.py" for file in distribution.files or ())
    )
    return f"{' and '.join(owners) or 'another distribution'} has overwritten it with its own"
