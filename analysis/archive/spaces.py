"""Search spaces in the archive's form and in a study's.

A DOUBLE parameter is a range on its scale, an INTEGER one a range on a linear scale. A DISCRETE one
becomes the linear range from its least to its greatest feasible point, although values between the
points were not searched. A parameter that can take only one value is fixed.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from analysis.archive.layout import ARCHIVED_SCALES, PARAMETERS, SCALE_NAMES, check_name
from analysis.errors import AnalysisError
from analysis.tables.scales import SCALES

Entry = Mapping[str, Any] | float
"""A range (low, high, scale), or the value of a fixed hyperparameter."""

_LARGEST = 10**300
"""JSON integers are unbounded, but a float is at most about 1.8e308."""
_TYPES = ("DOUBLE", "INTEGER", "DISCRETE")


def is_finite(value: object) -> bool:
    """Return whether a JSON value is a number within the range of a float."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= _LARGEST


def check_parameter(where: str, name: str, config: object) -> None:
    """Refuse an entry of `parameter_configs` in the file `where` that is malformed."""
    check_name("parameters", name, where)
    if not isinstance(config, Mapping) or _entry(config) is None:
        raise AnalysisError(
            f"a parameter must be {', '.join(_TYPES)} with min_value and max_value, or "
            f"feasible_points, that its scale allows, got {name} = {config!r} in {where}"
        )


def _entry(config: Mapping[str, Any]) -> Entry | None:
    """Return the range or value of a parameter; None if it is malformed."""
    kind, scale = config.get("type"), SCALE_NAMES.get(str(config.get("scale", "")))
    ends: Any = [config.get("min_value"), config.get("max_value")]
    if kind == "DISCRETE":
        ends, scale = config.get("feasible_points"), "linear"
    if kind not in _TYPES or scale is None or not isinstance(ends, list) or not ends:
        return None
    if not all(map(is_finite, ends)):
        return None
    low, high = (min(ends), max(ends)) if kind == "DISCRETE" else ends
    if low > high or not SCALES[scale].allows(low, high):
        return None
    return float(low) if low == high else {"low": float(low), "high": float(high), "scale": scale}


def hyperparameter_name(parameter: str) -> str:
    """Return our name of a parameter of the archive."""
    return PARAMETERS.get(parameter, parameter)


def entries(description: Mapping[str, Any]) -> dict[str, Entry]:
    """Return the space of a `study.json` whose parameters were checked."""
    configs = sorted(description["parameter_configs"].items())
    read = ((hyperparameter_name(name), _entry(config)) for name, config in configs)
    return {name: entry for name, entry in read if entry is not None}


def union(spaces: Iterable[Mapping[str, Entry]]) -> dict[str, Entry]:
    """Return the smallest space that contains all; ranges of different scales become linear."""
    gathered: dict[str, list[Entry]] = {}
    for space in spaces:
        for name, entry in space.items():
            gathered.setdefault(name, []).append(entry)
    return {name: _hull(found) for name, found in gathered.items()}


def _hull(found: list[Entry]) -> Entry:
    lows = [entry["low"] if isinstance(entry, Mapping) else entry for entry in found]
    highs = [entry["high"] if isinstance(entry, Mapping) else entry for entry in found]
    scales = {entry["scale"] for entry in found if isinstance(entry, Mapping)}
    low, high = min(lows), max(highs)
    if low == high:
        return float(low)
    scale = scales.pop() if len(scales) == 1 else "linear"
    scale = scale if SCALES[scale].allows(low, high) else "linear"
    return {"low": low, "high": high, "scale": scale}


def parameter_configs(
    box: Mapping[str, Mapping[str, Any]], fixed: Mapping[str, float]
) -> dict[str, dict[str, Any]]:
    """Return `parameter_configs` for searched ranges and fixed values, by the archive's names."""
    searched = {
        name: {
            "type": "DOUBLE",
            "min_value": entry["low"],
            "max_value": entry["high"],
            "scale": ARCHIVED_SCALES[entry["scale"]],
        }
        for name, entry in box.items()
    }
    points = {
        name: {"type": "DISCRETE", "feasible_points": [value]} for name, value in fixed.items()
    }
    return {archived_name(name): config for name, config in {**searched, **points}.items()}


def archived_name(hyperparameter: str) -> str:
    """Return the archive's name of a hyperparameter."""
    return _ARCHIVED.get(hyperparameter, hyperparameter)


_ARCHIVED = {name: parameter for parameter, name in PARAMETERS.items()}
