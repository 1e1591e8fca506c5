"""The folders in which the files of a data set are searched."""

import os
from collections.abc import Sequence
from pathlib import Path

from workloads.errors import WorkloadError

VARIABLE = "BATCHSCALE_DATA"
"""Environment variable with the folder of data files; `--data-dir` sets it."""


def places(subfolders: Sequence[str], otherwise: Path | None = None) -> list[Path]:
    """Return the folders to search, in order.

    These are the subfolders of BATCHSCALE_DATA, then BATCHSCALE_DATA itself. Only if it is not set,
    `otherwise`, the folder of a system package, is searched.
    """
    root = os.environ.get(VARIABLE)
    if root:
        # the subfolders first, since the root may have another set's files of the same names
        return [*(Path(root) / name for name in subfolders), Path(root)]
    return [] if otherwise is None else [otherwise]


def place_of(option: str, path: str) -> Path:
    """Return the full path that an option gives, absolute or relative to BATCHSCALE_DATA."""
    root, place = os.environ.get(VARIABLE), Path(path).expanduser()
    # workers have other working directories, so a relative path would lead elsewhere
    if not place.is_absolute() and not root:
        raise WorkloadError(
            f"`{option}` must be an absolute path, or one in {VARIABLE}, got {path!r} and no "
            f"{VARIABLE}; give the full path, or --data-dir"
        )
    return Path(root or "") / place


def searched_text(folders: Sequence[Path]) -> str:
    """Return the folders that were searched, for a message."""
    return f"none in {', '.join(map(str, folders))}" if folders else f"no {VARIABLE}"
