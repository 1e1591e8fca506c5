"""A first study file, with every key, its meaning and its default in comments."""

import inspect
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic.fields import FieldInfo

from analysis.tables.nested import value_at
from study.config.reference import default_of, describe, keys, toml
from study.config.study import StudyConfig
from study.config.study_file import validated
from study.planning.resolve import merged, plug_in_errors, study_defaults
from study.planning.search_space import full_space, groups_of
from workloads.registry import maker
from workloads.workload import Target

_WIDTH = 100
_HEAD = (
    'A study file: `batchscale sweep` runs it. A line such as "#seed = 0" shows a default; remove '
    'its "#" to change it. `batchscale plan` tells what the study costs, and `batchscale sweep '
    "--dry-run` whether it is sound."
)
_OPTIONS, _SPACE = "workload_options", "search.space"


def study_template(workload: str) -> str:
    """Return a study file in which only the workload is set.

    Args:
        workload: a name, or path/to/file.py:Class.

    Raises:
        WorkloadError: there is no such workload.
        StudyError: what it says of its defaults is malformed.
    """  # noqa: DOC502  (raised inside)
    make = maker(workload)
    with plug_in_errors():
        config = validated(StudyConfig, merged(study_defaults(make), {"workload": workload}))
        space = full_space(config, groups_of(config, make))
        options = inspect.signature(make).parameters
    data = config.as_data()
    data["search"]["space"] = {
        name: entry if isinstance(entry, float | int) else entry.model_dump(mode="json")
        for name, entry in space.items()
    }
    target = getattr(make, "target", None)
    if isinstance(target, Target):
        data["race"]["target"] = target.value
    given = {name: option.default for name, option in options.items() if option.kind not in _REST}
    return "\n".join([*_comment(_HEAD), *_lines(data, workload, given), ""])


_REST = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def _lines(data: Mapping[str, Any], workload: str, options: Mapping[str, Any]) -> Iterator[str]:
    table = ""
    for key, field in keys(StudyConfig):
        at, _, name = key.rpartition(".")
        if at != table:
            table = at
            yield from ("", f"[{table}]" if table in data else f"#[{table}]")
        yield from ("", *_comment(f"{_sentence(field)} ({describe(field)})"))
        if key == "workload":
            yield f"workload = {toml(workload)}"
        elif key == _OPTIONS:
            yield from _entries(_OPTIONS, options)
        elif key == _SPACE:
            yield from _entries(_SPACE, data["search"]["space"])
        else:
            yield _setting(name, value_at(data, key), default_of(field))


def _entries(table: str, entries: Mapping[str, Any]) -> Iterator[str]:
    for name, value in entries.items():
        yield _setting(f"{table.rpartition('.')[2]}.{name}", value, None)


def _setting(name: str, value: Any, default: Any) -> str:
    value = default if value is None else value
    try:
        return f"#{name} = {toml(value)}" if value is not None else f"# {name}: not set"
    except (
        TypeError
    ):  # an option of a workload that no study file could hold, or that has no default
        return f"# {name}: not set"


def _sentence(field: FieldInfo) -> str:
    return " ".join((field.description or "").split())


def _comment(text: str) -> list[str]:
    return textwrap.wrap(
        text, _WIDTH, initial_indent="# ", subsequent_indent="# ", break_on_hyphens=False
    )
