"""Sentences on re-runs with fresh seeds."""

import pandas as pd

from analysis.fitting.estimates import Interval, span_text
from analysis.measures.medians import MIN_FREE, MIN_VALUES
from analysis.measures.replicates import all_have_replicates

_MISSED = "Fresh seeds that missed the target, ranked as slower than all that reached it"
_ASSUMED = (
    f"Intervals of medians over fewer than {MIN_FREE} seeds assume log-normal steps, because so "
    "few seeds allow no 95% interval without assumptions."
)


def replicate_sentences(
    table: pd.DataFrame, planned: bool, imported: bool = False, failed: bool = False
) -> tuple[str, ...]:
    """Return sentences on a table of `with_replicates`, with a remedy for missing replicates.

    They give the bias of the minimum, and the batch sizes whose seeds missed the target. `planned`
    is whether the study file asks for seeds, `failed` whether some failed and none will follow.
    """
    reached = table[table["steps"].notna()]
    known = reached[reached["seeds"].notna()]
    if reached.empty:
        return ()
    remedy = "run `sweep` again to add them" if planned else "set replicates.seeds"
    if failed:
        remedy = "those that were run failed, see `message` in trials.parquet"
    if imported:
        remedy = "run the best points again with other seeds"
    if known.empty:
        return (
            "No replicates: the fewest steps over trials are biased low, by an unknown factor; "
            f"{remedy}.",
        )
    sentences = [*_bias_sentences(known), *seed_sentences(table)]
    if not all_have_replicates(table):
        without = ", ".join(map(str, reached.loc[reached["seeds"].isna(), "batch_size"]))
        sentences.append(
            f"B = {without}: no replicates, so the fits use the fewest steps of all searches; "
            f"{remedy}."
        )
    return tuple(sentences)


def _bias_sentences(known: pd.DataFrame) -> tuple[str, ...]:
    ratio = (known["steps_median"] / known["steps"]).astype("Float64")
    if ratio.isna().all():
        return ()
    seeds = span_text(known["seeds"].min(), known["seeds"].max())
    worst = known["batch_size"][ratio == ratio.max()].iloc[0]
    missed = known.loc[ratio.isna(), "batch_size"]
    listed = ", ".join(map(str, missed))
    more = f"; half or more of them missed the target at B = {listed}" if len(missed) else ""
    return (
        f"Fresh seeds ({seeds} at each batch size that has them) take {ratio.median():.2f} times "
        f"the fewest steps of the search (median), at most {ratio.max():.2f} times, at "
        f"B = {worst}{more}.",
    )


def seed_sentences(table: pd.DataFrame) -> tuple[str, ...]:
    """Return sentences on the seeds that missed the target, and on open intervals."""
    known = table[table["seeds"].notna() & table["steps"].notna()]
    missed = known[known["seeds_missed"] > 0]
    listed = ", ".join(
        f"{row['seeds_missed']} of {row['seeds']} at B = {row['batch_size']}"
        for row in missed.to_dict("records")
    )
    unbounded = known[known["interval"] != Interval.CLOSED]
    few = known[known["seeds"].between(MIN_VALUES, MIN_FREE - 1)]
    return (
        *([_ASSUMED] if len(few) else []),
        *([f"{_MISSED}: {listed}."] if listed else []),
        *(
            f"Interval of the median over fresh seeds at B = "
            f"{', '.join(map(str, rows['batch_size']))}: {interval}."
            for interval, rows in unbounded.groupby("interval", sort=False)
        ),
    )
