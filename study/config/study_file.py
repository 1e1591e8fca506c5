"""The study file as it is read: TOML plus `--set`, checked key by key, errors in words."""

import difflib
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from study.config.study import StudyConfig
from study.errors import StudyError, shown

Form = TypeVar("Form", bound=StudyConfig)
_NO_TOML = (ValueError, RecursionError)
"""What `tomllib` raises: its own error, those of enormous numbers, and of endless nesting."""
_DEEPEST = 100
_RULES = {
    "model_type": "a table",
    "dict_type": "a table",
    "tuple_type": "a list",
    "int_type": "an integer",
    "int_from_float": "an integer",
    "float_type": "a number",
    "bool_type": "true or false",
    "string_type": "a string",
}
"""What a value must be, by pydantic's word for how it is not."""


def read_study(source: str) -> dict[str, Any]:
    """Reads a study file, or stands in for one that only names a workload.

    Args:
        source: path of a `.toml` file, or a workload.

    Returns:
        The study file as plain data; a workload file in it is made absolute.

    Raises:
        StudyError: the file cannot be read or is not TOML.
    """
    if not source.endswith(".toml"):
        return {"workload": absolute_workload(source, Path.cwd())}
    path = Path(source)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise StudyError(
            f"a study file must be readable UTF-8 text, got {path}: {error}; check the path"
        ) from error
    try:
        data = tomllib.loads(text)
    except _NO_TOML as error:
        raise StudyError(
            f"a study file must be valid TOML, got {path}: {error}; correct that line"
        ) from error
    if isinstance(data.get("workload"), str):
        data["workload"] = absolute_workload(data["workload"], path.resolve().parent)
    return data


def override(data: Mapping[str, Any], settings: Iterable[str]) -> dict[str, Any]:
    """Applies `--set key=value`, where the key is dotted and the value is TOML, or else a word.

    Args:
        data: a study file as plain data.
        settings: such as `search.trials=32`.

    Returns:
        A changed copy.

    Raises:
        StudyError: a setting is not of that form.
    """
    changed = dict(data)
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals or not all(part.strip() for part in key.split(".")):
            raise StudyError(
                f"`--set` must be key=value, got {shown(setting)}; for example "
                "--set search.trials=32"
            )
        keys = [part.strip() for part in key.split(".")]
        if len(keys) > _DEEPEST:
            raise StudyError(
                f"a key of `--set` must have at most {_DEEPEST} parts, got {len(keys):,}; correct "
                "it, for example --set search.space.lr.low=0.1"
            )
        changed = with_value(changed, keys, _value(text), f"--set {setting}")
    return changed


def _value(text: str) -> object:
    """Gives what is set: TOML, or else a word."""
    try:
        parsed = tomllib.loads(f"value = {text}")
    except _NO_TOML:
        return text
    return parsed["value"] if len(parsed) == 1 else text  # a line break would bring further keys


def validated(form: type[Form], data: Mapping[str, Any]) -> Form:
    """Checks plain data key by key.

    Args:
        form: what it must be.
        data: a study file as plain data.

    Returns:
        The config.

    Raises:
        StudyError: a key is unknown or a value breaks its rule; one line for each.
    """
    try:
        return form.model_validate(data)
    except ValidationError as error:
        raise StudyError("\n".join(map(_in_words, error.errors()))) from error


def absolute_workload(workload: str, folder: Path) -> str:
    """Gives a workload's name as it is, or with the path of its file made absolute.

    Args:
        workload: a name, or path/to/file.py:Class.
        folder: what the path starts from.

    Returns:
        The same workload, from any folder.

    Raises:
        StudyError: no file can have such a path.
    """
    path, colon, name = workload.rpartition(":")
    if not colon or not path.endswith(".py"):
        return workload
    try:
        return f"{(folder / path).resolve()}:{name}"
    except (OSError, ValueError, RuntimeError) as error:  # too long, a NUL, a circle of links
        raise StudyError(
            f"workload must be a name or path/to/file.py:Class, got {shown(workload)}: {error}; "
            "correct the path"
        ) from error


def with_value(
    data: Mapping[str, Any], keys: Sequence[str], value: object, setting: str
) -> dict[str, Any]:
    """Sets one key at any depth.

    Args:
        data: a study file as plain data.
        keys: the parts of the dotted key, >= 1.
        value: what is set; a table replaces a table.
        setting: key and value as they were given, for the message.

    Returns:
        A changed copy.

    Raises:
        StudyError: the key runs through a plain value.
    """
    key, *rest = keys
    if not rest:
        return {**data, key: value}
    inner = data.get(key, {})
    if not isinstance(inner, Mapping):
        raise StudyError(
            f"a setting must name a key of a table, got {setting} where {key} is {shown(inner)}; "
            f"set {key} itself"
        )
    return {**data, key: with_value(inner, rest, value, setting)}


def _in_words(error: ErrorDetails) -> str:
    keys = [str(part) for part in error["loc"] if not str(part).startswith("<")]
    where = ".".join(keys) or "the study file"
    got = error["input"]
    if error["type"] == "extra_forbidden":
        return f"{where} is not a key of a study file{_suggestion(keys)}; correct or remove it"
    if error["type"] == "missing":
        return f"{where} must be given, got none; add it to the study file"
    if error["type"] == "value_error":
        return f"{where}: {error['msg'].removeprefix('Value error, ')}"
    words = error["msg"].removeprefix("Input should be ").removeprefix("a valid ")
    rule = _RULES.get(error["type"], words)
    if error["type"] == "union_tag_invalid":
        rule = error["ctx"]["expected_tags"].replace("'<", "a ").replace(">'", "")
    return f"{where} must be {rule}, got {shown(got)}; correct it in the study file"


def _suggestion(keys: Sequence[str]) -> str:
    form: Any = StudyConfig
    for key in keys[:-1]:
        field = getattr(form, "model_fields", {}).get(key)
        form = field.annotation if field is not None else None
        form = next((part for part in get_args(form) if hasattr(part, "model_fields")), form)
    names = getattr(form, "model_fields", {})
    close = difflib.get_close_matches(keys[-1], names, n=1)
    return f"; did you mean {close[0]!r}?" if close else f", got {keys[-1]!r}"
