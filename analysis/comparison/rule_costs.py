"""What a recipe's scaling rule costs: its steps relative to a tuned study, at each batch size."""

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
    """Return what every recipe of a comparison costs, one row per recipe and batch size.

    A recipe is compared to a tuned study of its workload, with the same optimizer if there is one,
    at the batch sizes at which that study reached the target.

    Returns:
        Columns study (the recipe), tuned (the study it is compared to), batch_size, steps (null
        where the recipe missed the target), tuned_steps, ratio. No rows for a recipe without a
        tuned study of its workload.
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
    """Return the tuned study that a recipe is compared to; None for a study that is tuned."""
    if not follows_rule(study.analysis.study):
        return None
    own = study.analysis.study.config
    others = [
        other
        for other in comparison.studies
        if not follows_rule(other.analysis.study)
        and other.analysis.target == study.analysis.target
        and training(other.analysis.study.config) == training(own)
    ]
    alike = [o for o in others if o.analysis.study.config["optimizer"] == own["optimizer"]]
    return next(iter(alike or others), None)


def training(config: Mapping[str, Any]) -> tuple[object, object]:
    """Return what a study trains: its workload and the options of it."""
    return config["workload"], config.get("workload_options", {})


def rule_costs_table(comparison: Comparison) -> pd.DataFrame:
    """Return the costs as text: one row per batch size, one column per recipe."""
    costs = rule_costs(comparison)
    cells: dict[str, dict[int, str]] = {}
    for name, size, ratio in zip(costs["study"], costs["batch_size"], costs["ratio"], strict=True):
        cells.setdefault(name, {})[size] = "missed" if pd.isna(ratio) else f"{ratio:.2f}x"
    return comparison.side_by_side(cells)


def rule_cost_sentences(comparison: Comparison) -> tuple[str, ...]:
    """Return what each recipe costs, one sentence each."""
    costs, labels = rule_costs(comparison), {s.name: s.label for s in comparison.studies}
    return tuple(
        f"{labels[str(study)]} against {labels[str(tuned)]}, tuned at every batch size: "
        f"{_clauses(rows)}."
        for (study, tuned), rows in costs.groupby(["study", "tuned"], sort=False)
    )


def _clauses(rows: pd.DataFrame) -> str:
    ran, missed = rows[rows["ratio"].notna()], rows[rows["ratio"].isna()]
    clauses = []
    if len(ran):
        pairs = zip(ran["ratio"], ran["batch_size"], strict=True)
        first, *others = (f"{times(ratio)} {{}}at B = {size}" for ratio, size in pairs)
        each = [first.format("the steps "), *(other.format("") for other in others)]
        clauses.append(f"the scaling rule takes {', '.join(each)}")
    if len(missed):
        sizes = ", ".join(map(str, missed["batch_size"]))
        clauses.append(f"the rule misses the target, which tuning reaches, at B = {sizes}")
    return "; ".join(clauses)


def times(ratio: float) -> str:
    """Return a factor as text.

    >>> times(1.2), times(10.51)
    ('1.20 times', '10.5 times')
    """
    return f"{ratio:.{2 if ratio < 10 else 1}f} times"  # noqa: PLR2004
