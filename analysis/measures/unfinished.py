"""Trials that a study plans and its tables lack, because its sweep has not finished.

They are counted from the tables alone, because results may be read where no sweep runs. The tables
do not show whether a search without replicates would have widened its box once more.
"""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from analysis.fitting.estimates import counted
from analysis.tables.scales import positions
from analysis.tables.schema import CANDIDATES, ROLES, TRIAL_KEY

if TYPE_CHECKING:
    from analysis.tables.study import StudyTables

COLUMNS = (*TRIAL_KEY, "status", "steps", "source_role", "source_trial")
"""Columns needed of each trial."""
_RECIPE, _REPLICATES = "recipe", "replicate"
_NAMES = {
    "search": "of the search",
    "extension": "of a widened box",
    _REPLICATES: "on fresh seeds",
    _RECIPE: "of the scaling rule",
}
_Row = Mapping[Any, Any]


def unfinished_records(study: "StudyTables") -> list[dict[str, Any]]:
    """Return the `missing_trials` of a study; imported ones lack none."""
    if study.imported:
        return []
    trials = study.trials[list(COLUMNS)].drop_duplicates(list(TRIAL_KEY))
    columns = (pa.array(trials[name]).to_pylist() for name in COLUMNS)
    rows = [dict(zip(COLUMNS, row, strict=True)) for row in zip(*columns, strict=True)]
    return missing_trials(study.config, rows, study.boxes.to_dict("records"))


def missing_trials(
    config: Mapping[str, Any], trials: Iterable[_Row], boxes: Iterable[_Row]
) -> list[dict[str, Any]]:
    """Return how many trials are missing, with one record per batch size and role.

    A later stage is counted once the stage before it has ended, because its number of trials
    follows from that.

    Args:
        config: the resolved study file as plain data.
        trials: `COLUMNS` of every recorded trial, each trial once; None where unknown.
        boxes: rows of `boxes.parquet`.

    Returns:
        Records with batch_size, role and trials (>= 1), by batch size.
    """
    recorded, widened = _by_size(trials), _by_size(boxes)
    base = config.get("recipe", {}).get("base")
    scales = config.get("mode") == "recipe"
    missing = []
    for size in config["batch_sizes"]:
        if not scales or size == base:
            granted = _with_grants(config, size)
            stages = _missing_of_search(granted, recorded.get(size, []), widened.get(size, []))
            missing += [(size, *stage) for stage in stages]
    if scales and (missing or base is None or _reached(recorded.get(base, []))):
        seeds = max(1, _seeds(config))
        for size in config["batch_sizes"]:
            have = sum(row["role"] == _RECIPE for row in recorded.get(size, []))
            if size != base and have < seeds:
                missing.append((size, _RECIPE, seeds - have))
    keys = ("batch_size", "role", "trials")
    return [dict(zip(keys, row, strict=True)) for row in sorted(missing, key=lambda row: row[0])]


def _with_grants(config: Mapping[str, Any], size: int) -> Mapping[str, Any]:
    """Return the study file with the trials and seeds that `until` granted a batch size."""
    grant = next((g for g in config.get("granted") or () if g["batch_size"] == size), None)
    if grant is None:
        return config
    search = config["search"] | {"trials": max(config["search"]["trials"], grant["trials"])}
    # granted seeds count as further ones of the point that the seeds of all find best
    more = max(0, grant["seeds"] - _seeds(config)) + int(_replicates(config).get("confirm") or 0)
    return {**config, "search": search, "replicates": {**_replicates(config), "confirm": more}}


def _seeds(config: Mapping[str, Any]) -> int:
    return int(_replicates(config).get("seeds", 0))


def _by_size(rows: Iterable[_Row]) -> dict[int, list[_Row]]:
    groups: dict[int, list[_Row]] = {}
    for row in rows:
        groups.setdefault(row["batch_size"], []).append(row)
    return groups


def _reached(trials: Sequence[_Row]) -> list[_Row]:
    """Return the trials of a search that reached the target, fastest first."""
    reached = [row for row in trials if row["role"] in CANDIDATES and row["status"] == "reached"]
    return sorted(reached, key=lambda row: (row["steps"], ROLES.index(row["role"]), row["trial"]))


def _replicates(config: Mapping[str, Any]) -> Mapping[str, Any]:
    section: Mapping[str, Any] = config.get("replicates", {})
    return section


def _missing_of_search(
    config: Mapping[str, Any], trials: Sequence[_Row], boxes: Sequence[_Row]
) -> Iterator[tuple[str, int]]:
    """Yield the role and number of the trials missing from the current stage of a batch size."""
    have = Counter(row["role"] for row in trials)
    missing = int(config["search"]["trials"]) - have["search"]
    if missing > 0:
        yield "search", missing
        return
    missing = _extension_trials(config["search"], boxes) - have["extension"]
    # once there are replicates, extensions are over, even if a larger search.trials implies more
    if missing > 0 and not have[_REPLICATES]:
        yield "extension", missing
        return
    missing = _missing_replicates(trials, _replicates(config))
    if missing > 0:
        yield _REPLICATES, missing


def _extension_trials(search: Mapping[str, Any], boxes: Sequence[_Row]) -> int:
    """Return the trials in the regions by which a box was widened, as dense as those in the box."""
    trials = 0
    for region in {row["region"] for row in boxes} - {0}:
        shares = []
        for entry in boxes:
            box = search["space"].get(entry["hyperparameter"])
            if entry["region"] == region and isinstance(box, Mapping):
                shares.append(float(np.diff(positions([entry["low"], entry["high"]], box)).item()))
        # a region is thinner than the box along one hyperparameter and as wide along the others
        share = min(shares, default=0.0)
        # a rounding error must not add a trial
        trials += math.ceil(search["trials"] * share - 1e-6)
    return trials


def _missing_replicates(trials: Sequence[_Row], asked: Mapping[str, Any]) -> int:
    runs = Counter(
        (row["source_role"], row["source_trial"]) for row in trials if row["role"] == _REPLICATES
    )
    best = _reached(trials)[: int(asked.get("top", 1))]
    if not best:
        return 0
    seeds, confirm = int(asked.get("seeds", 0)), int(asked.get("confirm") or 0)
    if missing := sum(max(0, seeds - runs[row["role"], row["trial"]]) for row in best):
        return missing + confirm
    # when all points have their seeds, the best one is confirmed
    return max(0, seeds + confirm - max(runs.values(), default=0))


def unfinished_sentences(records: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """Return a sentence on `unfinished_records`; none for a finished sweep."""
    if not records:
        return ()
    return (
        f"Unfinished: at least {missing_text(records)}. All numbers here are from the trials so "
        "far and may change; run the same `sweep` again to finish it.",
    )


def missing_text(records: Sequence[Mapping[str, Any]]) -> str:
    """Return `missing_trials` as a clause, such as "8 trials are missing (4 of the ...)"."""
    parts: dict[tuple[str, int], list[str]] = {}
    for row in records:
        parts.setdefault((row["role"], row["trials"]), []).append(str(row["batch_size"]))
    total = sum(row["trials"] for row in records)
    listed = "; ".join(
        f"{count} {_NAMES[role]} at {'each of ' if len(sizes) > 1 else ''}B = {', '.join(sizes)}"
        for (role, count), sizes in parts.items()
    )
    return f"{counted(total, 'trials')} {'is' if total == 1 else 'are'} missing ({listed})"
