"""The commands `init` and `schema`: a first study file, and the JSON schema of all."""

from pathlib import Path
from typing import Annotated, Any

from typer import Argument

from study.commands.options import StudyWorkload
from study.commands.terminal import console
from study.errors import StudyError

_GRID = {
    "description": "Several studies: lists of values by dotted key, or tables of settings.",
    "anyOf": [
        {
            "type": "object",
            "additionalProperties": {"anyOf": [{"type": "array"}, {"type": "object"}]},
        },
        {"type": "array", "items": {"type": "object"}},
    ],
}


def init(
    file: Annotated[Path, Argument(metavar="FILE", help="The study file to write.")] = Path(
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

    if file.resolve().parent != Path.cwd():  # paths in a study file are relative to it
        workload = absolute(workload, Path.cwd())
    text = study_template(workload)
    try:
        with file.open("x", encoding="utf-8") as stream:
            stream.write(text)
    except FileExistsError as error:
        raise StudyError(
            f"`init` must not overwrite a file, got {file}, which exists; give another name"
        ) from error
    except OSError as error:
        raise StudyError(
            f"the study file must be writable, got {file}: {error.strerror or error}; choose "
            "another folder, or get write access"
        ) from error
    console.print(f"{file} written; edit it, then run: batchscale sweep {file}")


def schema() -> None:
    """Print the JSON schema of study files, for editors that check and complete TOML."""
    console.document(study_schema())


def study_schema() -> dict[str, Any]:
    """Return the schema of study files, and of the `study.toml` of a results folder."""
    from study.config.study import RECORDED_KEYS, ResolvedStudy, StudyConfig

    schema = StudyConfig.model_json_schema(by_alias=True)
    recorded = ResolvedStudy.model_json_schema(by_alias=True)["properties"]
    for part in (schema, *schema["$defs"].values()):
        if "low" not in part.get("properties", ()):  # a grid may supply the keys of others
            part.pop("required", None)
    schema["properties"] |= {"grid": _GRID, **{key: recorded[key] for key in RECORDED_KEYS}}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
