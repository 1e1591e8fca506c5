"""A study of a recipe: one point scaled by a rule, on the same number of fresh seeds everywhere.

At the base batch size the point was tuned, and its replicates stand for it; at the others the rule
made it, and nothing was searched. Those runs are what a recipe is judged by.
"""

from dataclasses import replace

import pandas as pd

from analysis.tables.study import StudyTables

ROLE = "recipe"
_ORIGIN = ["source_batch_size", "source_role", "source_trial"]


def follows_rule(study: StudyTables) -> bool:
    """Tells whether a study holds runs of a recipe's rule."""
    return bool(study.trials["role"].eq(ROLE).any())


def rule_runs(study: StudyTables) -> StudyTables:
    """Cuts a study to the runs of its recipe.

    Args:
        study: one that follows a rule.

    Returns:
        The same study with the trials of the rule and, at the base, the replicates of the point
        that the rule scales, or where it has none the trial that found the point.
    """
    trials = study.trials
    scaled = trials["role"].eq(ROLE)
    size, role, number = trials.loc[scaled, _ORIGIN].iloc[0]
    if pd.isna(role):  # a published point: nothing was tuned
        return replace(study, trials=trials[scaled].reset_index(drop=True))
    again = trials["role"].eq("replicate") & trials["source_batch_size"].eq(size)
    again &= trials["source_role"].eq(role) & trials["source_trial"].eq(number)
    found = trials["batch_size"].eq(size) & trials["role"].eq(role) & trials["trial"].eq(number)
    base = again if again.any() else found
    return replace(study, trials=trials[(scaled | base).fillna(False)].reset_index(drop=True))


def origin(study: StudyTables) -> tuple[str, int] | None:
    """Gives role and number of the base's trial that the rule scales; None for none."""
    if not follows_rule(study):
        return None
    role, number = study.trials.loc[study.trials["role"].eq(ROLE), _ORIGIN[1:]].iloc[0]
    return None if pd.isna(role) else (str(role), int(number))


def recipe_sentences(study: StudyTables) -> tuple[str, ...]:
    """Says what a recipe's numbers are; no sentence for a tuned study."""
    if study.config.get("mode") != "recipe":
        return ()
    recipe = study.config["recipe"]
    base, epochs = recipe.get("base"), recipe.get("warmup_epochs", 0)
    name = f"{recipe['rule']} rule" + (f" with {epochs:g} epochs of warm-up" if epochs else "")
    if not follows_rule(study):
        return (
            f"No run of the {name} is recorded: the rule waits for a point that reaches the target "
            f"at B = {base}, and all numbers here are of the search there.",
        )
    tuned, whence = "Nothing was tuned", "published"
    if base is not None:
        tuned, whence = f"Only B = {base} was tuned", "the one found there"
    words = (
        f"{tuned}: all numbers are of one point, {whence}, scaled by the {name} and run on fresh "
        "seeds; a search might do better at any other batch size."
    )
    if rule_runs(study).trials["role"].isin([ROLE, "replicate"]).all():
        return (words,)
    return (
        words,
        f"B = {base} has no fresh seeds, only the trial that found the point, which flatters; set "
        "replicates.seeds.",
    )
