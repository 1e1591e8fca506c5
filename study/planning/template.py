"""A first study file, with every key, its meaning and its default in comments."""

import inspect
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pydantic.fields import FieldInfo

from analysis.tables.nested import value_at
from study.config.reference import default_of, describe, keys, toml
from study.config.space import plain
from study.config.study import StudyConfig
from study.config.study_file import validated
from study.planning.resolve import merged, plug_in_errors, study_defaults
from study.planning.search_space import full_space, groups_of
from workloads.command import Command, Options
from workloads.registry import COMMAND, maker
from workloads.workload import Target

_WIDTH = 100
_HEAD = (
    'A study file: `batchscale sweep` runs it. A line such as "#seed = 0" shows a default; remove '
    'its "#" to change it. `batchscale plan` estimates its cost, and `batchscale sweep '
    "--dry-run` checks it."
)
_PRUNE = (0.25, 0.5)
"""Value of race.prune in a new study file: it halves the steps, and lost no winner in 711 searches.
A file that leaves it out does not prune, so that its tables stay exact and unchanged."""
_OPTIONS, _SPACE, _PRUNED = "workload_options", "search.space", "race.prune"


def study_template(workload: str) -> str:
    """Return a study file in which only the workload and pruning are set."""
    if workload == COMMAND:
        return _of_program()
    make = maker(workload)
    with plug_in_errors():
        config = validated(StudyConfig, merged(study_defaults(make), {"workload": workload}))
        space = full_space(config, groups_of(config, make))
        options = inspect.signature(make).parameters
    data = config.as_data()
    data["search"]["space"] = plain(space)
    target = getattr(make, "target", None)
    if isinstance(target, Target):
        data["race"]["target"] = target.value
    data["race"]["prune"] = _PRUNE
    given = {name: option.default for name, option in options.items() if option.kind not in _REST}
    lines = (_setting(f"{_OPTIONS}.{name}", value) for name, value in given.items())
    return "\n".join([*_comment(_HEAD), *_lines(data, lines), ""])


def _of_program() -> str:
    """Return a study file for a program, which the user must set, with its learning rates."""
    data = {**Command.study_defaults, "workload": COMMAND, "search": {"space": _PROGRAM_SPACE}}
    config = validated(StudyConfig, data).as_data()
    lines: list[str] = []
    for name, field in Options.model_fields.items():
        setting = _setting(f"{_OPTIONS}.{name}", _PROGRAM.get(name, default_of(field)))
        lines += [*_about(field), setting.removeprefix("#") if name in _PROGRAM else setting]
    text = "\n".join([*_comment(_HEAD), *_lines(config, lines), ""])
    return text.replace("#space.lr", "space.lr")


_PROGRAM = {
    "run": "python train.py --lr {lr} --batch-size {batch_size} --seed {seed} --steps {max_steps}",
    "target": 0.1,
}
_PROGRAM_SPACE = {"lr": {"low": 0.001, "high": 1.0, "scale": "log"}}
_REST = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def _lines(data: Mapping[str, Any], options: Iterable[str]) -> Iterator[str]:
    """Yield all keys; `data` has the values shown, `options` the lines of workload_options."""
    table = ""
    for key, field in keys(StudyConfig):
        at, _, name = key.rpartition(".")
        if at != table:
            table = at
            yield from ("", f"[{table}]" if table in data else f"#[{table}]")
        yield from ("", *_about(field))
        value = value_at(data, key)
        if key == "workload" or (key == _PRUNED and value):
            yield f"{name} = {toml(value)}"
        elif key == _OPTIONS:
            yield from options
        elif key == _SPACE:
            yield from (_setting(f"space.{name}", entry) for name, entry in value.items())
        else:
            yield _setting(name, default_of(field) if value is None else value)


def _setting(name: str, value: Any) -> str:
    try:
        return f"# {name}: not set" if value is None else f"#{name} = {toml(value)}"
    except TypeError:  # an option without a default, or with one that TOML cannot express
        return f"# {name}: not set"


def _about(field: FieldInfo) -> list[str]:
    return _comment(f"{' '.join((field.description or '').split())} ({describe(field)})")


def _comment(text: str) -> list[str]:
    return textwrap.wrap(
        text, _WIDTH, initial_indent="# ", subsequent_indent="# ", break_on_hyphens=False
    )
