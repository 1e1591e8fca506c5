"""The summary of an analysis as JSON, as a Markdown page and on a terminal."""

import json
from collections.abc import Callable, Iterable

import pandas as pd
from rich.console import Console
from rich.table import Table

from analysis.escaping import escape_markdown
from analysis.fitting.critical import DEFINITIONS
from analysis.fitting.estimates import rounded
from analysis.fitting.regimes import Regime, Regimes
from analysis.measures.budgets import budget_records, budget_sentence
from analysis.measures.goals import goal_records, goals_markdown
from analysis.report.fits import critical_record, fits_record
from analysis.report.summary import Analysis, sentences
from analysis.search_quality.table import readable_quality
from analysis.tables.files import write_file
from analysis.tables.folder import ResultsFolder
from analysis.tables.schema import SCHEMA_VERSION, SUMMARY_FILE, hyperparameters

SUMMARY_MD = "summary.md"

_SHORT = {str(Regime.PERFECT): "perfect", str(Regime.DIMINISHING): "diminishing"}
"""A terminal of 80 columns has no room for more; the sentences below use the full names."""

_DISPENSABLE = ("diverged", "reached", "after", "examples", "lr/(1-m)", "95% CI")
"""Columns that a narrow terminal leaves out, the first one first."""


def write_summary(analysis: Analysis, folder: ResultsFolder) -> list[str]:
    """Write `summary.json` and `summary.md`.

    Returns:
        The names of the files written.
    """
    text = json.dumps(summary_record(analysis), indent=2, allow_nan=False)
    write_file(folder, SUMMARY_FILE, f"{text}\n".encode())
    folder.write(SUMMARY_MD, summary_markdown(analysis).encode())
    return [SUMMARY_FILE, SUMMARY_MD]


def summary_record(analysis: Analysis) -> dict[str, object]:
    """Return the analysis as JSON data; null where unknown or without bound."""
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


def summary_markdown(analysis: Analysis) -> str:
    """Return the summary as a Markdown page."""
    found = "\n".join(f"- {escape_markdown(sentence)}" for sentence in sentences(analysis))
    definitions = "\n".join(f"- `{name}`: {text}." for name, text in DEFINITIONS.items())
    return (
        f"# {escape_markdown(analysis.study.name)}\n\n"
        f"{escape_markdown(analysis.title)}\n\n{found}\n\n"
        f"{markdown_table(readable_table(analysis))}\n\n"
        f"Searches:\n\n{markdown_table(readable_quality(analysis.search))}\n\n"
        f"{goals_markdown(analysis.goals)}Fixed budgets: {budget_sentence(analysis.study)}\n\n"
        f"Definitions of the critical batch sizes:\n\n{definitions}\n"
    )


def markdown_table(rows: pd.DataFrame, names_first: bool = False) -> str:
    """Return a table of text as Markdown, all columns aligned right but a first one of names."""

    def line(cells: Iterable[str]) -> str:
        return f"| {' | '.join(map(escape_markdown, cells))} |"

    first = " :-- |" if names_first else " --: |"
    rule = f"|{first}{' --: |' * (len(rows.columns) - 1)}"
    return "\n".join([line(rows.columns), rule, *map(line, rows.itertuples(index=False))])


def readable_table(analysis: Analysis) -> pd.DataFrame:
    """Return the table as text: one row per batch size, "-" where unknown."""
    table = analysis.table
    shown = pd.DataFrame({"B": table["batch_size"].astype(str)})
    headings = {"after": "steps_before", "steps": "steps", "examples": "examples"}
    for heading, name in headings.items():
        shown[heading] = _texts(table[name], str)
    if table["seeds"].notna().any():
        shown["median"] = _texts(table["steps_median"], rounded)
        shown["95% CI"] = [
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
    """Return the hyperparameters that differ between trials; study.toml has the fixed ones."""
    trials = analysis.study.trials
    return [name for name in hyperparameters(trials) if trials[name].nunique() > 1]


def _texts(column: "pd.Series[float]", write: Callable[[float], str]) -> list[str]:
    return ["-" if pd.isna(value) else write(value) for value in column]


def print_analysis(analysis: Analysis, console: Console) -> None:
    """Print the table of steps to target and what was found.

    A narrow console leaves out columns that summary.md has.
    """
    rows = _fit_width(readable_table(analysis).replace(_SHORT), console.width)
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style="underline")
    for name in rows.columns:
        table.add_column(name, justify="left" if name == "regime" else "right", no_wrap=True)
    for row in rows.itertuples(index=False):
        table.add_row(*row)
    console.print(analysis.title, markup=False, soft_wrap=True)
    console.print(table)
    for sentence in sentences(analysis):
        console.print(sentence, markup=False, soft_wrap=True)


def _fit_width(rows: pd.DataFrame, width: int) -> pd.DataFrame:
    """Drop columns, the least needed first, until the table fits a width in characters."""
    for name in _DISPENSABLE:
        widths = [max(len(column), rows[column].str.len().max()) + 1 for column in rows.columns]
        if sum(widths) <= width:
            break
        rows = rows.drop(columns=name, errors="ignore")
    return rows
