"""Where the files of a data set are searched."""

import os
from collections.abc import Sequence
from pathlib import Path

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


def searched_text(folders: Sequence[Path]) -> str:
    """Return the folders that were searched, for a message."""
    return f"none in {', '.join(map(str, folders))}" if folders else f"no {VARIABLE}"
