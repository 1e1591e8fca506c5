"""Under-tuning as plain data, and what it says in sentences."""

from collections.abc import Mapping
from typing import Any

from analysis.fitting.estimates import rounded, span_text
from analysis.search_quality.tuning import Tuning

LARGE = 0.1
"""Share of additional steps from which a search is said to be under-tuned."""
COMMON = (
    "All batch sizes share one search, so these factors are similar at neighboring batch sizes: "
    "they widen the interval of b_crit and no other."
)
_Record = Mapping[str, Any]


def tuning_record(tuning: Tuning | None) -> dict[str, Any] | None:
    """Return under-tuning as JSON data; null without fits."""
    if tuning is None:
        return None
    return {
        "missing": tuning.missing,
        "common": any(gap.common for gap in tuning.gaps.values()),
        "excess": [
            {"batch_size": int(size), "median": gap.excess(0.5), "high": gap.excess(0.95)}
            for size, gap in tuning.gaps.items()
        ],
    }


def tuning_sentences(record: _Record) -> tuple[str, ...]:
    """Return what the searches leave to gain by a `tuning_record`, or why that is not known."""
    if record["missing"]:
        return (f"No interval covers under-tuning: {record['missing']}.",)
    if record.get("common"):
        return _excess(record["excess"]), COMMON
    return (_excess(record["excess"]),)


def _excess(rows: list[_Record]) -> str:
    medians = [row["median"] for row in rows]
    worst = max(rows, key=lambda row: float(row["high"]))
    span = span_text(_times(min(medians)), _times(max(medians)))
    text = (
        f"The best points found take an estimated {span} times the steps of the optimum, with 95% "
        f"probability at most {_times(worst['high'])} times (B = {worst['batch_size']})"
    )
    large = [str(row["batch_size"]) for row in rows if row["median"] >= LARGE]
    if not large:
        return f"{text}."
    return (
        f"{text}; at B = {', '.join(large)} the searches are under-tuned: run more trials "
        "(search.trials)."
    )


def _times(excess: float) -> str:
    return f"{1 + excess:.3g}" if excess < 1 else rounded(1 + excess)
