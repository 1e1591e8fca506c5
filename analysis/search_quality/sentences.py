"""The quality of the searches in sentences, each for all batch sizes with the same verdict."""

from collections.abc import Iterator
from itertools import groupby

import pandas as pd

from analysis.fitting.estimates import counted, percent, span_text
from analysis.measures.scaling_rules import EFFECTIVE
from analysis.search_quality.adaptive import late_sentences
from analysis.search_quality.best_of_n import SETTLED_GAIN, SearchVerdict
from analysis.search_quality.edges import EFFECTIVE_LR, EdgeVerdict

MOSTLY = 0.5
"""Share of diverged trials above which the box is reported as too wide."""


def quality_sentences(table: pd.DataFrame, imported: bool = False) -> tuple[str, ...]:
    """Return sentences on a table of `quality_table`, with the remedy where there is one.

    The way the points of imported runs were chosen is unknown.
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


def _search_sentences(table: pd.DataFrame, imported: bool) -> Iterator[str]:
    for verdict in SearchVerdict:
        rows = table[table["search"] == verdict]
        warm = rows["warm_gain"].fillna(0) >= SETTLED_GAIN
        none = ~warm & (rows["reached"] == 0)
        adaptive = ~warm & ~none & rows["gain"].isna() & (rows["trials"] > 1)
        for which, text in (
            (~warm & ~none & ~adaptive, _VERDICTS[verdict]),
            (warm, _BEATEN),
            (none, _NONE_REACHED),
            (adaptive, _IMPORTED if imported else _ADAPTIVE),
        ):
            if len(own := rows[which]):
                numbers = {n: span_text(own[n].min(), own[n].max()) for n in ("trials", "reached")}
                numbers["of"] = counted(numbers["trials"], "trials")
                gains = {n: _more(own[n].dropna()) for n in ("gain", "warm_gain")}
                yield f"{_sizes(own, table)}: {text.format(**numbers, **gains)}."


_VERDICTS = {
    SearchVerdict.SETTLED: "the search is settled: half the trials would have taken {gain} steps",
    SearchVerdict.FALLING: "still falling: half the {trials} trials would have taken {gain} steps; "
    "run more trials (search.trials)",
    SearchVerdict.UNKNOWN: "only {reached} of {of} reached the target, too few to judge "
    "whether the search is settled; run more trials (search.trials)",
}
_BEATEN = (
    "still falling: the search took {warm_gain} steps than a point taken from another batch size; "
    "run more trials (search.trials)"
)
_NONE_REACHED = "none of {of} reached the target: whether the search is settled is unknown"
_ADAPTIVE = "trials of an adaptive sampler cannot show whether the search is settled"
_IMPORTED = (
    "whether the search is settled is unknown, because it is not known how the points of the "
    "imported runs were chosen"
)
_DIRECTIONS = {"low": "downward", "high": "upward"}
_NAMES = {EFFECTIVE_LR: EFFECTIVE}


def _box_sentences(table: pd.DataFrame) -> Iterator[str]:
    for range_end, rows in _by_range_end(table, "edges").items():
        name, _, end = range_end.rpartition(" ")
        yield (
            f"{_sizes(rows, table)}: the best trials crowd at the {end} end of {name}; "
            f"widen search.space.{name} {_DIRECTIONS[end]}, or raise search.extend."
        )
    for range_end, rows in _by_range_end(table, "walls").items():
        name, _, end = range_end.rpartition(" ")
        yield (
            f"{_sizes(rows, table)}: the best trials lie where training begins to diverge, at the "
            f"{end} end of {_NAMES.get(name, name)}; a wider range would not help there."
        )
    if table["box"].eq(str(EdgeVerdict.INTERIOR)).all():
        where = "At every batch size the" if len(table) > 1 else "The"
        yield f"{where} best trials lie inside the searched box."


def _by_range_end(table: pd.DataFrame, column: str) -> dict[str, pd.DataFrame]:
    """Return, for each range end ("lr high") listed in a column, the rows that list it."""
    listed = table[column].str.split(", ")
    ends = dict.fromkeys(end for row in listed for end in row if end)
    return {end: table[[end in row for row in listed]] for end in ends}


def _diverged_sentences(table: pd.DataFrame) -> Iterator[str]:
    if table["diverged"].any():
        yield f"At each batch size, {_percent(table['diverged_share'])} of the trials diverged."
    if len(mostly := table[table["diverged_share"] > MOSTLY]):
        yield (
            f"{_sizes(mostly, table)}: more than half of the trials diverged and were wasted; "
            "lower the high end of search.space.lr."
        )


def _bracket_sentences(table: pd.DataFrame) -> Iterator[str]:
    # a bracket of one step cannot be narrowed
    wide = (table["bracket"] > SETTLED_GAIN) & (table["steps"] - table["steps_before"] > 1)
    if len(rows := table[wide.fillna(False)]):
        yield (
            f"{_sizes(rows, table)}: the bracket of the steps is {_percent(rows['bracket'])} wide; "
            "measure more often, with a lower race.resolution or in the program itself."
        )


def _sizes(rows: pd.DataFrame, table: pd.DataFrame) -> str:
    """Return batch sizes as text, with three or more neighbors in the table as a range."""
    shown = set(rows["batch_size"])
    neighbors = groupby(table["batch_size"].tolist(), key=shown.__contains__)
    runs = [list(sizes) for is_shown, sizes in neighbors if is_shown]
    parts = [f"{run[0]} to {run[-1]}" if len(run) > 2 else ", ".join(map(str, run)) for run in runs]
    return f"B = {', '.join(parts)}"


def _percent(column: "pd.Series[float]") -> str:
    low, high = percent(column.min()), percent(column.max())
    return span_text(low.removesuffix("%"), high.removesuffix("%")) + "%"


def _more(column: "pd.Series[float]") -> str:
    text = _percent(column) if len(column) else ""
    return "no more" if text == "0%" else f"{text} more"
