"""What is known of the searches in sentences, batch sizes that say the same in one."""

import pandas as pd

from analysis.search_quality.best_of_n import SETTLED_GAIN, SearchVerdict
from analysis.search_quality.edges import EFFECTIVE_LR, EdgeVerdict

HALF = 0.5


def quality_sentences(table: pd.DataFrame) -> tuple[str, ...]:
    """Says how good the searches were, batch sizes that say the same in one sentence.

    Args:
        table: what `quality_table` gives.

    Returns:
        Sentences, with what to do where something is to be done.
    """
    return (
        *_search_words(table),
        *_box_words(table),
        *_diverged_words(table),
        *_bracket_words(table),
    )


def _search_words(table: pd.DataFrame) -> list[str]:
    words = []
    for verdict in SearchVerdict:
        rows = table[table["search"] == verdict]
        warm = rows["warm_gain"].fillna(0) >= SETTLED_GAIN
        none = ~warm & (rows["reached"] == 0)
        adaptive = ~warm & ~none & rows["gain"].isna() & (rows["trials"] > 1)
        for which, write in (
            (~warm & ~none & ~adaptive, _SEARCH_WORDS[verdict]),
            (warm, _warm_words),
            (none, _none_words),
            (adaptive, _adaptive_words),
        ):
            if which.any():
                words.append(f"{_sizes(rows[which], table)}: {write(rows[which])}.")
    return words


def _settled_words(rows: pd.DataFrame) -> str:
    return f"the search is settled: half the trials would have taken {_more(rows['gain'])} steps"


def _falling_words(rows: pd.DataFrame) -> str:
    return (
        f"still falling: half the {_span(rows['trials'])} trials would have taken "
        f"{_more(rows['gain'])} steps; run more trials (search.trials)"
    )


def _few_words(rows: pd.DataFrame) -> str:
    return (
        f"only {_span(rows['reached'])} of {_span(rows['trials'])} trials reached the target, too "
        "few to tell whether the search is settled; run more trials (search.trials)"
    )


def _warm_words(rows: pd.DataFrame) -> str:
    return (
        f"still falling: the search took {_more(rows['warm_gain'])} steps than a point taken from "
        "another batch size; run more trials (search.trials)"
    )


def _none_words(rows: pd.DataFrame) -> str:
    return (
        f"none of {_span(rows['trials'])} trials reached the target: whether the search is settled "
        "is unknown"
    )


def _adaptive_words(_: pd.DataFrame) -> str:
    return "trials of an adaptive sampler cannot tell whether the search is settled"


_SEARCH_WORDS = {
    SearchVerdict.SETTLED: _settled_words,
    SearchVerdict.FALLING: _falling_words,
    SearchVerdict.UNKNOWN: _few_words,
}
_DIRECTIONS = {"low": "downward", "high": "upward"}
_NAMES = {EFFECTIVE_LR: "lr / (1 - momentum)"}


def _box_words(table: pd.DataFrame) -> list[str]:
    words = []
    for side, rows in _by_side(table, "edges").items():
        name, _, end = side.rpartition(" ")
        words.append(
            f"{_sizes(rows, table)}: the best trials crowd at the {end} end of {name}; "
            f"widen search.space.{name} {_DIRECTIONS[end]}, or raise search.extend."
        )
    for side, rows in _by_side(table, "walls").items():
        name, _, end = side.rpartition(" ")
        words.append(
            f"{_sizes(rows, table)}: the best trials lie where training begins to diverge, at the "
            f"{end} end of {_NAMES.get(name, name)}; a wider range would not help there."
        )
    if len(table) and table["box"].eq(str(EdgeVerdict.INTERIOR)).all():
        where = "At every batch size the" if len(table) > 1 else "The"
        words.append(f"{where} best trials lie inside the searched box.")
    return words


def _by_side(table: pd.DataFrame, column: str) -> dict[str, pd.DataFrame]:
    listed = table[column].str.split(", ")
    sides = dict.fromkeys(side for row in listed for side in row if side)
    return {side: table[[side in row for row in listed]] for side in sides}


def _diverged_words(table: pd.DataFrame) -> list[str]:
    if not table["diverged"].any():
        return []
    words = [f"{_percent(table['diverged_share'])} of the trials at a batch size diverged."]
    mostly = table[table["diverged_share"] > HALF]
    if len(mostly):
        words.append(
            f"{_sizes(mostly, table)}: more than half of the trials diverged and taught little; "
            "lower the high end of search.space.lr."
        )
    return words


def _bracket_words(table: pd.DataFrame) -> list[str]:
    # a bracket of one step cannot be narrowed
    wide = (table["bracket"] > SETTLED_GAIN) & (table["steps"] - table["steps_before"] > 1)
    rows = table[wide.fillna(False)]
    if rows.empty:
        return []
    return [
        f"{_sizes(rows, table)}: the bracket of the steps is {_percent(rows['bracket'])} wide; "
        "lower race.resolution."
    ]


def _sizes(rows: pd.DataFrame, table: pd.DataFrame) -> str:
    """Names batch sizes, three and more neighbours of the table as a range."""
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
    low, high = column.min(), column.max()
    return str(low) if low == high else f"{low} to {high}"


def _percent(column: "pd.Series[float]") -> str:
    low, high = (f"{round(100 * value)}" for value in (column.min(), column.max()))
    return f"{low} %" if low == high else f"{low} to {high} %"


def _more(column: "pd.Series[float]") -> str:
    text = _percent(column)
    return "no more" if text == "0 %" else f"{text} more"
