"""Where the files of a data set are looked for."""

import os
from collections.abc import Sequence
from pathlib import Path

VARIABLE = "BATCHSCALE_DATA"
"""Environment variable that names the folder of data files; `--data-dir` sets it."""


def places(subfolders: Sequence[str], otherwise: Path | None = None) -> list[Path]:
    """Gives the folders to look in, the likeliest first.

    Args:
        subfolders: what the data set's own folder may be called.
        otherwise: where a package of the system puts it; looked in only where the user named no
            folder, since a folder that was asked for must hold the files: others would not be the
            user's data.

    Returns:
        The subfolders of BATCHSCALE_DATA, then itself; or `otherwise`; or none.
    """
    asked = os.environ.get(VARIABLE)
    if asked:
        # a subfolder by name goes first: files beside it may be another set's, of equal names
        return [*(Path(asked) / name for name in subfolders), Path(asked)]
    return [] if otherwise is None else [otherwise]


def in_words(looked: Sequence[Path]) -> str:
    """Gives the places that were looked in, for an error."""
    return f"none in {', '.join(map(str, looked))}" if looked else f"no {VARIABLE}"
