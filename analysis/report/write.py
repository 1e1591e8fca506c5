"""The summary of an analysis as JSON, as Markdown and on a terminal."""

from collections.abc import Callable, Iterable, Iterator, Mapping

import pandas as pd
from rich.console import Console
from rich.table import Table

from analysis.escaping import escape_markdown
from analysis.fitting.critical import DEFINITIONS
from analysis.fitting.estimates import rounded, size_text, value_text
from analysis.fitting.regimes import Regime
from analysis.measures.budgets import budget_sentence
from analysis.report.goals import GOALS_NOTE, goals_table
from analysis.report.record import findings_of, summary_record
from analysis.report.sentences import BUDGETS, SEARCHES, STEPS_TABLE
from analysis.report.summary import Analysis
from analysis.search_quality.table import readable_quality
from analysis.tables.files import json_bytes, write_file
from analysis.tables.folder import ResultsFolder
from analysis.tables.schema import SUMMARY_FILE, TEST_ERROR, hyperparameters

SUMMARY_MD = "summary.md"

_SHORT = {str(Regime.PERFECT): "perfect", str(Regime.DIMINISHING): "diminishing"}
"""Short forms for a terminal of 80 columns; the sentences below it use the full names."""

_DISPENSABLE = (
    "pruned",
    "diverged",
    "reached",
    "after",
    "examples",
    "lr/(1-m)",
    "test error",
    "95% CI",
)
"""Columns that a narrow terminal leaves out, the least needed first."""


def write_summary(analysis: Analysis, folder: ResultsFolder) -> list[str]:
    """Write `summary.json` and `summary.md`; return their names."""
    write_file(folder, SUMMARY_FILE, json_bytes(summary_record(analysis)))
    folder.write(SUMMARY_MD, summary_markdown(analysis).encode())
    return [SUMMARY_FILE, SUMMARY_MD]


def summary_markdown(analysis: Analysis) -> str:
    """Return the summary as a Markdown page: the findings by topic, each with its table."""
    found, tables = findings_of(analysis), dict(_topic_tables(analysis))
    parts = [f"# {escape_markdown(analysis.study.name)}", escape_markdown(analysis.title)]
    for topic in dict.fromkeys([*found, *tables]):
        parts.append(f"## {topic}")
        parts += [markdown_list(found[topic])] if topic in found else []
        parts += tables.get(topic, [])
    return "\n\n".join(parts) + "\n"


def _topic_tables(analysis: Analysis) -> Iterator[tuple[str, list[str]]]:
    """Yield what follows the sentences of a topic in a Markdown page."""
    yield SEARCHES, [markdown_table(readable_quality(analysis.search))]
    yield BUDGETS, [budget_sentence(analysis.study)]
    yield STEPS_TABLE, [markdown_table(readable_table(analysis))]
    if analysis.goals:
        lead = f"The critical batch size at each target, from the {analysis.goals[0].of}:"
        yield "Several targets", [lead, markdown_table(goals_table(analysis.goals)), GOALS_NOTE]
    yield "Definitions", [defined_markdown(DEFINITIONS)]


def defined_markdown(names: Iterable[str]) -> str:
    """Return the definitions of critical batch sizes as a section of a Markdown page."""
    lines = (f"- `{name}`: {DEFINITIONS[name]}." for name in names)
    return "\n".join(["Definitions of the critical batch sizes:\n", *lines])


def markdown_findings(findings: Mapping[str, Iterable[str]]) -> str:
    """Return findings by topic as Markdown lists below their topics."""
    return "\n\n".join(f"**{topic}**\n\n{markdown_list(of)}" for topic, of in findings.items())


def markdown_list(sentences: Iterable[str]) -> str:
    """Return sentences as a Markdown list."""
    return "\n".join(f"- {escape_markdown(sentence)}" for sentence in sentences)


def markdown_table(rows: pd.DataFrame, names_first: bool = False) -> str:
    """Return a table of text as Markdown, aligned right except for a first column of names."""

    def line(cells: Iterable[str]) -> str:
        return f"| {' | '.join(map(escape_markdown, cells))} |"

    first = " :-- |" if names_first else " --: |"
    rule = f"|{first}{' --: |' * (len(rows.columns) - 1)}"
    return "\n".join([line(rows.columns), rule, *map(line, rows.itertuples(index=False))])


def readable_table(analysis: Analysis) -> pd.DataFrame:
    """Return the table as text: one row per batch size, "-" if unknown."""
    table = analysis.table
    shown = pd.DataFrame({"B": table["batch_size"].astype(str)})
    headings = {"after": "steps_before", "steps": "steps", "examples": "examples"}
    for heading, name in headings.items():
        shown[heading] = _texts(table[name], str)
    if table["seeds"].notna().any():
        bounds = _texts(table["median_bound"], lambda bound: f"> {rounded(bound)}")
        medians = _texts(table["steps_median"], rounded)
        shown["median"] = [m if b == "-" else b for m, b in zip(medians, bounds, strict=True)]
        ends = zip(*(_texts(table[end], rounded) for end in ("low", "high")), strict=True)
        shown["95% CI"] = [_interval(*texts) for texts in ends]
    trials = analysis.study.trials
    for name in hyperparameters(trials):
        # fixed ones are in study.toml
        if name in analysis.study.space or trials[name].nunique() > 1:
            shown[name.replace("_", " ")] = _texts(table[name], value_text)
    if "effective_lr" in table:
        shown["lr/(1-m)"] = _texts(table["effective_lr"], "{:.3g}".format)
    if TEST_ERROR in table:
        shown["test error"] = _texts(table[TEST_ERROR], "{:.3g}".format)
    if analysis.regimes is not None:
        of = analysis.regimes.record()["of"]
        shown["regime"] = [of.get(size_text(size), "-") for size in table["batch_size"]]
    for name in ("reached", "pruned", "diverged", "failed"):
        if name in {"reached", "diverged"} or (name in table and table[name].any()):
            shown[name] = table[name].astype(str)
    return shown


def _interval(low: str, high: str) -> str:
    """Return an interval as text from its ends; an open end is "-"."""
    if "-" not in (low, high):
        return f"{low}\N{EN DASH}{high}"
    return f"> {low}" if low != "-" else f"< {high}" if high != "-" else "-"


def _texts(column: "pd.Series[float]", write: Callable[[float], str]) -> list[str]:
    return ["-" if pd.isna(value) else write(value) for value in column]


def print_analysis(analysis: Analysis, console: Console) -> None:
    """Print the table of steps to target and the findings.

    A narrow console leaves out columns that summary.md has.
    """
    console.print(analysis.title, markup=False, soft_wrap=True)
    print_table(readable_table(analysis).replace(_SHORT), console, _DISPENSABLE)
    for topic, sentences in findings_of(analysis).items():
        console.print(f"\n{topic}", style="bold", markup=False, soft_wrap=True)
        for sentence in sentences:
            console.print(sentence, markup=False, soft_wrap=True)


def print_table(rows: pd.DataFrame, console: Console, dispensable: Iterable[str]) -> None:
    """Print a table of text; if it is too wide, leave out columns, the least needed first."""
    rows = _fit_width(rows, console.width, dispensable)
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style="underline")
    for name in rows.columns:
        table.add_column(name, justify="left" if name == "regime" else "right", no_wrap=True)
    for row in rows.itertuples(index=False):
        table.add_row(*row)
    console.print(table)


def _fit_width(rows: pd.DataFrame, width: int, dispensable: Iterable[str]) -> pd.DataFrame:
    """Drop columns, the least needed first, until the table fits a width in characters."""
    for name in dispensable:
        widths = [max(len(column), rows[column].str.len().max()) + 1 for column in rows.columns]
        if sum(widths) <= width:
            break
        rows = rows.drop(columns=name, errors="ignore")
    return rows
