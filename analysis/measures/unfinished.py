"""Trials that a study asks for and its tables do not hold: its sweep has not ended.

Counted from the tables alone, as results are read where no sweep runs. Not seen is only whether a
search without replicates would have widened its box once more.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from analysis.measures.recipes import ROLE
from analysis.measures.targets import CANDIDATES, trials_as_recorded
from analysis.tables.scales import positions
from analysis.tables.schema import ROLES
from analysis.tables.study import StudyTables

_REPLICATES = "replicate"
_NAMES = {
    "search": "of the search",
    "extension": "of a widened box",
    _REPLICATES: "on fresh seeds",
    ROLE: "of the scaling rule",
}


def unfinished_records(study: StudyTables) -> list[dict[str, Any]]:
    """Return how many trials are still to come, one record per batch size and role.

    Those of a later stage are counted once the stage before has ended, as their number follows from
    it. Imported studies are complete as they are.

    Returns:
        Records with batch_size, role and trials (>= 1), by batch size.
    """
    if study.imported:
        return []
    recorded = trials_as_recorded(study, ROLES)
    base = study.config.get("recipe", {}).get("base")
    scales = study.config.get("mode") == "recipe"
    found = []
    for size in study.config["batch_sizes"]:
        here = recorded[recorded["batch_size"] == size]
        if not scales or size == base:
            found += [(size, *stage) for stage in _of_search(study, size, here)]
    if scales and (found or _has_point(recorded, base)):
        seeds = max(1, int(_replicates(study).get("seeds", 0)))
        for size in study.config["batch_sizes"]:
            have = int((recorded["batch_size"].eq(size) & recorded["role"].eq(ROLE)).sum())
            if size != base and have < seeds:
                found.append((size, ROLE, seeds - have))
    keys = ("batch_size", "role", "trials")
    return [dict(zip(keys, row, strict=True)) for row in sorted(found, key=lambda row: row[0])]


def _has_point(recorded: pd.DataFrame, base: int | None) -> bool:
    """Return whether a recipe has a point to scale: a published one, or one that its base found."""
    if base is None:
        return True
    here = recorded["batch_size"].eq(base) & recorded["role"].isin(CANDIDATES)
    return bool(recorded.loc[here, "status"].eq("reached").any())


def _replicates(study: StudyTables) -> Mapping[str, Any]:
    section: Mapping[str, Any] = study.config.get("replicates", {})
    return section


def _of_search(study: StudyTables, size: int, here: pd.DataFrame) -> Iterator[tuple[str, int]]:
    """Yield role and number of the trials that the next stages of one batch size lack."""
    have = here["role"].value_counts()
    missing = int(study.config["search"]["trials"]) - int(have.get("search", 0))
    if missing > 0:
        yield "search", missing
        return
    missing = _extension_trials(study, size) - int(have.get("extension", 0))
    # replicates follow the last extension; more may be due by now, if search.trials has grown
    if missing > 0 and _REPLICATES not in have:
        yield "extension", missing
        return
    missing = _missing_replicates(here, _replicates(study))
    if missing > 0:
        yield _REPLICATES, missing


def _extension_trials(study: StudyTables, size: int) -> int:
    """Return the trials of the regions that a box was widened by: as dense as those of the box."""
    rows = study.boxes[study.boxes["batch_size"] == size]
    trials = 0
    for region, ranges in rows.groupby("region"):
        if not region:
            continue
        shares = []
        for entry in ranges.to_dict("records"):
            box = study.space.get(str(entry["hyperparameter"]))
            if box is not None:
                shares.append(float(np.diff(positions([entry["low"], entry["high"]], box)).item()))
        # the strip is thinner than the box along one hyperparameter, and as wide as it was before
        share = min(shares, default=0.0)
        # rounding must not add a trial
        trials += math.ceil(study.config["search"]["trials"] * share - 1e-6)
    return trials


def _missing_replicates(here: pd.DataFrame, asked: Mapping[str, Any]) -> int:
    reached = here[here["role"].isin(CANDIDATES) & here["status"].eq("reached")]
    best = reached.sort_values("steps", kind="stable").head(int(asked.get("top", 1)))
    runs = here[here["role"].eq(_REPLICATES)]
    missing, seeds = 0, int(asked.get("seeds", 0))
    for role, trial in zip(best["role"], best["trial"], strict=True):
        own = runs["source_role"].eq(role) & runs["source_trial"].eq(trial)
        missing += max(0, seeds - int(own.fillna(False).sum()))
    if best.empty:
        return 0
    # of the best point once more, when the others are known
    confirm = int(asked.get("confirm", 0))
    return missing + confirm if missing else max(0, confirm + seeds * len(best) - len(runs))


def unfinished_sentences(records: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """Return a sentence on `unfinished_records`, none for a finished sweep."""
    if not records:
        return ()
    parts: dict[tuple[str, int], list[str]] = {}
    for row in records:
        parts.setdefault((row["role"], row["trials"]), []).append(str(row["batch_size"]))
    total = sum(row["trials"] for row in records)
    listed = "; ".join(
        f"{count} {_NAMES[role]} at {'each of ' if len(sizes) > 1 else ''}B = {', '.join(sizes)}"
        for (role, count), sizes in parts.items()
    )
    return (
        f"Unfinished: at least {total} trials are still to come ({listed}). All numbers here are "
        "of the trials so far and may change; run the same `sweep` again to finish it.",
    )
