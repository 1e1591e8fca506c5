"""Names and labels that distinguish studies, from their folders and their configs."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import PurePosixPath
from typing import Any

from analysis.errors import AnalysisError
from analysis.measures.batch_plan import stages_text
from analysis.measures.federated import clients_text
from analysis.tables.folder import ResultsFolder
from analysis.tables.nested import leaves

MIN_STUDIES = 2
_ABSENT = {"mode": "search", "race.weights": "raw"}
"""Defaults of keys that a recorded study file may lack."""
_WITH_DEFAULTS = ("workload_options", "compute")
"""Sections whose missing keys have a default; elsewhere a missing key switches something off."""

# what readers look for first; other keys follow in the order of the study file
_FIRST = (
    "workload",
    "optimizer",
    "workload_options",
    "optimizer_options",
    "mode",
    "recipe",
    "federated",
    "schedule",
    "race.target",
    "search.sampler",
    "search.trials",
    "seed",
)
# long, or derived from other keys: the name of the folder says more
_LEFT_OUT = (
    "batch_sizes",
    "candidates",
    "listed",
    "batch_plans",
    "granted",
    "examples",
    "imported",
)
_MAX_KEYS = 2
_LONGEST = 60
"""Characters beyond which the name of the folder is a better label."""


def study_folders(locations: Sequence[str]) -> Mapping[str, ResultsFolder]:
    """Return the folders of studies to compare, in the order given, by unique names.

    Raises:
        AnalysisError: there are fewer than two, or one is given twice.
    """
    if len(locations) < MIN_STUDIES:
        raise AnalysisError(
            f"a comparison needs {MIN_STUDIES} or more results folders, got {len(locations)}; "
            "add one"
        )
    folders: dict[str, ResultsFolder] = {}
    for location in locations:
        folder = ResultsFolder.at(location)
        place = f"{folder.filesystem.type_name}:{folder.base}"
        if place in folders:
            raise AnalysisError(
                f"a comparison needs different results folders, got {location} twice; remove one"
            )
        folders[place] = folder
    names = unique_names([folder.base for folder in folders.values()])
    return dict(zip(names, folders.values(), strict=True))


def unique_names(locations: Sequence[str]) -> tuple[str, ...]:
    """Return the shortest unique end of each path or URI, with as many parts in all.

    >>> unique_names(["results/digits", "old/digits/", "results/cnn"])
    ('results/digits', 'old/digits', 'results/cnn')
    """
    parts = [PurePosixPath(location.rstrip("/")).parts for location in locations]
    for count in range(1, max(map(len, parts))):
        names = tuple("/".join(part[-count:]) for part in parts)
        if len(set(names)) == len(names):
            return names
    return tuple(location.rstrip("/") for location in locations)


def labels(configs: Sequence[Mapping[str, Any]], names: Sequence[str]) -> tuple[str, ...]:
    """Return labels such as "optimizer = sgd", from as few keys as distinguish the configs.

    The names of the studies are used where no two keys distinguish them all in few words.
    """
    flat = [dict(_flattened(config)) for config in configs]
    every = dict.fromkeys(key for config in flat for key in config)
    first = [key for section in _FIRST for key in every if _within(key, section)]
    keys = dict.fromkeys([*first, *every])
    differing = [
        key
        for key in keys
        if len({_value(config, key) for config in flat}) > 1
        and not any(_within(key, section) for section in _LEFT_OUT)
    ]
    if len(differing) > 1:  # where a study lacks a key, another key says what it has instead
        differing = [key for key in differing if all(_has_value(config, key) for config in flat)]
    for count in range(1, _MAX_KEYS + 1):
        for chosen in combinations(differing, count):
            made = tuple(
                ", ".join(f"{key} = {_value(config, key)}" for key in chosen) for config in flat
            )
            if len(set(made)) == len(made):
                return made if max(map(len, made)) <= _LONGEST else tuple(names)
    return tuple(names)


def _value(config: Mapping[str, str], key: str) -> str:
    return config.get(key, _ABSENT.get(key, "default" if _has_default(key) else "none"))


def _has_value(config: Mapping[str, str], key: str) -> bool:
    """Return whether a study has a value of a key, written or default, or lacks its section."""
    section = key.partition(".")[0]
    lacks_section = not any(_within(other, section) for other in config)
    return key in config or key in _ABSENT or _has_default(key) or lacks_section


def _has_default(key: str) -> bool:
    return any(_within(key, section) for section in _WITH_DEFAULTS)


def _flattened(config: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield dotted keys with their values as text; a plug-in is named by its class."""
    texts = {"federated": clients_text(config), "batch_schedule": stages_text(config)}
    for key, value in leaves({**config, **texts}):
        text = f"{value:g}" if isinstance(value, float) else str(value)
        yield key, text.rpartition(":")[2] if key == "workload" else text


def _within(key: str, section: str) -> bool:
    return f"{key}.".startswith(f"{section}.")
