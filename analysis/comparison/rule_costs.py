"""What a recipe's rule costs: its steps over those of a tuned study, at each batch size."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from analysis.comparison.compare import Compared, Comparison
from analysis.measures.recipes import follows_rule

_TYPES = {
    "study": "str",
    "tuned": "str",
    "batch_size": "int64",
    "steps": "Float64",
    "tuned_steps": "float64",
    "ratio": "Float64",
}


def rule_costs(comparison: Comparison) -> pd.DataFrame:
    """Gives what every recipe of a comparison costs.

    Args:
        comparison: the comparison.

    Returns:
        One row per recipe and batch size that it ran and the tuned study reached the target at:
        study (the recipe), tuned (of the same workload, and optimizer if there is one; else the
        first), batch_size, steps (compared ones; null where the recipe missed the target),
        tuned_steps, ratio. No row for a recipe without a tuned study of its workload.
    """
    rows = []
    for study in comparison.studies:
        tuned = _tuned(comparison, study)
        if tuned is None:
            continue
        for size in study.points.batch_sizes.astype(int).tolist():
            if size in tuned.reached:
                steps, best = study.reached.get(size), tuned.reached[size]
                ratio = None if steps is None else steps / best
                rows.append((study.name, tuned.name, size, steps, best, ratio))
    return pd.DataFrame(rows, columns=list(_TYPES)).astype(_TYPES)


def _tuned(comparison: Comparison, study: Compared) -> Compared | None:
    """Finds the tuned study that a recipe is held against; None for a study that is tuned."""
    if not follows_rule(study.analysis.study):
        return None
    own = study.analysis.study.config
    others = [
        other
        for other in comparison.studies
        if not follows_rule(other.analysis.study)
        and other.analysis.target == study.analysis.target
        and _trained(other.analysis.study.config) == _trained(own)
    ]
    alike = [o for o in others if o.analysis.study.config["optimizer"] == own["optimizer"]]
    return next(iter(alike or others), None)


def _trained(config: Mapping[str, Any]) -> tuple[object, object]:
    return config["workload"], config.get("workload_options", {})


def rule_costs_table(comparison: Comparison) -> pd.DataFrame:
    """Gives the costs as text: one row per batch size, a column per recipe."""
    costs, labels = rule_costs(comparison), _labels(comparison)
    shown = {"B": [str(size) for size in sorted(set(costs["batch_size"]))]}
    for name, rows in costs.groupby("study", sort=False):
        cells = {
            str(size): "missed" if pd.isna(ratio) else f"{ratio:.2f} x"
            for size, ratio in zip(rows["batch_size"], rows["ratio"], strict=True)
        }
        shown[labels[str(name)]] = [cells.get(size, "-") for size in shown["B"]]
    return pd.DataFrame(shown)


def rule_cost_sentences(comparison: Comparison) -> tuple[str, ...]:
    """Says what each recipe costs, one sentence each."""
    costs, labels = rule_costs(comparison), _labels(comparison)
    return tuple(
        f"{labels[str(study)]} against {labels[str(tuned)]}, tuned at every batch size: "
        f"{_words(rows)}."
        for (study, tuned), rows in costs.groupby(["study", "tuned"], sort=False)
    )


def _words(rows: pd.DataFrame) -> str:
    ran, missed = rows[rows["ratio"].notna()], rows[rows["ratio"].isna()]
    words = []
    if len(ran):
        each = ", ".join(
            f"{ratio:.2f} x at B = {size}"
            for size, ratio in zip(ran["batch_size"], ran["ratio"], strict=True)
        )
        words.append(f"the rule takes {each} of the steps")
    if len(missed):
        sizes = ", ".join(map(str, missed["batch_size"]))
        words.append(f"it misses a target that tuning reaches at B = {sizes}")
    return "; ".join(words)


def _labels(comparison: Comparison) -> dict[str, str]:
    return {study.name: study.label for study in comparison.studies}
