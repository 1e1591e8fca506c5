"""Search spaces in the form of the archive and in that of a study.

A DOUBLE parameter is a range on its scale, an INTEGER one a range on a linear scale. A DISCRETE one
is the linear range from its least to its greatest feasible point, although values between the
points were not searched. A parameter that can take only one value is fixed.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, cast

from analysis.archive.layout import ARCHIVED_SCALES, PARAMETERS, SCALE_NAMES, check_name
from analysis.errors import AnalysisError
from analysis.tables.scales import SCALES

Entry = Mapping[str, Any] | float
"""A range (low, high, scale), or the value of a fixed hyperparameter."""

_LARGEST = 10**300
"""JSON integers have no bound, but a float holds at most about 1.8e308."""
_Bounds = tuple[float, float, str]


def is_finite(value: object) -> bool:
    """Return whether a JSON value is a number that a float can hold."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= _LARGEST


def check_parameter(where: str, name: str, config: object) -> None:
    """Check an entry of `parameter_configs` in the file `where`.

    Raises:
        AnalysisError: its type is unknown, or its scale does not allow its range.
    """
    check_name("parameters", name, where)
    kind = config.get("type") if isinstance(config, Mapping) else None
    bounds = _BOUNDS.get(str(kind))
    found = bounds(config) if bounds is not None and isinstance(config, Mapping) else None
    if found is not None:
        low, high, scale = found
        ordered = is_finite(low) and is_finite(high) and low <= high
        if ordered and scale in SCALE_NAMES and SCALES[SCALE_NAMES[scale]].allows(low, high):
            return
    raise AnalysisError(
        f"a parameter must be {', '.join(_BOUNDS)} with min_value and max_value, or "
        f"feasible_points, that its scale allows, got {name} = {config!r} in {where}"
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


def hyperparameter_name(parameter: str) -> str:
    """Return the hyperparameter's name by that of the archive's parameter."""
    return PARAMETERS.get(parameter, parameter)


def entries(description: Mapping[str, Any]) -> dict[str, Entry]:
    """Return the space of a checked `study.json`: by name a range, or the only value."""
    found: dict[str, Entry] = {}
    for name, config in sorted(description["parameter_configs"].items()):
        low, high, scale = cast("_Bounds", _BOUNDS[config["type"]](config))
        found[hyperparameter_name(name)] = (
            float(low)
            if low == high
            else {"low": float(low), "high": float(high), "scale": SCALE_NAMES[scale]}
        )
    return found


def union(spaces: Iterable[Mapping[str, Entry]]) -> dict[str, Entry]:
    """Return the smallest space that contains the space of every batch size.

    Returns:
        By hyperparameter its range, on a linear scale where the scales differ, or the value that
        it is fixed at everywhere.
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
    scale = scale if SCALES[scale].allows(low, high) else "linear"
    return {"low": low, "high": high, "scale": scale}


def parameter_configs(
    box: Mapping[str, Mapping[str, Any]], fixed: Mapping[str, float]
) -> dict[str, dict[str, Any]]:
    """Return `parameter_configs` of ranges searched and of fixed values, by the archive's names."""
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
