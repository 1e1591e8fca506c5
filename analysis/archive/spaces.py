"""Search spaces in the words of the archive, and in ours.

A DOUBLE parameter is a range on its scale. An INTEGER one is a range on a linear scale. A DISCRETE
one is the range from its least to its greatest feasible point on a linear scale; what lies between
the points was not searched. A parameter that could take one value only is fixed, not searched.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, cast

from analysis.archive.layout import ARCHIVED_SCALES, PARAMETERS, SCALES, check_name
from analysis.errors import AnalysisError

Entry = Mapping[str, Any] | float
"""A range (low, high, scale), or the value of a fixed hyperparameter."""

_LARGEST = 10**300
"""No number of a search is greater; Python's integers may be, and no float is."""
_Bounds = tuple[float, float, str]
_SEARCHABLE: Mapping[str, Callable[[float, float], bool]] = {
    "linear": lambda low, high: low <= high,
    "log": lambda low, high: 0 < low <= high,
    "reverse-log": lambda low, high: low <= high < 1,
}


def check_parameter(where: str, name: str, config: object) -> None:
    """Checks an entry of `parameter_configs`.

    Args:
        where: the file, for the message.
        name: the parameter.
        config: its entry.

    Raises:
        AnalysisError: it is of no known type, or its range is none on its scale.
    """
    check_name("parameters", name, where)
    kind = config.get("type") if isinstance(config, Mapping) else None
    bounds = _BOUNDS.get(str(kind))
    found = bounds(config) if bounds is not None and isinstance(config, Mapping) else None
    if found is not None:
        low, high, scale = found
        numbers = all(
            isinstance(end, int | float) and not isinstance(end, bool) and abs(end) <= _LARGEST
            for end in (low, high)
        )
        if numbers and scale in SCALES and _SEARCHABLE[SCALES[scale]](low, high):
            return
    raise AnalysisError(
        f"a parameter must be {', '.join(_BOUNDS)} with min_value and max_value, or "
        f"feasible_points, that its scale allows, got {name} = {config!r} in {where}; correct it"
    )


def _range_bounds(config: Mapping[str, Any]) -> tuple[Any, Any, Any]:
    return config.get("min_value"), config.get("max_value"), config.get("scale", "")


def _point_bounds(config: Mapping[str, Any]) -> tuple[Any, Any, Any] | None:
    points = config.get("feasible_points")
    if not isinstance(points, list) or not all(type(point) in (int, float) for point in points):
        return None
    return (min(points), max(points), "") if points else None


_BOUNDS: Mapping[str, Callable[[Mapping[str, Any]], tuple[Any, Any, Any] | None]] = {
    "DOUBLE": _range_bounds,
    "INTEGER": _range_bounds,
    "DISCRETE": _point_bounds,
}


def our_name(parameter: str) -> str:
    """Gives our name of a parameter of the archive."""
    return PARAMETERS.get(parameter, parameter)


def entries(description: Mapping[str, Any]) -> dict[str, Entry]:
    """Gives what was searched in a study, in our words.

    Args:
        description: its `study.json`, checked.

    Returns:
        By our name: low, high and scale; or the one value that it could take.
    """
    found: dict[str, Entry] = {}
    for name, config in sorted(description["parameter_configs"].items()):
        low, high, scale = cast("_Bounds", _BOUNDS[config["type"]](config))
        found[our_name(name)] = (
            float(low)
            if low == high
            else {"low": float(low), "high": float(high), "scale": SCALES[scale]}
        )
    return found


def union(spaces: Iterable[Mapping[str, Entry]]) -> dict[str, Entry]:
    """Gives the least space that holds those of all batch sizes.

    Args:
        spaces: one for each batch size.

    Returns:
        By hyperparameter: its range, on a linear scale where they differ in it; or the value that
        it was fixed at everywhere.
    """
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
    scale = scale if _SEARCHABLE[scale](low, high) else "linear"
    return {"low": low, "high": high, "scale": scale}


def parameter_configs(
    box: Mapping[str, Mapping[str, Any]], fixed: Mapping[str, float]
) -> dict[str, dict[str, Any]]:
    """Gives `parameter_configs` of a study of ours.

    Args:
        box: the ranges searched at a batch size.
        fixed: values of the hyperparameters that were not searched.

    Returns:
        By the archive's name of the parameter; fixed ones are DISCRETE with one feasible point.
    """
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
    """Gives the archive's name of a hyperparameter of ours."""
    return _ARCHIVED.get(hyperparameter, hyperparameter)


_ARCHIVED = {ours: theirs for theirs, ours in PARAMETERS.items()}
