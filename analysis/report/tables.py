"""The tables of an analysis as files: CSV for programs, LaTeX for papers."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from analysis.escaping import escape_latex
from analysis.fitting.estimates import Estimate
from analysis.report.summary import Analysis
from analysis.report.write import readable_table
from analysis.tables.folder import ResultsFolder
from analysis.tables.study import csv_bytes

TABLES = "tables"
_STEPS_TEX, _CRITICAL_TEX = "steps.tex", "critical_batch_sizes.tex"
_CSV = ("steps", "search", "critical_batch_sizes", "fits", "targets", "budgets", "scaling_rules")
_HEADINGS = {
    "B": ("Batch size", "examples"),
    "steps": ("Fewest", "steps"),
    "median": ("Median", "steps"),
    "lr/(1-m)": ("Effective rate", "lr / (1 - momentum)"),
}
"""Headings and units of the columns whose names are too short for print."""
_DEFINITION = "Definition"
_NOT_PRINTED = ("after", "examples", "reached", "pruned", "diverged", "failed")
"""Columns of summary.md that are left out of the LaTeX table; the CSV has them."""


def write_tables(
    analysis: Analysis, record: Mapping[str, Any], folder: ResultsFolder, latex: bool = False
) -> list[str]:
    """Write the tables that have rows, and delete all others of an earlier analysis.

    The record is the `summary_record` of the analysis, or the content of `summary.json`.

    Returns:
        The names of the files written.
    """
    tables = _csv_tables(record)
    files = {f"{name}.csv": csv_bytes(table) for name, table in tables.items()}
    if latex:
        files[_STEPS_TEX] = steps_latex(analysis).encode()
        if record["critical_batch_sizes"]:
            files[_CRITICAL_TEX] = critical_latex(analysis.title, record).encode()
    for name in {*(f"{name}.csv" for name in _CSV), _STEPS_TEX, _CRITICAL_TEX} - files.keys():
        folder.remove(name)
    for name, content in files.items():
        folder.write(name, content)
    return list(files)


def _csv_tables(record: Mapping[str, Any]) -> dict[str, pd.DataFrame]:
    """Return the tables in a summary that have rows, by name, with full precision.

    Intervals are columns `<name>_low` and `<name>_high`; an end without a bound is empty.
    """
    regimes = (record["regimes"] or {"of": {}})["of"]
    rows: dict[str, list[dict[str, Any]]] = {
        "steps": [row | {"regime": regimes.get(str(row["batch_size"]))} for row in record["table"]],
        "critical_batch_sizes": [
            {"definition": name, **size} for name, size in record["critical_batch_sizes"].items()
        ],
        "fits": [
            {"model": name} | {key: part for key, part in fit.items() if not isinstance(part, list)}
            for name, fit in (record["fits"] or {}).items()
        ],
        "targets": [
            {"target": goal["target"], **row, "b_crit": goal["b_crit"]}
            for goal in record["goals"]
            for row in goal["table"]
        ],
        **{name: record[name] for name in ("search", "budgets", "scaling_rules")},
    }
    return {name: pd.json_normalize(rows[name], sep="_") for name in _CSV if rows[name]}


def steps_latex(analysis: Analysis) -> str:
    """Return the table of steps to target as LaTeX, medians with their interval."""
    rows = readable_table(analysis).drop(columns=list(_NOT_PRINTED), errors="ignore")
    caption = f"Steps to target: {analysis.title}."
    if "median" in rows:
        median = zip(rows["median"], rows.pop("95% CI"), strict=True)
        rows["median"] = [m if ci == "-" else f"{m} ({ci})" for m, ci in median]
        caption += " Median over fresh seeds of the best point, with its 95% interval."
    headings = [_HEADINGS.get(name, (name, "")) for name in rows.columns]
    return _latex(caption, headings, rows.itertuples(index=False))


def critical_latex(title: str, record: Mapping[str, Any]) -> str:
    """Return the critical batch sizes in a `summary_record`, with their intervals, as LaTeX."""
    rows = [
        (name, Estimate.of(size).text(), record["definitions"][name])
        for name, size in record["critical_batch_sizes"].items()
    ]
    headings = [("Name", ""), ("Batch size", "examples (95% interval)"), (_DEFINITION, "")]
    return _latex(f"Critical batch sizes: {title}.", headings, rows)


def _latex(caption: str, headings: Sequence[tuple[str, str]], rows: Iterable[Sequence[str]]) -> str:
    """Return a floating table; definitions wrap."""
    columns = "".join("p{0.5\\linewidth}" if h == _DEFINITION else "r" for h, _ in headings)
    lines = [
        "% needs \\usepackage{booktabs}",
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{escape_latex(caption)}}}",
        rf"\begin{{tabular}}{{{columns}}}",
        r"\toprule",
        *(_row(words) for words in zip(*headings, strict=True) if any(words)),
        r"\midrule",
        *map(_row, rows),
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
        "",
    ]
    return "\n".join(lines)


def _row(cells: Iterable[str]) -> str:
    return " & ".join(map(escape_latex, cells)) + r" \\"
