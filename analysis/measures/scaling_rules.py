"""How far the usual rules for scaling the learning rate land from the tuned optimum.

From each batch size to its neighbours, the linear rule (Krizhevsky 2014, Goyal et al. 2017) and
the square-root rule propose a learning rate, all else as it was. In every study the proposal is
compared with what was tuned there, as effective learning rates lr / (1 - momentum). In a study with
`search.warm_start` the neighbour's best point, as it was known then, was also run under each rule,
so that its price is known in steps.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import pandas as pd

from analysis.fitting.estimates import rounded
from analysis.measures.recipes import follows_rule
from analysis.measures.targets import trials_at
from analysis.tables.study import StudyTables

EXPONENTS: Mapping[str, float] = {"linear": 1.0, "square-root": 0.5}
"""Power of the batch size by which each rule lets the learning rate grow."""

_TYPES: Mapping[str, str] = {
    "batch_size": "int64",
    "source_batch_size": "int64",
    "rule": "str",
    "effective_lr": "float64",
    "tuned_effective_lr": "float64",
    "lr_ratio": "float64",
    "ran": "bool",
    "steps": "Int64",
    "tuned_steps": "Int64",
    "steps_ratio": "Float64",
}


def scaling_rules(
    study: StudyTables, table: pd.DataFrame, target: float | None = None
) -> pd.DataFrame:
    """Compares what the rules propose with what was tuned.

    Args:
        study: the study.
        table: its steps to target, as `analysis.measures.targets.steps_to_target` gives them.
        target: that table's target; None for the one raced to.

    Returns:
        One row per batch size that reached the target, neighbour that did, and rule: batch_size,
        source_batch_size (the neighbour), rule, effective_lr (proposed), tuned_effective_lr,
        lr_ratio (proposed over tuned), ran (whether a warm start tried it), steps (that it took;
        null where it did not reach the target), tuned_steps, steps_ratio (steps over
        tuned_steps). No row where the learning rate was not searched, or a rule gave it.
    """
    if "lr" not in study.space or follows_rule(study):
        return _typed([])
    warm = trials_at(study, ("warm",), target)
    tried = {
        (row["batch_size"], row["source_batch_size"], row["rule"]): row["steps"]
        for row in warm.to_dict("records")
    }
    reached = table[table["steps"].notna()]
    tuned = {int(row["batch_size"]): row for row in reached.to_dict("records")}
    pairs = [pair for pair in pairwise(tuned) for pair in (pair, pair[::-1])]
    rows = []
    for source, size in sorted(pairs, key=lambda pair: (pair[1], pair[0])):
        for rule, exponent in EXPONENTS.items():
            here = tuned[size]
            proposed = tuned[source]["effective_lr"] * (size / source) ** exponent
            steps = tried.get((size, source, rule))
            rows.append(
                {
                    "batch_size": size,
                    "source_batch_size": source,
                    "rule": rule,
                    "effective_lr": proposed,
                    "tuned_effective_lr": here["effective_lr"],
                    "lr_ratio": proposed / here["effective_lr"],
                    "ran": (size, source, rule) in tried,
                    "steps": steps,
                    "tuned_steps": here["steps"],
                    "steps_ratio": None if pd.isna(steps) else steps / here["steps"],
                }
            )
    return _typed(rows)


def rule_sentences(rules: pd.DataFrame) -> tuple[str, ...]:
    """Says how far each rule lands, one sentence each.

    Args:
        rules: what `scaling_rules` gives.

    Returns:
        The sentences; none where there is no row.
    """
    return tuple(_words(rule, group) for rule, group in rules.groupby("rule", sort=False))


def _words(rule: object, rows: pd.DataFrame) -> str:
    away = rows["lr_ratio"].where(rows["lr_ratio"] >= 1, 1 / rows["lr_ratio"])
    words = (
        f"The {rule} rule from a neighbouring batch size lands off the tuned lr / (1 - momentum) "
        f"by a factor of {rounded(away.median())} (median of {len(rows)}; at worst "
        f"{rounded(away.max())})"
    )
    ran = rows[rows["ran"]]
    if ran.empty:
        return f"{words}."
    reached = ran["steps_ratio"].dropna()
    missed = len(ran) - len(reached)
    cost = "none of them reached the target in time"
    if len(reached):
        cost = f"it took {rounded(float(reached.median()))} x the tuned steps (median)"
        cost += f", and {missed} of {len(ran)} did not get there in time" if missed else ""
    return f"{words}; run as a warm start, {cost}."


def _typed(rows: Sequence[Mapping[str, object]]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=list(_TYPES)).astype(dict(_TYPES))
