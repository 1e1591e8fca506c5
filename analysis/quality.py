"""How good the search of each batch size was: settled or still falling, and where its best lie.

The even sample is judged, points of the box and of the parts by which it was widened; trials taken
from other batch sizes are no part of it.
"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.best_of_n import SETTLED_GAIN, Sample, SearchVerdict, sample_of
from analysis.edges import EdgeVerdict, Side, edge_verdicts, overall
from analysis.tables import StudyTables
from analysis.targets import search_trials

EVEN = ("search", "extension")
"""Roles of the even sample."""
ADAPTIVE = ("tpe", "gp")
"""Samplers whose later trials are not like their earlier ones."""
NATURAL = {"momentum": {"low": 0.0}}
"""Where a hyperparameter itself ends: a bound there hides nothing."""

_COLUMNS = {
    "batch_size": "int64",
    "trials": "int64",
    "reached": "int64",
    "diverged": "int64",
    "diverged_share": "Float64",
    "steps_before": "Int64",
    "steps": "Int64",
    "bracket": "Float64",
    "half": "int64",
    "half_reach": "Float64",
    "gain": "Float64",
    "warm_gain": "Float64",
    "search": "str",
    "box": "str",
    "edges": "str",
    "walls": "str",
}


def quality_table(
    study: StudyTables, target: float | None = None, first: int | None = None
) -> pd.DataFrame:
    """Gives what is known of the search at each batch size.

    Args:
        study: the study.
        target: as for `analysis.targets.search_trials`.
        first: as for `analysis.targets.first_trials`.

    Returns:
        One row per batch size, in rising order: batch_size; trials, reached, diverged and
        diverged_share of the even sample; the bracket (steps_before, steps] of the fewest steps
        and its width as a share of them (bracket); half, the trials before the last doubling,
        half_reach, the probability that so many hold one that reached, and gain, the share by
        which they would have taken more steps; warm_gain, the share by which the even sample took
        more steps than a trial from another batch size; search (`SearchVerdict`); box
        (`EdgeVerdict`), and the sides found to be edges and walls ("lr high, momentum low").
        Null where unknown.

    Raises:
        AnalysisError: as `analysis.targets.search_trials`.
    """  # noqa: DOC502  (raised by search_trials)
    trials = search_trials(study, target, first)
    adaptive = study.config["search"].get("sampler") in ADAPTIVE
    rows = []
    for size, group in trials.groupby("batch_size", sort=True):
        even = group[group["role"].isin(EVEN)]
        box = study.space if first else study.box(int(str(size)))
        natural = [
            (name, end)
            for name, ends in NATURAL.items()
            for end, value in ends.items()
            if name in box and box[name][end] == value
        ]
        sides = edge_verdicts(
            {name: _numbers(even[name]) for name in ("lr", "momentum", *box) if name in even},
            box,
            _numbers(even["steps"]),
            even["status"].eq("diverged"),
            _numbers(even["best_error"]),
            natural,
        )
        rows.append({"batch_size": size, **_search_row(even, group, adaptive), **_box_row(sides)})
    return pd.DataFrame(rows, columns=list(_COLUMNS)).astype(_COLUMNS)


def _numbers(column: "pd.Series[float]") -> NDArray[np.float64]:
    return np.asarray(column.to_numpy(np.float64, na_value=np.nan))


def _search_row(even: pd.DataFrame, group: pd.DataFrame, adaptive: bool) -> dict[str, object]:
    sample = sample_of(even)
    diverged = int(even["status"].eq("diverged").sum())
    fastest = group[group["steps"].notna()].sort_values("steps", kind="stable").head(1)
    steps = None if fastest.empty else int(fastest["steps"].iloc[0])
    before = None if fastest.empty else int(fastest["steps_before"].iloc[0])
    half = sample.trials // 2
    warm_gain = _warm_gain(sample, steps)
    verdict = SearchVerdict.UNKNOWN if adaptive else sample.verdict
    if warm_gain is not None and warm_gain >= SETTLED_GAIN:
        verdict = SearchVerdict.FALLING
    return {
        "trials": sample.trials,
        "reached": len(sample.steps),
        "diverged": diverged,
        "diverged_share": diverged / sample.trials if sample.trials else None,
        "steps_before": before,
        "steps": steps,
        "bracket": None if steps is None or before is None else (steps - before) / steps,
        "half": half,
        "half_reach": sample.reach(half) if half else None,
        "gain": None if adaptive else sample.gain,
        "warm_gain": warm_gain,
        "search": str(verdict),
    }


def _warm_gain(sample: Sample, steps: int | None) -> float | None:
    """Gives by how much the even sample lost to a trial from elsewhere; None where it did not."""
    if steps is None or not len(sample.steps) or sample.steps[0] <= steps:
        return None
    return float(sample.steps[0] / steps - 1)


def _box_row(sides: tuple[Side, ...]) -> dict[str, object]:
    def named(verdict: EdgeVerdict) -> str:
        found = [side for side in sides if side.verdict is verdict]
        return ", ".join(f"{side.hyperparameter} {side.end}" for side in found)

    return {
        "box": str(overall(sides)),
        "edges": named(EdgeVerdict.EDGE),
        "walls": named(EdgeVerdict.WALL),
    }


def readable_quality(table: pd.DataFrame) -> pd.DataFrame:
    """Gives the table as text to read: one row per batch size, "-" where unknown.

    Args:
        table: what `quality_table` gives.

    Returns:
        Columns B, trials, diverged, bracket (width as a share of the steps), gain (of the last
        doubling of trials), search, box and its edges and walls.
    """
    shown = pd.DataFrame({"B": table["batch_size"].astype(str), "trials": table["trials"]})
    shown["trials"] = shown["trials"].astype(str)
    for heading, name in {
        "diverged": "diverged_share",
        "bracket": "bracket",
        "gain of last doubling": "gain",
    }.items():
        shown[heading] = ["-" if pd.isna(share) else f"{share:.0%}" for share in table[name]]
    for name in ("search", "box", "edges", "walls"):
        shown[name] = [word or "-" for word in table[name]]
    return shown


def quality_sentences(table: pd.DataFrame) -> tuple[str, ...]:
    """Says how good the searches were, batch sizes that say the same in one sentence.

    Args:
        table: what `quality_table` gives.

    Returns:
        Sentences, with what to do where something is to be done.
    """
    return (*_search_words(table), *_box_words(table), *_bracket_words(table))


def _search_words(table: pd.DataFrame) -> list[str]:
    words = []
    for verdict in SearchVerdict:
        rows = table[table["search"] == verdict]
        judged = rows[rows["gain"].notna()]
        silent = rows[rows["gain"].isna()]
        warm = judged["warm_gain"].fillna(0) >= SETTLED_GAIN
        for part, write in (
            (judged[~warm], _SEARCH_WORDS[verdict]),
            (judged[warm], _warm_words),
            (silent, _silent_words),
        ):
            if len(part):
                words.append(f"{_sizes(part, table)}: {write(part)}.")
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


def _silent_words(rows: pd.DataFrame) -> str:
    if rows["reached"].any():
        return "trials of an adaptive sampler cannot tell whether the search is settled"
    return "no trial of the search reached the target: whether it is settled is unknown"


_SEARCH_WORDS = {
    SearchVerdict.SETTLED: _settled_words,
    SearchVerdict.FALLING: _falling_words,
    SearchVerdict.UNKNOWN: _few_words,
}
_DIRECTIONS = {"low": "downward", "high": "upward"}
_NAMES = {"effective_lr": "lr / (1 - momentum)"}


def _box_words(table: pd.DataFrame) -> list[str]:
    words = []
    for side, rows in _by_side(table, "edges").items():
        name, _, end = side.rpartition(" ")
        words.append(
            f"{_sizes(rows, table)}: the best trials crowd at the {end} end of {name}; "
            f"widen search.space.{name} {_DIRECTIONS[end]}."
        )
    for side, rows in _by_side(table, "walls").items():
        name, _, end = side.rpartition(" ")
        words.append(
            f"{_sizes(rows, table)}: the best trials lie where training begins to diverge, at the "
            f"{end} end of {_NAMES.get(name, name)}; a wider range would not help there."
        )
    if len(table) and table["box"].eq(str(EdgeVerdict.INTERIOR)).all():
        words.append("At every batch size the best trials lie inside the searched box.")
    return words


def _by_side(table: pd.DataFrame, column: str) -> dict[str, pd.DataFrame]:
    listed = table[column].str.split(", ")
    sides = dict.fromkeys(side for row in listed for side in row if side)
    return {side: table[[side in row for row in listed]] for side in sides}


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
