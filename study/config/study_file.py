"""Reading a study file: TOML and `--set`, checked key by key, with readable errors."""

import codecs
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from batchscale.errors import did_you_mean
from batchscale.files import read_file
from study.config.study import StudyConfig
from study.errors import StudyError, shown
from workloads.registry import COMMAND

Config = TypeVar("Config", bound=StudyConfig)
_TOML_ERRORS = (ValueError, RecursionError)
"""Errors of `tomllib`: its own, and those for enormous numbers and deep nesting."""
_MAX_KEY_PARTS = 100
_MAX_BYTES = 2**24
_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
"""First bytes of UTF-16, and of UTF-32 with the same byte order."""
_EXPECTED = {
    "model_type": "a table",
    "dict_type": "a table",
    "tuple_type": "a list",
    "int_type": "an integer",
    "int_from_float": "an integer",
    "float_type": "a number",
    "bool_type": "true or false",
    "string_type": "a string",
}
"""Required kind of value, by the type of pydantic's error."""
NAMES_OF_FILES = ("workload", "optimizer", "schedule.name", "search.sampler")
"""Keys whose value may be path/to/file.py:Class."""


def read_study(source: str) -> dict[str, Any]:
    """Return a study file as plain data; a workload's name gives one with no other key.

    The paths of plug-in files become absolute.

    Raises:
        StudyError: the file cannot be read or is not TOML.
    """
    if not source.endswith(".toml"):
        return {"workload": absolute(source, Path.cwd())}
    path = Path(source)
    text = _text(path)
    try:
        data = tomllib.loads(text)
    except _TOML_ERRORS as error:
        raise StudyError(f"a study file must be valid TOML, got {path}: {error}") from error
    for key in NAMES_OF_FILES:
        section, _, name = key.rpartition(".")
        table = data.get(section) if section else data
        if isinstance(table, dict) and isinstance(table.get(name), str):
            table[name] = absolute(table[name], path.resolve().parent)
    return data


def refuse_imported(data: Mapping[str, Any], where: object) -> None:
    """Refuse the study file of imported results, which cannot be trained."""
    if "imported" in data:
        kind = "an archive" if "path" in data["imported"] else "finished runs"
        raise StudyError(
            f"training needs a study that batchscale ran, got one imported from {kind} in {where}; "
            "use `analyze`, or another folder"
        )


def _text(path: Path) -> str:
    """Return the text of a study file; editors on Windows may begin it with a byte order mark."""
    try:
        content = read_file(path, _MAX_BYTES)
        # every second byte of ASCII in UTF-16 is zero; a single zero byte is another fault
        if content.startswith(_UTF_16) or content[:4].count(0) > 1:
            raise ValueError("it is UTF-16 or UTF-32; save it as UTF-8")
        return content.decode("utf-8-sig")
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise StudyError(
            f"a study file must be readable UTF-8 text, got {path}: {why}; check the path, or save "
            "the file as UTF-8"
        ) from error


def override(data: Mapping[str, Any], settings: Iterable[str]) -> dict[str, Any]:
    """Return a copy of a study file with settings such as `search.trials=32` applied.

    A value that is not TOML is taken as text.

    Raises:
        StudyError: a setting has another form.
    """
    changed = dict(data)
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals or not all(part.strip() for part in key.split(".")):
            raise StudyError(
                f"--set must be key=value, got {shown(setting)}; for example --set search.trials=32"
            )
        keys = [part.strip() for part in key.split(".")]
        if len(keys) > _MAX_KEY_PARTS:
            raise StudyError(
                f"a key of `--set` must have at most {_MAX_KEY_PARTS} parts, got {len(keys):,}; "
                "for example --set search.space.lr.low=0.1"
            )
        value = _value(text)
        if ".".join(keys) in NAMES_OF_FILES and isinstance(value, str):
            value = absolute(value, Path.cwd())
        changed = with_value(changed, keys, value, f"--set {setting}")
    return changed


def _value(text: str) -> object:
    try:
        parsed = tomllib.loads(f"value = {text}")
    except _TOML_ERRORS:
        return text
    return parsed["value"] if len(parsed) == 1 else text  # a line break would add keys


def validated(form: type[Config], data: Mapping[str, Any]) -> Config:
    """Return a study file's content as a config, checked key by key.

    Raises:
        StudyError: a key is unknown or a value breaks its rule; one line for each.
    """
    try:
        return form.model_validate(data)
    except ValidationError as error:
        raise StudyError("\n".join(map(_message, error.errors()))) from error


def absolute(workload: str, folder: Path) -> str:
    """Return a plug-in's name; in path/to/file.py:Class the path, if valid, becomes absolute."""
    path, colon, name = workload.rpartition(":")
    if not colon or not path.endswith(".py"):
        return workload
    try:
        return f"{(folder / path).resolve()}:{name}"
    except (OSError, ValueError, RuntimeError) as error:  # too long, a NUL, a loop of links
        raise StudyError(
            f"a plug-in must be a name or path/to/file.py:Class, got {shown(workload)}: {error}"
        ) from error


def with_program_folder(data: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Return a study with the folder of its program, if it has one, resolved against this one."""
    options = data.get("workload_options", {})
    own = options.get("folder", ".") if isinstance(options, Mapping) else None
    if data.get("workload") != COMMAND or not isinstance(own, str):
        return data
    return {**data, "workload_options": {**options, "folder": str((folder / own).resolve())}}


def with_value(
    data: Mapping[str, Any], keys: Sequence[str], value: object, setting: str
) -> dict[str, Any]:
    """Return a copy of nested tables with one key set, at any depth; `setting` is for the message.

    Raises:
        StudyError: the key leads through a value that is not a table.
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


def _message(error: ErrorDetails) -> str:
    keys = [str(part) for part in error["loc"] if not str(part).startswith("<")]
    where = ".".join(keys) or "the study file"
    got = error["input"]
    if error["type"] == "extra_forbidden":
        return f"{where} is not a key of a study file{_suggestion(keys)}"
    if error["type"] == "missing":
        return f"{where} is required, got none"
    if error["type"] == "value_error":
        return f"{where}: {error['msg'].removeprefix('Value error, ')}"
    expected = error["msg"].removeprefix("Input should be ").removeprefix("a valid ")
    rule = _EXPECTED.get(error["type"], expected)
    if error["type"] == "union_tag_invalid":
        rule = _any_of(re.findall("<(.+?)>", error["ctx"]["expected_tags"]))
    return f"{where} must be {rule}, got {shown(got)}"


def _any_of(kinds: Sequence[str]) -> str:
    """Return the kinds of value that are allowed; one in quotation marks is literal text.

    >>> _any_of(["table", "list", "'auto'"])
    "a table, a list or 'auto'"
    """
    *most, last = (kind if kind.startswith("'") else f"a {kind}" for kind in kinds)
    return f"{', '.join(most)} or {last}"


def _suggestion(keys: Sequence[str]) -> str:
    form: Any = StudyConfig
    for key in keys[:-1]:
        field = getattr(form, "model_fields", {}).get(key)
        form = field.annotation if field is not None else None
        form = next((part for part in get_args(form) if hasattr(part, "model_fields")), form)
    hint = did_you_mean(keys[-1], getattr(form, "model_fields", {}))
    return f"; {hint}" if hint else f", got {keys[-1]!r}"
