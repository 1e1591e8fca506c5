"""How far the common scaling rules land from the tuned optimum.

From each batch size to its neighbors, the linear (Krizhevsky 2014, Goyal et al. 2017) and the
square-root scaling rule propose a learning rate, with all else unchanged. It is compared with the
tuned one, as effective learning rates lr / (1 - momentum) if the optimizer has a momentum that adds
to its steps, else as learning rates. With `search.warm_start`, the neighbor's best point so far was
also run under each scaling rule, so its cost in steps is known.

If beta2 was searched, its half-life in examples is compared too: with that of the neighbor (Marek
et al. 2025), and with that of the neighbor's beta2 at this batch size. If decoupled weight decay
was searched, so is its timescale B / (lr weight_decay) in examples (Bergsma et al. 2025).
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

import numpy as np
import pandas as pd

from analysis.fitting.estimates import rounded
from analysis.measures.recipes import follows_rule
from analysis.measures.targets import trials_at
from analysis.tables.schema import EXPONENTS
from analysis.tables.study import StudyTables

EFFECTIVE = "lr / (1 - momentum)"
"""The effective learning rate, as shown to users."""

HALF_LIFE = "half-life of beta2 in examples"
DECAY_TIME = "time of weight decay in examples"
DECOUPLED = ("adamw", "adafactor", "muon", "soap")
"""Built-in optimizers whose weight decay is decoupled."""

_Rule = tuple[str, str, pd.Series, float]
"""A scaling rule: its name, the name of its quantity, the tuned values by batch size, and the power
of the batch size that the quantity follows."""

_TYPES: Mapping[str, str] = {
    "batch_size": "int64",
    "source_batch_size": "int64",
    "rule": "str",
    "rate": "str",
    "proposed": "float64",
    "tuned": "float64",
    "lr_ratio": "float64",
    "ran": "bool",
    "steps": "Int64",
    "tuned_steps": "Int64",
    "steps_ratio": "Float64",
}


def scaling_rules(
    study: StudyTables, table: pd.DataFrame, target: float | None = None
) -> pd.DataFrame:
    """Return a comparison of the values that scaling rules propose with the tuned ones.

    The table is of `steps_to_target` at the target; None is the one raced to.

    Returns:
        One row per batch size that reached the target, neighbor that did, and scaling rule:
        batch_size, source_batch_size (the neighbor), rule, rate (the quantity: "lr",
        "lr / (1 - momentum)" or another), proposed, tuned, lr_ratio (proposed over tuned), ran
        (whether a warm start tried it), steps (that it took; null if it missed the target),
        tuned_steps, steps_ratio (steps over tuned_steps). No row for a quantity that was not
        searched, or that a scaling rule set.
    """
    if follows_rule(study):
        return _typed([])
    warm = trials_at(study, ("warm",), target)
    tried = {
        (row["batch_size"], row["source_batch_size"], row["rule"]): row["steps"]
        for row in warm.to_dict("records")
    }
    reached = table[table["steps"].notna()].set_index("batch_size")
    pairs = [pair for pair in pairwise(reached.index) for pair in (pair, pair[::-1])]
    rules = list(_rules(study, reached))
    rows = []
    for source, size in sorted(pairs, key=lambda pair: (pair[1], pair[0])):
        for rule, rate, values, power in rules:
            proposed, tuned = values[source] * (size / source) ** power, values[size]
            steps, best = tried.get((size, source, rule)), reached["steps"][size]
            cost = None if pd.isna(steps) else steps / best
            lr = (proposed, tuned, proposed / tuned)
            ran = (size, source, rule) in tried
            rows.append((size, source, rule, rate, *lr, ran, steps, best, cost))
    return _typed(rows)


def _rules(study: StudyTables, reached: pd.DataFrame) -> Iterator[_Rule]:
    """Yield the rules on what a study searched, given its winners by batch size."""
    sizes = reached.index.to_series()
    if "lr" in study.space:
        column, rate = ("effective_lr", EFFECTIVE) if "effective_lr" in reached else ("lr", "lr")
        for name, power in EXPONENTS.items():
            yield name, rate, reached[column], power
    if {"beta2", "beta2_half_life"} & study.space.keys() and reached["beta2"].gt(0).all():
        half_life = sizes * np.log(0.5) / np.log(reached["beta2"])
        yield "half-life", HALF_LIFE, half_life, 0.0
        yield "same-beta2", HALF_LIFE, half_life, 1.0
    decays = study.config.get("optimizer") in DECOUPLED and "weight_decay" in study.space
    if decays or "weight_decay_time" in study.space:
        time = sizes / (reached["lr"] * reached["weight_decay"].replace(0.0, np.nan))
        if time.notna().all():
            yield "decay-time", DECAY_TIME, time, 0.0


def scaling_rule_sentences(rules: pd.DataFrame) -> tuple[str, ...]:
    """Return a sentence on each scaling rule in a table of `scaling_rules`."""
    if rules.empty:
        return ()
    return tuple(_sentence(rule, group) for rule, group in rules.groupby("rule", sort=False))


def _sentence(rule: object, rows: pd.DataFrame) -> str:
    factor = rows["lr_ratio"].where(rows["lr_ratio"] >= 1, 1 / rows["lr_ratio"])
    distance = (
        f"The {rule} scaling rule from a neighboring batch size misses the tuned "
        f"{rows['rate'].iloc[0]} by a factor of {rounded(factor.median())} (median of {len(rows)}; "
        f"at worst {rounded(factor.max())})"
    )
    ran = rows[rows["ran"]]
    if ran.empty:
        return f"{distance}."
    reached = ran["steps_ratio"].dropna()
    missed = len(ran) - len(reached)
    cost = "none of the runs reached the target in time"
    if len(reached):
        cost = f"it took {rounded(float(reached.median()))} times the tuned steps (median)"
        cost += f", and {missed} of {len(ran)} did not reach the target in time" if missed else ""
    return f"{distance}; run as a warm start, {cost}."


def _typed(rows: Sequence[tuple[object, ...]]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=list(_TYPES)).astype(dict(_TYPES))
