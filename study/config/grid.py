"""Several studies from one study file: every combination of the values in its `grid`.

`[grid]` gives lists of values to keys, dotted as for `--set`, and makes every combination. Each
`[[grid]]` table gives the settings of one study. Either way, the study is the same as that of the
file without the grid and with these settings given by `--set`.
"""

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

from analysis.tables.nested import leaves, value_at
from study.config.study import SECTIONS
from study.config.study_file import (
    NAMES_OF_FILES,
    absolute,
    override,
    read_study,
    with_program_folder,
    with_value,
)
from study.errors import StudyError, shown

LONGEST_NAME = 100
MAX_STUDIES = 10_000
_TABLES = {"workload_options", "search.space", *SECTIONS}
"""Tables of a study file whose keys are set one by one; other tables are values."""
_OTHER_CHARACTERS = re.compile(r"[^A-Za-z0-9._+-]+")
_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._+,-]*[A-Za-z0-9_+-])?")
_DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
"""Names that Windows reserves, with any suffix."""


@dataclass(frozen=True, slots=True)
class Member:
    """One of the studies of a file."""

    name: str | None  # its results folder inside that of the file; None without a grid
    data: dict[str, Any]  # its study file, without a grid


@dataclass(frozen=True, slots=True)
class _Choice:
    """The settings of one study of a grid by dotted key, and its name if one is given."""

    values: Mapping[str, Any]
    given: str | None = None

    @property
    def name(self) -> str:
        """The given name, or one made of keys and values, which does not change if the grid grows.

        It has no `=`, which readers of Hive-style folders would take for a column.
        """
        return self.given or ",".join(f"{_safe(k)}-{v}" for k, v in self._labels())

    def _labels(self) -> Iterator[tuple[str, str]]:
        shorts = {key: key.removesuffix(".name").rpartition(".")[2] for key in self.values}
        of_keys = Counter(shorts.values())
        for key, value in self.values.items():
            if key == "workload" and isinstance(value, str):
                value = value.rpartition(":")[2]  # the class is enough of a path
            yield (shorts[key] if of_keys[shorts[key]] == 1 else key), _text(value)


def read_members(source: str, settings: Iterable[str]) -> list[Member]:
    """Return the studies of a study file or a workload's name; the last key varies fastest."""
    folder = Path(source).resolve().parent if source.endswith(".toml") else Path.cwd()
    return members_of(override(read_study(source), settings), folder)


def members_of(data: Mapping[str, Any], folder: Path) -> list[Member]:
    """Return the studies of a study file's content, with paths relative to a folder."""
    if "grid" not in data:
        members = [Member(None, dict(data))]
    else:
        base = {key: value for key, value in data.items() if key != "grid"}
        members = expand(base, data["grid"], folder)
    return [replace(member, data=with_program_folder(member.data, folder)) for member in members]


def expand(base: Mapping[str, Any], grid: object, folder: Path) -> list[Member]:
    """Return the studies of a grid, one per combination or table; `base` is the file without it.

    Raises:
        StudyError: the grid has neither form, sets a key twice, or makes a name twice.
    """
    if isinstance(grid, Mapping) and grid:
        choices = _combinations(grid)
    elif isinstance(grid, list) and grid:
        choices = [_listed(table) for table in grid]
    else:
        raise StudyError(
            f"grid must be a table of lists or a list of tables, not empty, got {shown(grid)}; "
            'for example optimizer = ["sgd", "nesterov"] under [grid]'
        )
    _refuse_second_values(base, choices)
    _refuse_names(choices)
    return [Member(choice.name, _with_all(base, choice.values, folder)) for choice in choices]


def _combinations(grid: Mapping[str, Any]) -> list[_Choice]:
    lists = _distinct(leaves(grid, lambda _, table: bool(table)))
    for key, values in lists.items():
        if not isinstance(values, list) or not values:
            raise StudyError(
                f"grid.{key} must be a list of at least one value, got {shown(values)}; write "
                f"{key} = [...], or use [[grid]] for settings that go together"
            )
    count = math.prod(map(len, lists.values()))
    if count > MAX_STUDIES:
        raise StudyError(
            f"a grid must make at most {MAX_STUDIES:,} studies, got {shown(count)} combinations "
            f"of {', '.join(lists)}; list fewer values, or name settings that go together under "
            "[[grid]]"
        )
    return [_Choice(dict(zip(lists, v, strict=True))) for v in product(*lists.values())]


def _listed(table: object) -> _Choice:
    if not isinstance(table, Mapping) or not table:
        raise StudyError(
            f"each [[grid]] must be a table of settings, not empty, got {shown(table)}; for "
            'example optimizer = "sgd" under [[grid]]'
        )
    name = table.get("name")
    if name is not None and not _is_name(name):
        raise StudyError(
            f"grid.name must be 1 to {LONGEST_NAME} letters, digits and any of . _ + , - that make "
            f"a valid folder name on every file system, got {shown(name)}"
        )
    settings = {key: value for key, value in table.items() if key != "name"}
    values = _distinct(leaves(settings, lambda key, _: key in _TABLES))
    return _Choice(values, name)


def _distinct(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for written, value in pairs:
        parts = [part.strip() for part in written.split(".")]
        key = ".".join(parts)
        if not all(parts):
            raise StudyError(
                f"a key of a grid must be dotted as for --set, got {shown(written)}; for example "
                '"search.trials"'
            )
        for other in values:
            if f"{key}.".startswith(f"{other}.") or f"{other}.".startswith(f"{key}."):
                raise StudyError(
                    f"a grid must set each key once, got {other} and {key}; remove one"
                )
        values[key] = value
    return values


def _refuse_second_values(base: Mapping[str, Any], choices: Sequence[_Choice]) -> None:
    """Refuse a value outside the grid that no study would use."""
    everywhere = set.intersection(*(set(choice.values) for choice in choices))
    for key in sorted(everywhere):
        there = value_at(base, key)
        if there is not None:
            raise StudyError(
                f"{key} must be set in the grid or outside it, got {shown(there)} in the file or "
                "from --set as well as values in the grid; remove one"
            )


def _refuse_names(choices: Sequence[_Choice]) -> None:
    seen: dict[str, _Choice] = {}
    for choice in choices:
        name = choice.name
        if len(name) > LONGEST_NAME:
            raise StudyError(
                f"a study's name must have at most {LONGEST_NAME} characters, got {shown(name)}; "
                "give each study a short `name` under [[grid]]"
            )
        # some file systems ignore case
        other = seen.setdefault(name.casefold(), choice)
        if other is not choice:
            raise StudyError(
                f"the studies of a grid must have distinct names, got {name} for "
                f"{shown(dict(other.values))} and for {shown(dict(choice.values))}; drop one, or "
                "give each a `name` under [[grid]]"
            )


def _with_all(base: Mapping[str, Any], values: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    data = dict(base)
    for key, value in values.items():
        if key in NAMES_OF_FILES and isinstance(value, str):
            value = absolute(value, folder)
        data = with_value(data, key.split("."), value, f"grid.{key}={shown(value)}")
    return data


def _is_name(name: object) -> bool:
    if not isinstance(name, str) or len(name) > LONGEST_NAME:
        return False
    return bool(_NAME.fullmatch(name)) and not _DEVICES.fullmatch(name)


def _text(value: object) -> str:
    """Return a value as part of a name, such as 64x64 for [64, 64]."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return "x".join(map(_text, value)) or "none"
    if isinstance(value, Mapping):
        return "-".join(f"{_safe(key)}-{_text(inner)}" for key, inner in value.items()) or "none"
    return _safe(str(value))


def _safe(text: str) -> str:
    return _OTHER_CHARACTERS.sub("-", text).rstrip(".") or "none"
