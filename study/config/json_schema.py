"""The JSON schema of study files, for editors: keys, what each may hold, and what it means."""

from typing import Any

from study.config.study import FOUND, ResolvedStudy, StudyConfig

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


def study_schema() -> dict[str, Any]:
    """Return the schema of what a user writes, and of the `study.toml` of a results folder."""
    schema = StudyConfig.model_json_schema(by_alias=True)
    recorded = ResolvedStudy.model_json_schema(by_alias=True)["properties"]
    for part in (schema, *schema["$defs"].values()):
        if "low" not in part.get("properties", ()):  # keys of other tables may come from the grid
            part.pop("required", None)
    schema["properties"] |= {"grid": _GRID, **{key: recorded[key] for key in FOUND}}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
