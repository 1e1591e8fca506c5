"""The tables of a page: text in columns, one row per batch size or definition."""

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


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class PageTable:
    """A table as text, with a caption, a note that may be empty, and maybe names first."""

    caption: str
    rows: pd.DataFrame
    note: str = ""
    names_first: bool = False


def study_tables(analysis: Analysis, record: _Record, near: pd.DataFrame) -> list[PageTable]:
    """Return the tables of a study that have rows, given its `summary_record` and `near_best`."""
    tables = [
        PageTable(caption="Steps to target", rows=readable_table(analysis), note=_AFTER),
        PageTable(
            caption="Critical batch sizes, with 95% intervals",
            rows=_critical(record),
            names_first=True,
        ),
        PageTable(
            caption="Fitted curves, with 95% intervals", rows=_fits(record), names_first=True
        ),
        PageTable(
            caption="Critical batch size at several targets",
            rows=goals_table(analysis.goals),
            note=GOALS_NOTE,
        ),
        PageTable(
            caption=f"Hyperparameters of all trials within {NEAR:.0%} of the fewest steps",
            rows=_near(near),
        ),
        PageTable(caption="Quality of the searches", rows=readable_quality(analysis.search)),
    ]
    return [table for table in tables if len(table.rows)]


def tables_of_cost(cost: StudyCost) -> list[PageTable]:
    """Return the tables of what training costs that have rows."""
    tables = [
        PageTable(
            caption="Cost of training to the target, on one device",
            rows=readable_costs(cost),
            note="`time` is that of the estimated optimum, with its interval; `found` that of the "
            "best point found.",
        ),
        PageTable(caption="Cost on several devices", rows=readable_devices(cost)),
    ]
    return [table for table in tables if len(table.rows)]


def tables_of_diagnostics(found: Diagnosed) -> list[PageTable]:
    """Return the numbers of each winner at the end of its training, a column per batch size."""
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
    return [PageTable(caption="Diagnostics at the target", rows=text, names_first=True)]


def tables_of_comparison(comparison: Comparison) -> list[PageTable]:
    """Return the tables of a comparison that have rows."""
    return [
        PageTable(caption=caption, rows=rows, names_first=True)
        for caption, rows in comparison_tables(comparison).items()
    ]


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
