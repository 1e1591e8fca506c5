"""What one study needs relative to another at each batch size: examples, and steps of a recipe.

Language-model work compares optimizers by the ratio of tokens to the same loss, against batch size
(arXiv 2505.02222). A recipe's scaling rule costs steps relative to a tuned study.
"""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from analysis.comparison.compare import Compared, Comparison
from analysis.measures.batch_plan import KEY, BatchPlan
from analysis.measures.recipes import follows_rule

_RATIO_TYPES = {
    "study": "str",
    "over": "str",
    "batch_size": "int64",
    "ratio": "float64",
    "low": "Float64",
    "high": "Float64",
}
_Spans = Mapping[int, tuple[float, float, float]]
"""Examples to target and the ends of their interval by batch size; NaN without an interval."""


def example_ratios(comparison: Comparison) -> pd.DataFrame:
    """Return the examples to target of each study over those of the first, by batch size.

    Returns:
        Columns study, over (the first study), batch_size, ratio, low and high (95 % interval for
        seeds; null where steps are not medians, or a median has no interval). A row for each batch
        size at which both reached the target; none unless all studies have one target and one
        workload, and either are tuned with different optimizers or batch schedules, or are all
        recipes.
    """
    first, *others = comparison.studies
    below = _examples(comparison, first)
    rows = [
        (study.name, first.name, size, *_ratio(above[size], below[size]))
        for study in (others if _comparable(comparison) else ())
        for above in [_examples(comparison, study)]
        for size in sorted(above.keys() & below.keys())
    ]
    return pd.DataFrame(rows, columns=list(_RATIO_TYPES)).astype(_RATIO_TYPES)


def _comparable(comparison: Comparison) -> bool:
    first, *others = comparison.studies
    tables = [study.analysis.study for study in comparison.studies]
    recipes = set(map(follows_rule, tables))
    rules = {(own.config["optimizer"], str(own.config.get(KEY))) for own in tables}
    return (
        all(study.analysis.target == first.analysis.target for study in others)
        and all(training(own.config) == training(tables[0].config) for own in tables)
        and (recipes == {True} or (recipes == {False} and len(rules) > 1))
    )


def _examples(comparison: Comparison, study: Compared) -> _Spans:
    table = comparison.table[comparison.table["study"].eq(study.name) & ~comparison.table["missed"]]
    ends = ("low", "high") if comparison.medians else ()
    spans = {}
    for row in table.to_dict("records"):
        steps = [row["compared"], *(row[end] for end in ends)]
        used = BatchPlan.of(study.analysis.study.config, row["batch_size"]).examples
        known = bool(ends) and not pd.isna(steps).any()
        low, high = map(used, steps[1:]) if known else (math.nan, math.nan)
        spans[row["batch_size"]] = (used(steps[0]), low, high)
    return spans


def _ratio(
    above: tuple[float, float, float], below: tuple[float, float, float]
) -> tuple[float, float, float]:
    """Return the ratio of two independent estimates with its interval.

    On the log scale, the distances from the estimates to their ends add in quadrature, separately
    for each side (Zou and Donner 2008, doi 10.1002/sim.3095).
    """
    (a, a_low, a_high), (b, b_low, b_high) = above, below
    down = math.hypot(math.log(a / a_low), math.log(b_high / b))
    up = math.hypot(math.log(a_high / a), math.log(b / b_low))
    return a / b, a / b * math.exp(-down), a / b * math.exp(up)


def example_ratios_table(comparison: Comparison) -> pd.DataFrame:
    """Return the ratios as text: one row per batch size, a column per study but the first."""
    ratios = example_ratios(comparison)
    return comparison.side_by_side(ratios, _texts(ratios))


def example_ratio_sentences(comparison: Comparison) -> Iterator[str]:
    """Yield how each ratio changes from the smallest to the largest batch size."""
    labels = {study.name: study.label for study in comparison.studies}
    for (study, over), rows in example_ratios(comparison).groupby(["study", "over"], sort=False):
        cells = dict(zip(rows["batch_size"], _texts(rows), strict=True))
        ends = " and ".join(f"{cells[b]} at B = {b}" for b in sorted({min(cells), max(cells)}))
        known = " (95% intervals for seeds)" if rows["low"].notna().any() else ""
        yield (
            f"Examples that {labels[str(study)]} needs relative to {labels[str(over)]}: "
            f"{ends}{known}."
        )


def _texts(ratios: pd.DataFrame) -> Iterator[str]:
    for ratio, low, high in ratios[["ratio", "low", "high"]].to_numpy(object):
        span = "" if pd.isna(low) or pd.isna(high) else f" ({low:.2f}\N{EN DASH}{high:.2f})"
        yield f"{ratio:.2f}x{span}"


_COST_TYPES = {
    "study": "str",
    "tuned": "str",
    "batch_size": "int64",
    "steps": "Float64",
    "tuned_steps": "float64",
    "ratio": "Float64",
}


def rule_costs(comparison: Comparison) -> pd.DataFrame:
    """Return what every recipe of a comparison costs, one row per recipe and batch size.

    A recipe is compared to a tuned study of its workload, with the same optimizer if possible, at
    the batch sizes at which that study reached the target.

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
    return pd.DataFrame(rows, columns=list(_COST_TYPES)).astype(_COST_TYPES)


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
    """Return a study's workload and its options."""
    return config["workload"], config.get("workload_options", {})


def rule_costs_table(comparison: Comparison) -> pd.DataFrame:
    """Return the costs as text: one row per batch size, one column per recipe."""
    costs = rule_costs(comparison)
    texts = ("missed" if pd.isna(ratio) else f"{ratio:.2f}x" for ratio in costs["ratio"])
    return comparison.side_by_side(costs, texts)


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
        (ratio, size), *others = zip(ran["ratio"], ran["batch_size"], strict=True)
        rest = "".join(f", {times(more)} at B = {b}" for more, b in others)
        clauses.append(f"the scaling rule takes {times(ratio)} the steps at B = {size}{rest}")
    if len(missed):
        sizes = ", ".join(map(str, missed["batch_size"]))
        clauses.append(f"the rule misses the target, which tuning reaches, at B = {sizes}")
    return "; ".join(clauses)


def times(ratio: float) -> str:
    """Return a factor as text.

    >>> times(1.2), times(10.51)
    ('1.20 times', '10.5 times')
    """
    return f"{ratio:.{2 if ratio < 10 else 1}f} times"
