"""The tables of a page, as text."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from analysis.comparison.compare import Comparison
from analysis.comparison.report import comparison_tables
from analysis.cost.record import readable_costs, readable_devices
from analysis.cost.study_cost import StudyCost
from analysis.fitting.estimates import Estimate, rounded, span_text
from analysis.measures.diagnostics import END, Diagnosed
from analysis.page.searches import NEAR
from analysis.report.goals import GOALS_NOTE, goals_table
from analysis.report.summary import Analysis
from analysis.report.write import readable_table
from analysis.search_quality.table import readable_quality

_Record = Mapping[str, Any]


@dataclass(frozen=True, slots=True, eq=False)
class PageTable:
    """A table as text, with a caption and an optional note."""

    caption: str
    rows: pd.DataFrame
    note: str = ""
    names_first: bool = False  # whether the first column has names


def study_tables(analysis: Analysis, record: _Record, near: pd.DataFrame) -> list[PageTable]:
    """Return the tables of a study that have rows, given its `summary_record` and `near_best`."""
    tables = [
        PageTable("Steps to target", readable_table(analysis), _AFTER),
        PageTable("Critical batch sizes, with 95% intervals", _critical(record), names_first=True),
        PageTable("Fitted curves, with 95% intervals", _fits(record), names_first=True),
        PageTable(
            "Critical batch size at several targets", goals_table(analysis.goals), GOALS_NOTE
        ),
        PageTable(
            f"Hyperparameters of all trials within {NEAR:.0%} of the fewest steps", _near(near)
        ),
        PageTable("Quality of the searches", readable_quality(analysis.search)),
    ]
    return [table for table in tables if len(table.rows)]


def tables_of_cost(cost: StudyCost) -> list[PageTable]:
    """Return the tables of the cost of training that have rows."""
    tables = [
        PageTable(
            "Cost of training to the target, on one device",
            readable_costs(cost),
            "`time` is for the estimated optimum, with its interval; `found` is for the best point "
            "found.",
        ),
        PageTable("Cost on several devices", readable_devices(cost)),
    ]
    return [table for table in tables if len(table.rows)]


def tables_of_diagnostics(found: Diagnosed) -> list[PageTable]:
    """Return the diagnostics of the winners at the end of training, one column per batch size."""
    rows = found.table[found.table["what"].isin(_ONE_NUMBER) & found.table["moment"].eq(END)]
    if rows.empty:
        return []
    names = rows["quantity"].str.replace("_", " ") + rows["variant"].map(
        lambda variant: f", {variant}" if variant else ""
    )
    wide = rows.assign(name=names).pivot_table(
        index="name", columns="batch_size", values="value", sort=False
    )
    text = wide.sort_index(axis="columns").map(_three_digits).rename(columns="B = {}".format)
    text.insert(0, "quantity", text.index)
    return [PageTable("Diagnostics at the target", text, names_first=True)]


def tables_of_comparison(comparison: Comparison) -> list[PageTable]:
    """Return the tables of a comparison that have rows."""
    tables = comparison_tables(comparison).items()
    return [PageTable(name, rows, names_first=True) for name, rows in tables]


_ONE_NUMBER = ("noise", "curvature", "sharpness", "gap")
"""Diagnostics that give one number per batch size and variant."""
_AFTER = (
    "The measurement at step `after` was still above the target; `median` is over fresh seeds of "
    "the best point. All digits are in tables/steps.csv, which `batchscale analyze` writes."
)


def _three_digits(value: float) -> str:
    if math.isnan(value):
        return "-"
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"


def _critical(record: _Record) -> pd.DataFrame:
    rows = []
    for name, written in record["critical_batch_sizes"].items():
        size = Estimate.of(written)
        value, ends = (rounded(size.value), size.ends) if size.identified else ("-", size.text())
        rows.append((name, value, ends, written["note"] or "-"))
    return pd.DataFrame(rows, columns=["name", "batch size", "interval", "note"])


def _fits(record: _Record) -> pd.DataFrame:
    rows = []
    for name, fit in (record["fits"] or {}).items():
        quantities = {key: fit[key] for key in ("s_min", "e_min", "b_crit", "exponent")}
        rows.append(
            {
                "model": name + (" (chosen)" if name == record["chosen"] else ""),
                "formula": fit["formula"],
                **{
                    key: "-" if value is None else Estimate.of(value).text()
                    for key, value in quantities.items()
                },
                "AICc": "-" if fit["aicc"] is None else f"{fit['aicc']:.1f}",
            }
        )
    return pd.DataFrame(rows)


def _near(near: pd.DataFrame) -> pd.DataFrame:
    if near.empty:
        return near
    rows = []
    for size, group in near.groupby("batch_size", sort=True):
        row = {"B": str(size), "trials": str(group["trials"].iloc[0])}
        for name, low, high in zip(
            group["hyperparameter"], group["low"], group["high"], strict=True
        ):
            heading = "lr/(1-m)" if name == "effective_lr" else name
            row[heading] = span_text(f"{low:.3g}", f"{high:.3g}")
        rows.append(row)
    return pd.DataFrame(rows)
