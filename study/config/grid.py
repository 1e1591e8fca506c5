"""One study file that makes several studies: all combinations of what its `grid` lists.

`[grid]` gives lists of values to keys, dotted as `--set` takes them, and makes every combination.
`[[grid]]` gives settings that go together: one table, one study. What a study is does not change:
each is what the same file without a grid makes of the same settings given by `--set`.
"""

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from study.config.study_file import absolute_workload, override, read_study, with_value
from study.errors import StudyError, shown

LONGEST_NAME = 100
MOST_STUDIES = 10_000
_TABLES = {
    "workload_options",
    "search",
    "search.space",
    "race",
    "recipe",
    "replicates",
    "schedule",
    "federated",
    "compute",
}
"""Tables of a study file whose keys are set one by one; any other table is a value."""
_OTHER_CHARACTERS = re.compile(r"[^A-Za-z0-9._+-]+")
_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._+,-]*[A-Za-z0-9_+-])?")
_DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
"""What Windows keeps for itself, with any ending."""


@dataclass(frozen=True, slots=True)
class Member:
    """One of the studies that a file makes.

    Attributes:
        name: of its results folder, inside that of the file; None where there is no grid.
        data: its study file as plain data, without a grid.
    """

    name: str | None
    data: dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Choice:
    """What sets one study of a grid apart: values by dotted key, and perhaps a given name."""

    values: Mapping[str, Any]
    given: str | None = None

    @property
    def name(self) -> str:
        """The name given, or one made of its own keys and values, so that it stays.

        There is no `=` in it: readers of Hive-style folders would take it for a column.
        """
        return self.given or ",".join(f"{_safe(k)}-{v}" for k, v in self._words())

    def _words(self) -> Iterator[tuple[str, str]]:
        shorts = {key: key.removesuffix(".name").rpartition(".")[2] for key in self.values}
        of_keys = Counter(shorts.values())
        for key, value in self.values.items():
            if key == "workload" and isinstance(value, str):
                value = value.rpartition(":")[2]  # of a path, the class tells enough
            yield (shorts[key] if of_keys[shorts[key]] == 1 else key), _text(value)


def read_members(source: str, settings: Iterable[str]) -> list[Member]:
    """Reads a study file and gives the studies that it makes.

    Args:
        source: path of a `.toml` file, or a workload.
        settings: such as `search.trials=32`; applied to the file before its grid is expanded.

    Returns:
        One study, or those of the grid: the last key varies fastest, tables as they stand.
    """
    folder = Path(source).resolve().parent if source.endswith(".toml") else Path.cwd()
    return members_of(override(read_study(source), settings), folder)


def members_of(data: Mapping[str, Any], folder: Path) -> list[Member]:
    """Return the studies of a study file's content.

    Args:
        data: the content as plain data.
        folder: what paths of workload files in a grid are relative to.
    """
    if "grid" not in data:
        return [Member(None, dict(data))]
    base = {key: value for key, value in data.items() if key != "grid"}
    return expand(base, data["grid"], folder)


def expand(base: Mapping[str, Any], grid: object, folder: Path) -> list[Member]:
    """Gives the studies of a grid.

    Args:
        base: the study file without its grid.
        grid: lists of values by key, or a list of tables.
        folder: what paths of workload files in the grid start from.

    Returns:
        One study for each combination, or for each table.

    Raises:
        StudyError: the grid is of neither form, sets a key twice, or makes a name twice.
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
    lists = _distinct(_leaves(grid))
    for key, values in lists.items():
        if not isinstance(values, list) or not values:
            raise StudyError(
                f"grid.{key} must be a list of at least one value, got {shown(values)}; write "
                f"{key} = [...], or use [[grid]] for settings that go together"
            )
    count = math.prod(map(len, lists.values()))
    if count > MOST_STUDIES:
        raise StudyError(
            f"a grid must make at most {MOST_STUDIES:,} studies, got {shown(count)} combinations "
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
            f"grid.name must be 1 to {LONGEST_NAME} letters, digits and any of . _ + , - that "
            f"every file system takes as a folder, got {shown(name)}; choose another"
        )
    values = _distinct(_settings({k: v for k, v in table.items() if k != "name"}))
    return _Choice(values, name)


def _leaves(table: Mapping[str, Any], at: str = "") -> Iterator[tuple[str, Any]]:
    """Gives what is no table, by dotted key: quoted or not, dotted keys mean the same."""
    for key, value in table.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, f"{at}{key}.")
        else:
            yield f"{at}{key}", value


def _settings(table: Mapping[str, Any], at: str = "") -> Iterator[tuple[str, Any]]:
    """Gives values by dotted key; a table is a value, unless it is a section of a study file."""
    for key, value in table.items():
        if isinstance(value, Mapping) and f"{at}{key}" in _TABLES:
            yield from _settings(value, f"{at}{key}.")
        else:
            yield f"{at}{key}", value


def _distinct(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for written, value in pairs:
        parts = [part.strip() for part in written.split(".")]
        key = ".".join(parts)
        if not all(parts):
            raise StudyError(
                f"a key of a grid must be dotted as for --set, got {shown(written)}; for example "
                '"search.trials"'
            )
        for other in found:
            if f"{key}.".startswith(f"{other}.") or f"{other}.".startswith(f"{key}."):
                raise StudyError(
                    f"a grid must set each key once, got {other} and {key}; remove one"
                )
        found[key] = value
    return found


def _refuse_second_values(base: Mapping[str, Any], choices: Sequence[_Choice]) -> None:
    """Refuses a value outside the grid that no study would get."""
    everywhere = set.intersection(*(set(choice.values) for choice in choices))
    for key in sorted(everywhere):
        there: Any = base
        for part in key.split("."):
            there = there.get(part) if isinstance(there, Mapping) else None
        if there is not None:
            raise StudyError(
                f"{key} must not stand outside the grid that sets it in every study, got "
                f"{shown(there)} in the file or from --set; remove it there or in the grid"
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
        # some file systems take capital and small letters for the same
        other = seen.setdefault(name.casefold(), choice)
        if other is not choice:
            raise StudyError(
                f"the studies of a grid must have names of their own, got {name} for "
                f"{shown(dict(other.values))} and for {shown(dict(choice.values))}; drop one, or "
                "give each a `name` under [[grid]]"
            )


def _with_all(base: Mapping[str, Any], values: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    data = dict(base)
    for key, value in values.items():
        if key == "workload" and isinstance(value, str):
            value = absolute_workload(value, folder)
        data = with_value(data, key.split("."), value, f"grid.{key}={shown(value)}")
    return data


def _is_name(name: object) -> bool:
    if not isinstance(name, str) or len(name) > LONGEST_NAME:
        return False
    return bool(_NAME.fullmatch(name)) and not _DEVICES.fullmatch(name)


def _text(value: object) -> str:
    """Gives a value as part of a name, such as 64x64 for [64, 64]."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return "x".join(map(_text, value)) or "none"
    if isinstance(value, Mapping):
        return "-".join(f"{_safe(key)}-{_text(inner)}" for key, inner in value.items()) or "none"
    return _safe(str(value))


def _safe(text: str) -> str:
    return _OTHER_CHARACTERS.sub("-", text).rstrip(".") or "none"
