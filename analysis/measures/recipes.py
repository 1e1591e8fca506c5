"""Studies of a recipe: one point, carried to every batch size by a scaling rule, on fresh seeds.

The point was tuned at the base batch size, where its replicates represent it. At the others the
scaling rule set it, and nothing was searched. A recipe is judged by these runs.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pandas as pd

from analysis.tables.study import StudyTables

ROLE = "recipe"
_ORIGIN = ["source_batch_size", "source_role", "source_trial"]


def follows_rule(study: StudyTables) -> bool:
    """Return whether a study has runs of a recipe's scaling rule."""
    return bool(study.trials["role"].eq(ROLE).any())


def recipe_runs(study: StudyTables) -> StudyTables:
    """Return only the trials of a recipe, from a study that follows a scaling rule.

    At the base batch size they are the replicates of the point that the rule scales; without
    replicates, the trial that found the point.
    """
    trials = study.trials
    scaled = trials["role"].eq(ROLE)
    size, role, number = trials.loc[scaled, _ORIGIN].iloc[0]
    if pd.isna(role):  # a published point: nothing was tuned
        return replace(study, trials=trials[scaled].reset_index(drop=True))
    replicates = trials["role"].eq("replicate") & trials["source_batch_size"].eq(size)
    replicates &= trials["source_role"].eq(role) & trials["source_trial"].eq(number)
    source = trials["batch_size"].eq(size) & trials["role"].eq(role) & trials["trial"].eq(number)
    base = replicates if replicates.any() else source
    return replace(study, trials=trials[(scaled | base).fillna(False)].reset_index(drop=True))


def base_trial(study: StudyTables) -> tuple[str, int] | None:
    """Return the role and number of the trial that the scaling rule scales, if any."""
    if not follows_rule(study):
        return None
    role, number = study.trials.loc[study.trials["role"].eq(ROLE), _ORIGIN[1:]].iloc[0]
    return None if pd.isna(role) else (str(role), int(number))


def recipe_record(study: StudyTables) -> dict[str, Any] | None:
    """Return a recipe's rule, base and runs as plain data; None for a tuned study."""
    if study.config.get("mode") != "recipe":
        return None
    recipe, ran = study.config["recipe"], follows_rule(study)
    fresh = ran and recipe_runs(study).trials["role"].isin([ROLE, "replicate"]).all()
    return {
        "rule": recipe["rule"],
        "base": recipe.get("base"),
        "warmup_epochs": recipe.get("warmup_epochs", 0),
        "ran": ran,
        "fresh_seeds": bool(fresh),
    }


def recipe_sentences(record: Mapping[str, Any] | None) -> Iterator[str]:
    """Yield sentences on a `recipe_record`; none for a tuned study."""
    if record is None:
        return
    base, epochs = record["base"], record["warmup_epochs"]
    name = f"{record['rule']} scaling rule"
    name += f" with {epochs:g} epochs of warm-up" if epochs else ""
    if not record["ran"]:
        yield (
            f"No run of the {name} is recorded: it needs a point that reaches the target at B = "
            f"{base}; all numbers here are from the search there."
        )
        return
    tuned, origin = "Nothing was tuned", "published"
    if base is not None:
        tuned, origin = f"Only B = {base} was tuned", "the one found there"
    yield (
        f"{tuned}: all numbers are for one point, {origin}, scaled by the {name} and run with "
        "fresh seeds; a search might do better at any other batch size."
    )
    if not record["fresh_seeds"]:
        yield (
            f"B = {base} has no fresh seeds, only the trial that found the point, whose steps are "
            "biased low; set replicates.seeds."
        )
