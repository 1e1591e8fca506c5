"""Arguments and options that several commands take."""

import math
import os
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from typer import Argument, Option

from study.errors import StudyError

T = TypeVar("T", str, list[str])

SOME_FAILED, WRONG_INPUT = 1, 2
"""Exit codes: some trials or checks failed; wrong input."""


def _workload_names(incomplete: str) -> list[str]:
    """Return workload names for shell completion; the shell completes files itself."""
    from workloads.registry import names

    return [entry.name for entry in names() if entry.name.startswith(incomplete)]


Source = Annotated[
    str,
    Argument(
        metavar="STUDY",
        help="A study.toml, or the name of a workload.",
        autocompletion=_workload_names,
    ),
]
Workload = Annotated[
    str,
    Argument(
        metavar="WORKLOAD",
        help="A workload's name, path/to/file.py:Class, or the study.toml of a program.",
        autocompletion=_workload_names,
    ),
]
StudyWorkload = Annotated[
    str,
    Option(
        "--workload",
        help="The workload: a name, or path/to/file.py:Class.",
        autocompletion=_workload_names,
    ),
]
DataDir = Annotated[Path | None, Option(help="Folder of data files; overrides BATCHSCALE_DATA.")]


def require_studies(locations: T) -> T:
    """Refuse folders without a study file; a typer callback, run before slow imports."""
    from analysis.tables.folder import ResultsFolder
    from analysis.tables.schema import STUDY_FILE

    for location in [locations] if isinstance(locations, str) else locations:
        ResultsFolder.at(location).read(STUDY_FILE)
    return locations


StudyFolder = Annotated[
    str,
    Argument(
        metavar="DIR",
        help="Results folder of one study: a path or a URI.",
        callback=require_studies,
    ),
]
Target = Annotated[
    float | None,
    Option(help="Target to analyze at; not below that of the sweep.", show_default="own"),
]
Formats = Annotated[
    str, Option("--format", help="Figure formats, separated by commas: png, svg, pdf.")
]
Width = Annotated[float | None, Option(help="Figure width in inches.", show_default="6.4")]
FontSize = Annotated[
    float | None, Option(help="Font size in the figures, in points.", show_default="10")
]
Title = Annotated[bool, Option("--title/--no-title", help="Put a title above each figure.")]

Json = Annotated[bool, Option("--json", help="Print a single JSON document instead.")]

RunCode = Annotated[
    bool,
    Option(
        "--run-code",
        help="Allow a results folder to run the workload file that its study.toml names.",
    ),
]


def use_data(folder: str | Path | None) -> None:
    """Make workloads look for data in an existing folder; None keeps BATCHSCALE_DATA."""
    if folder is None:
        return
    if not os.path.isdir(folder):  # unlike pathlib, it takes a name of any length
        raise StudyError(f"--data-dir must be an existing folder, got {folder}; check the path")
    os.environ["BATCHSCALE_DATA"] = os.path.realpath(folder)


def integers(option: str, text: str) -> list[int]:
    """Return the integers of an option, in the order given; refuse anything else."""
    try:
        return [int(word) for word in text.split(",")]
    except ValueError as error:
        raise StudyError(
            f"{option} must be integers separated by commas, as in 16,256, got {text!r}"
        ) from error


def finite(value: float | None) -> float | None:
    """Refuse infinities and NaN; a typer callback."""
    if value is not None and not math.isfinite(value):
        raise typer.BadParameter(f"{value} is not a finite number.")
    return value
