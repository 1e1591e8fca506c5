"""The ranges that the points of finished runs were drawn from, where the user knows them."""

import re
from collections.abc import Mapping
from typing import Any

from analysis.errors import AnalysisError
from analysis.runs.checked import Runs
from analysis.runs.rows import Rows, as_number
from analysis.tables.scales import SCALES

Space = Mapping[str, Mapping[str, Any]]
"""Low, high and scale of each searched hyperparameter; empty if unknown."""
_RANGE = re.compile(r"(?P<name>[^=]+)=(?P<low>[^:]+):(?P<high>[^:]+)(?::(?P<scale>[a-z-]+))?")


def parse_space(texts: list[str]) -> dict[str, dict[str, Any]]:
    """Return the ranges in the options `--space lr=1e-4:1:log,...`; scales are linear by default.

    Raises:
        AnalysisError: an entry is malformed, or its range does not fit its scale.
    """
    space: dict[str, dict[str, Any]] = {}
    for entry in ",".join(texts).split(",") if texts else ():
        match = _RANGE.fullmatch(entry.strip())
        low, high = (as_number(match[end]) if match else None for end in ("low", "high"))
        scale = (match["scale"] or "linear") if match else ""
        inside = (
            low is not None
            and high is not None
            and -float("inf") < low < high < float("inf")
            and scale in SCALES
            and SCALES[scale].allows(low, high)
        )
        if match is None or not inside or match["name"] in space:
            raise AnalysisError(
                "--space must be ranges name=low:high:scale, separated by commas, each name once, "
                f"within the domain of the scale, one of {', '.join(SCALES)}, got {entry!r}; write "
                "for example lr=1e-4:1:log"
            )
        space[match["name"]] = {"low": low, "high": high, "scale": scale}
    return space


def check_space(rows: Rows, runs: Runs, space: Space) -> None:
    """Refuse ranges of unknown hyperparameters, and runs outside a range."""
    for name, entry in space.items():
        if name not in runs.hyperparameters:
            raise AnalysisError(
                f"--space must name hyperparameters of the runs, {', '.join(runs.hyperparameters)}"
                f", got {name!r}"
            )
        values = runs.runs[name]
        outside = ~values.between(entry["low"], entry["high"])
        if outside.any():
            at = runs.runs[outside].iloc[0]
            rule, remedy = f"--space must cover every {name}", "widen it, or leave the run out"
            rows.refuse(rule, f"{at[name]:g}", [at["row"]], remedy)


def space_of(runs: Runs, space: Space) -> dict[str, Any]:
    """Return the ranges, and the values of the hyperparameters that all runs share."""
    fixed = {
        name: float(runs.runs[name].iloc[0])
        for name in runs.hyperparameters
        if name not in space and runs.runs[name].nunique(dropna=False) == 1
    }
    return {name: dict(entry) for name, entry in space.items()} | fixed
