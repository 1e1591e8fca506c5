"""Examples that one optimizer needs over those of another, at each batch size.

That is how language-model work compares optimizers: the ratio of tokens to the same loss, against
batch size (arXiv 2505.02222).
"""

import math
from collections.abc import Mapping

import pandas as pd

from analysis.comparison.compare import Compared, Comparison
from analysis.comparison.rule_costs import training
from analysis.measures.batch_plan import KEY, BatchPlan
from analysis.measures.recipes import follows_rule

_TYPES = {
    "study": "str",
    "over": "str",
    "batch_size": "int64",
    "ratio": "float64",
    "low": "Float64",
    "high": "Float64",
}
_Spans = Mapping[int, tuple[float, float, float]]
"""Examples to target by batch size, with the ends of their interval; NaN where there is none."""


def example_ratios(comparison: Comparison) -> pd.DataFrame:
    """Return the examples to target of each study over those of the first, by batch size.

    Returns:
        Columns study, over (the first study), batch_size, ratio, low and high (95 % interval for
        seeds; null where steps are no medians, or a median has no such interval). A row for each
        batch size at which both reached the target; none unless all studies are of one target of
        one workload, and are tuned with different optimizers or batch schedules, or all recipes.
    """
    first, *others = comparison.studies
    below = _examples(comparison, first)
    rows = [
        (study.name, first.name, size, *_ratio(above[size], below[size]))
        for study in (others if _comparable(comparison) else ())
        for above in [_examples(comparison, study)]
        for size in sorted(above.keys() & below.keys())
    ]
    return pd.DataFrame(rows, columns=list(_TYPES)).astype(_TYPES)


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
    """Return a ratio and its interval, from those of two independent estimates.

    On the log scale each end is the difference, less or plus the root of the sum of squares of the
    two distances that make it low or high (Zou and Donner 2008, doi 10.1002/sim.3095).
    """
    (a, a_low, a_high), (b, b_low, b_high) = above, below
    down = math.hypot(math.log(a / a_low), math.log(b_high / b))
    up = math.hypot(math.log(a_high / a), math.log(b / b_low))
    return a / b, a / b * math.exp(-down), a / b * math.exp(up)


def example_ratios_table(comparison: Comparison) -> pd.DataFrame:
    """Return the ratios as text: one row per batch size, a column per study but the first."""
    ratios = example_ratios(comparison)
    names = [study.name for study in comparison.studies[1:]]
    return comparison.side_by_side(
        {name: _cells(ratios[ratios["study"] == name]) for name in names}
    )


def example_ratio_sentences(comparison: Comparison) -> tuple[str, ...]:
    """Return how each ratio changes from the smallest to the largest batch size."""
    labels = {study.name: study.label for study in comparison.studies}
    groups = example_ratios(comparison).groupby(["study", "over"], sort=False)
    return tuple(
        f"Examples that {labels[str(study)]} needs over those of {labels[str(over)]}: "
        f"{_ends(_cells(rows))}"
        + (" (95% intervals for seeds)." if rows["low"].notna().any() else ".")
        for (study, over), rows in groups
    )


def _ends(cells: Mapping[int, str]) -> str:
    ends = sorted({min(cells), max(cells)})
    return " and ".join(f"{cells[size]} at B = {size}" for size in ends)


def _cells(rows: pd.DataFrame) -> dict[int, str]:
    cells = {}
    for size, ratio, low, high in rows[["batch_size", "ratio", "low", "high"]].to_numpy(object):
        span = "" if pd.isna(low) or pd.isna(high) else f" ({low:.2f}\N{EN DASH}{high:.2f})"
        cells[size] = f"{ratio:.2f}x{span}"
    return cells
