"""The findings of an analysis as sentences, made from its summary as plain data.

They use nothing else, so they say nothing that is not in `summary.json`.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from analysis.fitting.estimates import Estimate, counted, rounded, span_text
from analysis.fitting.models import MODELS
from analysis.measures.budgets import best_batch_size_sentences
from analysis.measures.federated import TOKENS, round_sentences
from analysis.measures.mean_target import mean_sentences
from analysis.measures.recipes import recipe_sentences
from analysis.measures.replicates import MEDIANS
from analysis.measures.scaling_rules import scaling_rule_sentences
from analysis.measures.targets import begun_sentences
from analysis.measures.unfinished import unfinished_sentences
from analysis.report.failures import failure_sentences
from analysis.report.fits import (
    critical_sentences,
    curve_sentences,
    lower_bounds,
    regime_sentences,
    unexplained_sentences,
)
from analysis.report.seeds import replicate_sentences, seed_sentences
from analysis.search_quality.sentences import quality_sentences

SEARCHES, BUDGETS, STEPS_TABLE = "Searches", "Fixed budgets", "Steps to target"
"""Topics to whose sentences summary.md adds a table or a note."""
_LARGE = 0.1
"""Share of additional steps from which a search counts as under-tuned."""
COMMON_GAP = (
    "All batch sizes share one search, so these factors are similar at neighboring batch sizes: "
    "they widen the interval of b_crit and no other."
)
_Record = Mapping[str, Any]
_NO_CURVE = "no curve from perfect scaling to a plateau explains that, so the fits leave it out"
_RULE_FAILS = "the scaling rule fails there"
_NOT_REPEATED = "they do not repeat what the search found there"
_NOT_REACHED = "check its search, and whether a batch of that size can reach the target at all"


def summary_sentences(record: _Record) -> tuple[str, ...]:
    """Return the findings, one sentence each, from what `summary.json` holds."""
    return tuple(sentence for about in findings(record).values() for sentence in about)


def findings(record: _Record) -> dict[str, tuple[str, ...]]:
    """Return the findings by topic, one sentence each; no topic is empty."""
    recipe, table = record["recipe"], _frame(record["table"])
    ran = recipe is not None and recipe["ran"]
    topics: dict[str, Iterable[str]] = {
        "This study": (
            *unfinished_sentences(record["unfinished"]),
            *begun_sentences(record.get("begun_below", 0)),
            *_choice_sentences(record),
            *(() if record["federated"] is None else round_sentences(record)),
            # before its rule has run, a recipe is a study of its base
            *(() if ran else recipe_sentences(recipe)),
            *failure_sentences(record["failures"]),
        ),
        "Critical batch size": _critical_sentences(record),
        "Regimes": _regime_sentences(record),
        "Fitted curves": _curve_sentences(record),
        STEPS_TABLE: (_caveat(record, table),),
        "Missed targets": _miss_sentences(record, ran),
        "Fresh seeds": (
            *_replicate_sentences(record, table, ran),
            *mean_sentences(record.get("mean_target", ()), record["target"], record["quantity"]),
        ),
        SEARCHES: (
            *(() if record["tuning"] is None else _tuning_sentences(record["tuning"])),
            *quality_sentences(_frame(record["search"]), record["imported"]),
            *_pruned_sentences(table),
        ),
        BUDGETS: best_batch_size_sentences(
            record["budgets"], record["quantity"], record.get(TOKENS)
        ),
        "Scaling rules": scaling_rule_sentences(_frame(record["scaling_rules"])),
    }
    told = {topic: tuple(sentences) for topic, sentences in topics.items()}
    return {topic: sentences for topic, sentences in told.items() if sentences}


def _frame(rows: Sequence[_Record]) -> pd.DataFrame:
    """Return rows as a table; whole numbers are integers, even beside nulls."""
    return pd.DataFrame(list(rows)).convert_dtypes()


def _choice_sentences(record: _Record) -> tuple[str, ...]:
    """Return how the batch sizes were chosen, if the study file does not list them."""
    if "candidates" not in record:
        return ()
    ends = span_text(record["candidates"][0], record["candidates"][-1])
    count = len(record["table"])
    sizes = f"{'these' if count > 1 else 'this'} {counted(count, 'batch sizes')}"
    until = ""
    if "listed" in record:
        sizes, until = "batch sizes", ", until a list replaced its choice"
    return (
        f"The sweep chose {sizes} among {ends} that promised the most information about b_crit per "
        f"trial-step{until}.",
    )


def _critical_sentences(record: _Record) -> Iterator[str]:
    if record["fits"] is None:
        yield _no_fit(record)
        return
    critical, tokens = record["critical_batch_sizes"], record.get(TOKENS)
    yield from critical_sentences(record, critical)
    if record["tuning"]["missing"]:
        yield f"No interval covers under-tuning: {record['tuning']['missing']}."
    if tokens is not None:
        in_tokens = Estimate.of(critical["b_crit"]).times(tokens)
        yield f"In tokens ({tokens} per example): {in_tokens.text('b_crit', 'tokens')}."
    yield from _goal_sentences(record)


def _curve_sentences(record: _Record) -> Iterator[str]:
    if record["fits"] is None:
        return
    plain = record["tuning"]["missing"] or record["tuning"].get("common")
    tuned = "" if plain else ", corrected for the gap that each search leaves"
    yield f"The fits use the {record['fitted']}{tuned}."
    yield from curve_sentences(record, record["unit"])
    yield from unexplained_sentences(record)


def _regime_sentences(record: _Record) -> tuple[str, ...]:
    if record["fits"] is None:
        return ()
    return regime_sentences(record["regimes"], [*lower_bounds(record), *record["left_out"]])


def _tuning_sentences(record: _Record) -> Iterator[str]:
    """Yield how far the searches are from the optimum, if that is known."""
    if record["missing"]:
        return
    rows = record["excess"]
    medians = [row["median"] for row in rows]
    worst = max(rows, key=lambda row: float(row["high"]))
    span = span_text(_times(min(medians)), _times(max(medians)))
    large = [str(row["batch_size"]) for row in rows if row["median"] >= _LARGE]
    more = f"; at B = {', '.join(large)} the searches are under-tuned: run more trials "
    yield (
        f"The best points found take an estimated {span} times the steps of the optimum, with 95% "
        f"probability at most {_times(worst['high'])} times (B = {worst['batch_size']})"
        f"{more + '(search.trials)' if large else ''}."
    )
    if record.get("common"):
        yield COMMON_GAP


def _times(excess: float) -> str:
    return f"{1 + excess:.3g}" if excess < 1 else rounded(1 + excess)


def _no_fit(record: _Record) -> str:
    if "batch_schedule" in record:
        return (
            "No fit: batches change during a trial, so its examples are not steps times B, and the "
            "curves are for fixed batch sizes. B is the batch size of multiple 1; `batchscale "
            "compare` shows steps and examples beside those of a study of fixed batches."
        )
    rows = record["table"]
    reached = sum(row["steps"] is not None for row in rows)
    least = MODELS["hyperbola"].least_points
    half = "" if reached < least else ", but half or more of the fresh seeds missed it at some"
    return (
        f"No fit: {reached} of {counted(len(rows), 'batch sizes')} reached the target{half}; a fit "
        f"needs {least}. {_more(record)}, or loosen the target."
    )


def _more(record: _Record) -> str:
    """Return how more batch sizes could reach the target."""
    if record["imported"]:
        return "Import runs of more batch sizes, or longer ones"
    return "Add batch sizes or trials, raise race.max_steps"


def _goal_sentences(record: _Record) -> Iterator[str]:
    """Yield why there are two values of b_crit at the target, if there are."""
    here = [goal for goal in record["goals"] if goal["target"] == record["target"]]
    if record["fits"] is None or not here or here[0]["b_crit"] is None:
        return
    fitted = Estimate.of(record["critical_batch_sizes"]["b_crit"]).text("b_crit")
    other = Estimate.of(here[0]["b_crit"]).text("b_crit")
    if here[0]["of"] != record["fitted"] and fitted != other:
        yield (
            f"At this target, {fitted} is from the {record['fitted']}, and {other} from the "
            f"{here[0]['of']}, which the table of several targets uses throughout, because "
            "replicates exist only for the points that are best at one target."
        )


def _miss_sentences(record: _Record, ran: bool) -> Iterator[str]:
    yield from filter(None, (_miss_sentence(row, record, ran) for row in record["table"]))
    target = record["target_for_all"]
    if target is not None:
        yield (
            f"Every batch size reaches {record['quantity']} < {target:g}: `batchscale analyze "
            f"--target {target:g}` compares all of them."
        )


def _miss_sentence(row: _Record, record: _Record, ran: bool) -> str:
    """Return how a batch size missed the target; empty if what is fitted reached it."""
    size, bound, why = row["batch_size"], row["median_bound"], _NOT_REACHED
    if row["steps"] is None and not row["stopped_at"]:
        return f"B = {size}: no trial took a step."
    if row["steps"] is None:
        least = row["best_error"]
        text = f"no trial reached the target within {counted(row['stopped_at'], record['unit'])}"
        text += "" if least is None else f"; the lowest {record['quantity']} there is {least:.4g}"
    elif bound is not None and record["fitted"] == MEDIANS:
        text = "half or more of the fresh seeds missed the target, so their median is more "
        text += f"than {counted(rounded(bound), record['unit'])}"
        why = _NOT_REPEATED
    else:
        return ""
    if size in record["left_out"]:
        text += f"; {_NO_CURVE}: {_RULE_FAILS if ran else why}"
    return f"B = {size}: {text}."


def _replicate_sentences(record: _Record, table: pd.DataFrame, ran: bool) -> tuple[str, ...]:
    if ran:
        return (*recipe_sentences(record["recipe"]), *seed_sentences(table))
    own = record["raced_target"]
    if record["imported"] or own == record["target"]:
        planned = record["replicates_planned"]
        failed = planned and record["failures"] and not record["unfinished"]
        lost = bool(failed and record["first"] is None)
        return replicate_sentences(table, planned, record["imported"], lost)
    return (
        f"Replicates re-run the best points at the raced target, {own:g}, and are not used at "
        "other targets.",
    )


def _pruned_sentences(table: pd.DataFrame) -> Iterator[str]:
    if "pruned" in table:
        pruned, trials = table["pruned"].sum(), table["trials"].sum()
        yield (
            f"{pruned} of {trials} trials {'was' if pruned == 1 else 'were'} pruned (race.prune), "
            "behind the better half of their cohort: they had not reached the target by then, and "
            "it is likely but not certain that none of them would have been the fastest."
        )


def _caveat(record: _Record, table: pd.DataFrame) -> str:
    counts = span_text(table["trials"].min(), table["trials"].max())
    first = "" if record["first"] is None else "the first "
    # the searches do not count warm starts
    even = sum(row["trials"] for row in record["search"])
    warm = record["recipe"] is None and even < table["trials"].sum()
    known = table["steps_before"].notna().any()
    after = "; the measurement at step `after` was still above the target" if known else ""
    more = " (including points taken from other batch sizes)" if warm else ""
    return (
        f"Steps to target are the fewest over {first}{counted(counts, 'trials')} at each batch "
        f"size{more} and depend on that number{after}."
    )
