"""The quality of the searches in sentences; batch sizes with the same verdict share one."""

import pandas as pd

from analysis.fitting.estimates import percent, span_text
from analysis.measures.scaling_rules import EFFECTIVE
from analysis.search_quality.adaptive import late_sentences
from analysis.search_quality.best_of_n import SETTLED_GAIN, SearchVerdict
from analysis.search_quality.edges import EFFECTIVE_LR, EdgeVerdict

MOSTLY = 0.5
"""Share of diverged trials above which the box is said to be too wide."""


def quality_sentences(table: pd.DataFrame, imported: bool = False) -> tuple[str, ...]:
    """Return sentences on a table of `quality_table`, with the remedy where there is one.

    Args:
        table: from `quality_table`.
        imported: whether the trials are imported runs, whose order says nothing.
    """
    if table.empty:
        return ()
    return (
        *_search_sentences(table, imported),
        *late_sentences(table),
        *_box_sentences(table),
        *_diverged_sentences(table),
        *_bracket_sentences(table),
    )


def _search_sentences(table: pd.DataFrame, imported: bool) -> list[str]:
    sentences = []
    for verdict in SearchVerdict:
        rows = table[table["search"] == verdict]
        warm = rows["warm_gain"].fillna(0) >= SETTLED_GAIN
        none = ~warm & (rows["reached"] == 0)
        adaptive = ~warm & ~none & rows["gain"].isna() & (rows["trials"] > 1)
        for which, write in (
            (~warm & ~none & ~adaptive, _VERDICTS[verdict]),
            (warm, _beaten),
            (none, _none_reached),
            (adaptive, _imported if imported else _adaptive),
        ):
            if which.any():
                sentences.append(f"{_sizes(rows[which], table)}: {write(rows[which])}.")
    return sentences


def _settled(rows: pd.DataFrame) -> str:
    return f"the search is settled: half the trials would have taken {_more(rows['gain'])} steps"


def _falling(rows: pd.DataFrame) -> str:
    return (
        f"still falling: half the {_span(rows['trials'])} trials would have taken "
        f"{_more(rows['gain'])} steps; run more trials (search.trials)"
    )


def _too_few(rows: pd.DataFrame) -> str:
    return (
        f"only {_span(rows['reached'])} of {_span(rows['trials'])} trials reached the target, too "
        "few to judge whether the search is settled; run more trials (search.trials)"
    )


def _beaten(rows: pd.DataFrame) -> str:
    return (
        f"still falling: the search took {_more(rows['warm_gain'])} steps than a point taken from "
        "another batch size; run more trials (search.trials)"
    )


def _none_reached(rows: pd.DataFrame) -> str:
    return (
        f"none of {_span(rows['trials'])} trials reached the target: whether the search is settled "
        "is unknown"
    )


def _adaptive(_: pd.DataFrame) -> str:
    return "trials of an adaptive sampler cannot show whether the search is settled"


def _imported(_: pd.DataFrame) -> str:
    return (
        "whether the search is settled is unknown, as is how the points of the imported runs were "
        "chosen"
    )


_VERDICTS = {
    SearchVerdict.SETTLED: _settled,
    SearchVerdict.FALLING: _falling,
    SearchVerdict.UNKNOWN: _too_few,
}
_DIRECTIONS = {"low": "downward", "high": "upward"}
_NAMES = {EFFECTIVE_LR: EFFECTIVE}


def _box_sentences(table: pd.DataFrame) -> list[str]:
    sentences = []
    for range_end, rows in _by_range_end(table, "edges").items():
        name, _, end = range_end.rpartition(" ")
        sentences.append(
            f"{_sizes(rows, table)}: the best trials crowd at the {end} end of {name}; "
            f"widen search.space.{name} {_DIRECTIONS[end]}, or raise search.extend."
        )
    for range_end, rows in _by_range_end(table, "walls").items():
        name, _, end = range_end.rpartition(" ")
        sentences.append(
            f"{_sizes(rows, table)}: the best trials lie where training begins to diverge, at the "
            f"{end} end of {_NAMES.get(name, name)}; a wider range would not help there."
        )
    if len(table) and table["box"].eq(str(EdgeVerdict.INTERIOR)).all():
        where = "At every batch size the" if len(table) > 1 else "The"
        sentences.append(f"{where} best trials lie inside the searched box.")
    return sentences


def _by_range_end(table: pd.DataFrame, column: str) -> dict[str, pd.DataFrame]:
    """Return the rows that list each range end ("lr high") in a column."""
    listed = table[column].str.split(", ")
    ends = dict.fromkeys(end for row in listed for end in row if end)
    return {end: table[[end in row for row in listed]] for end in ends}


def _diverged_sentences(table: pd.DataFrame) -> list[str]:
    if not table["diverged"].any():
        return []
    sentences = [f"{_percent(table['diverged_share'])} of the trials at a batch size diverged."]
    mostly = table[table["diverged_share"] > MOSTLY]
    if len(mostly):
        sentences.append(
            f"{_sizes(mostly, table)}: more than half of the trials diverged and were wasted; "
            "lower the high end of search.space.lr."
        )
    return sentences


def _bracket_sentences(table: pd.DataFrame) -> list[str]:
    # a bracket of one step cannot be narrowed
    wide = (table["bracket"] > SETTLED_GAIN) & (table["steps"] - table["steps_before"] > 1)
    rows = table[wide.fillna(False)]
    if rows.empty:
        return []
    return [
        f"{_sizes(rows, table)}: the bracket of the steps is {_percent(rows['bracket'])} wide; "
        "measure more often, by a lower race.resolution or in the program itself."
    ]


def _sizes(rows: pd.DataFrame, table: pd.DataFrame) -> str:
    """Return batch sizes as text, three or more neighbors of the table as a range."""
    measured, shown = table["batch_size"].tolist(), set(rows["batch_size"])
    runs: list[list[int]] = []
    for place, size in enumerate(measured):
        if size not in shown:
            continue
        if runs and place and measured[place - 1] == runs[-1][-1]:
            runs[-1].append(size)
        else:
            runs.append([size])
    parts = [f"{run[0]} to {run[-1]}" if len(run) > 2 else ", ".join(map(str, run)) for run in runs]
    return f"B = {', '.join(parts)}"


def _span(column: "pd.Series[int]") -> str:
    return span_text(column.min(), column.max())


def _percent(column: "pd.Series[float]") -> str:
    low, high = percent(column.min()), percent(column.max())
    return span_text(low.removesuffix("%"), high.removesuffix("%")) + "%"


def _more(column: "pd.Series[float]") -> str:
    text = _percent(column)
    return "no more" if text == "0%" else f"{text} more"
