"""Where the files of a data set are searched."""

import os
from collections.abc import Sequence
from pathlib import Path

from workloads.errors import WorkloadError

VARIABLE = "BATCHSCALE_DATA"
"""Environment variable with the folder of data files; `--data-dir` sets it."""


def places(subfolders: Sequence[str], otherwise: Path | None = None) -> list[Path]:
    """Return the folders to search, the likeliest first.

    These are the subfolders of BATCHSCALE_DATA, then itself; or, if it is not set, `otherwise`, the
    folder of a system package. A folder that the user named must hold the files: others would not
    be the user's data.
    """
    asked = os.environ.get(VARIABLE)
    if asked:
        # a subfolder by name goes first: files of the same names may belong to another data set
        return [*(Path(asked) / name for name in subfolders), Path(asked)]
    return [] if otherwise is None else [otherwise]


def place_of(option: str, path: str) -> Path:
    """Return the place of an option's path, an absolute one or one in BATCHSCALE_DATA."""
    asked, place = os.environ.get(VARIABLE), Path(path).expanduser()
    # workers run in folders of their own, where a relative path would lead elsewhere
    if not place.is_absolute() and not asked:
        raise WorkloadError(
            f"`{option}` must be an absolute path, or one in {VARIABLE}, got {path!r} and no "
            f"{VARIABLE}; give the full path, or --data-dir"
        )
    return Path(asked or "") / place


def searched_text(folders: Sequence[Path]) -> str:
    """Return the folders that were searched, for a message."""
    return f"none in {', '.join(map(str, folders))}" if folders else f"no {VARIABLE}"
