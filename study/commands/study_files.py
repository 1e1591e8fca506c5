"""The commands about study files: a first one to start from, and their schema for editors."""

from pathlib import Path
from typing import Annotated

import typer

from study.commands.options import StudyWorkload
from study.commands.terminal import Terminal
from study.errors import StudyError

app = typer.Typer()
console = Terminal()


@app.command()
def init(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The study file to write.")] = Path(
        "study.toml"
    ),
    workload: StudyWorkload = "digits-mlp",
) -> None:
    """Write a study file that explains every key and its default in comments."""
    from workloads.registry import refuse_unknown

    refuse_unknown(workload)
    if file.suffix != ".toml":
        raise StudyError(f"a study file's name must end with .toml, got {file}; rename it")
    from study.config.study_file import absolute
    from study.planning.template import study_template

    if file.resolve().parent != Path.cwd():  # to which the file will be relative
        workload = absolute(workload, Path.cwd())
    text = study_template(workload)
    try:
        with file.open("x", encoding="utf-8") as stream:
            stream.write(text)
    except FileExistsError as error:
        raise StudyError(
            f"init must not overwrite anything, got {file}, which exists; give another name"
        ) from error
    except OSError as error:
        raise StudyError(
            f"the study file must be writable, got {file}: {error.strerror or error}; choose "
            "another folder, or get write access"
        ) from error
    console.print(f"{file}: edit it, then batchscale sweep {file}")


@app.command()
def schema() -> None:
    """Print the JSON schema of study files, for editors that check and complete TOML."""
    from study.config.json_schema import study_schema

    console.document(study_schema())
