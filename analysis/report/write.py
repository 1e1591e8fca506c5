"""The summary of an analysis: for programs, as a page, and on a terminal."""

import json
from collections.abc import Callable

import pandas as pd
from rich.console import Console
from rich.table import Table

from analysis.escaping import markdown
from analysis.fitting.critical import DEFINITIONS
from analysis.fitting.estimates import rounded
from analysis.fitting.regimes import Regime, Regimes
from analysis.measures.budgets import budget_records, budget_sentence
from analysis.measures.goals import goal_records, goals_markdown
from analysis.report.findings import critical_record, fits_record
from analysis.report.summary import Analysis, sentences
from analysis.search_quality.table import readable_quality
from analysis.tables.folder import ResultsFolder
from analysis.tables.schema import SCHEMA_VERSION, hyperparameters

SUMMARY_JSON = "summary.json"
SUMMARY_MD = "summary.md"

_SHORT = {str(Regime.PERFECT): "perfect", str(Regime.DIMINISHING): "diminishing"}
"""A terminal of 80 columns has no room for more; the sentences below it say the names in full."""

_DISPENSABLE = ("diverged", "reached", "after", "examples", "lr/(1-m)", "95 %")


def write_summary(analysis: Analysis, folder: ResultsFolder) -> list[str]:
    """Writes `summary.json` and `summary.md`.

    Args:
        analysis: the analysis.
        folder: the results folder; made where missing.

    Returns:
        The names of the files written.
    """
    text = json.dumps(as_record(analysis), indent=2, allow_nan=False)
    folder.write(SUMMARY_JSON, f"{text}\n".encode())
    folder.write(SUMMARY_MD, as_markdown(analysis).encode())
    return [SUMMARY_JSON, SUMMARY_MD]


def as_record(analysis: Analysis) -> dict[str, object]:
    """Gives the analysis as plain finite data; null where unknown or without bound."""
    config, fits, regimes = analysis.study.config, analysis.fits, analysis.regimes
    return {
        "schema_version": SCHEMA_VERSION,
        "study": analysis.study.name,
        "workload": config["workload"],
        "optimizer": config["optimizer"],
        "quantity": analysis.quantity,
        "target": analysis.target,
        "table": _rows(analysis.table),
        "first": analysis.first,
        "search": _rows(analysis.search),
        **fits_record(fits),
        "left_out": list(analysis.left_out),
        "critical_batch_sizes": critical_record(analysis.critical),
        "scaling_rules": _rows(analysis.rules),
        "regimes": None if regimes is None else _regimes_record(regimes),
        "goals": goal_records(analysis.goals),
        "budgets": budget_records(analysis.study),
        "definitions": dict(DEFINITIONS),
        "sentences": list(sentences(analysis)),
    }


def _rows(table: pd.DataFrame) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = json.loads(table.to_json(orient="records", double_precision=15))
    return rows


def _regimes_record(regimes: Regimes) -> dict[str, object]:
    return {
        "b_perfect": regimes.b_perfect,
        "b_plateau": regimes.b_plateau,
        "of": {f"{size:g}": str(regimes.of(size)) for size in regimes.batch_sizes},
    }


def as_markdown(analysis: Analysis) -> str:
    """Gives the summary as a Markdown page."""
    found = "\n".join(f"- {markdown(sentence)}" for sentence in sentences(analysis))
    meaning = "\n".join(f"- `{name}`: {words}." for name, words in DEFINITIONS.items())
    name = analysis.study.name
    goals = goals_markdown(analysis.goals)
    return (
        f"# {markdown(name)}\n\n{markdown(analysis.title)}\n\n{found}\n\n"
        f"{_markdown_table(readable_table(analysis))}\n\n"
        f"The searches:\n\n{_markdown_table(readable_quality(analysis.search))}\n\n"
        f"{goals}Fixed budgets: {budget_sentence(analysis.study)}\n\n"
        f"What the batch sizes mean:\n\n{meaning}\n"
    )


def _markdown_table(rows: pd.DataFrame) -> str:
    header = f"| {' | '.join(map(markdown, rows.columns))} |\n|{' --: |' * len(rows.columns)}"
    body = "\n".join(f"| {' | '.join(map(markdown, r))} |" for r in rows.itertuples(index=False))
    return f"{header}\n{body}"


def readable_table(analysis: Analysis) -> pd.DataFrame:
    """Gives the table as text to read: one row per batch size, "-" where unknown."""
    table = analysis.table
    shown = pd.DataFrame({"B": table["batch_size"].astype(str)})
    for heading, name in {
        "after": "steps_before",
        "steps": "steps",
        "examples": "examples",
    }.items():
        shown[heading] = _texts(table[name], str)
    if table["seeds"].notna().any():
        shown["median"] = _texts(table["steps_median"], rounded)
        shown["95 %"] = [
            "-" if pd.isna(low) else f"{rounded(low)}\N{EN DASH}{rounded(high)}"
            for low, high in zip(table["low"], table["high"], strict=True)
        ]
    for name in _varied(analysis):
        shown[name.replace("_", " ")] = _texts(table[name], "{:.3g}".format)
    if "momentum" in table:
        shown["lr/(1-m)"] = _texts(table["effective_lr"], "{:.3g}".format)
    if analysis.regimes is not None:
        of = analysis.regimes.of
        shown["regime"] = [
            "-" if pd.isna(count) else str(of(size))
            for size, count in zip(table["batch_size"], table["steps"], strict=True)
        ]
    for name in ("reached", "diverged", "failed"):
        if name != "failed" or table[name].any():
            shown[name] = table[name].astype(str)
    return shown


def _varied(analysis: Analysis) -> list[str]:
    """Names the hyperparameters that differ between trials; study.toml has the fixed ones."""
    trials = analysis.study.trials
    return [name for name in hyperparameters(trials) if trials[name].nunique() > 1]


def _texts(column: "pd.Series[float]", write: Callable[[float], str]) -> list[str]:
    return ["-" if pd.isna(value) else write(value) for value in column]


def print_analysis(analysis: Analysis, console: Console) -> None:
    """Prints the table of steps to target and what was found.

    Args:
        analysis: the analysis.
        console: where to print; where it is narrow, columns are left out that summary.md has.
    """
    rows = _fitting(readable_table(analysis).replace(_SHORT), console.width)
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style="underline")
    for name in rows.columns:
        table.add_column(name, justify="left" if name == "regime" else "right", no_wrap=True)
    for row in rows.itertuples(index=False):
        table.add_row(*row)
    console.print(analysis.title, markup=False, soft_wrap=True)
    console.print(table)
    for sentence in sentences(analysis):
        console.print(sentence, markup=False, soft_wrap=True)


def _fitting(rows: pd.DataFrame, width: int) -> pd.DataFrame:
    """Leaves out columns, the least needed first, until a table fits a width."""
    for name in _DISPENSABLE:
        widths = [max(len(column), rows[column].str.len().max()) + 1 for column in rows.columns]
        if sum(widths) <= width:
            break
        rows = rows.drop(columns=name, errors="ignore")
    return rows
