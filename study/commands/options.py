"""Arguments and options that commands of several modules take."""

import os
from pathlib import Path
from typing import Annotated

import typer

from study.errors import StudyError

SOME_FAILED, WRONG_INPUT = 1, 2
"""Exit codes; 0 is for all else."""

DataDir = Annotated[
    Path | None,
    typer.Option(help="Folder of data files; BATCHSCALE_DATA says the same.", show_default=False),
]
StudyFolder = Annotated[
    str, typer.Argument(metavar="DIR", help="Results folder of one study: a path or a URI.")
]


def use_data(folder: Path | None) -> None:
    """Makes workloads look for data files in a folder; None leaves it to BATCHSCALE_DATA.

    Args:
        folder: of data files.

    Raises:
        StudyError: it is none.
    """
    if folder is None:
        return
    if not folder.is_dir():
        raise StudyError(f"--data-dir must be a folder, got {folder}; check the path")
    os.environ["BATCHSCALE_DATA"] = str(folder.resolve())
