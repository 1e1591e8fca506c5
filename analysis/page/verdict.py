"""Which batch size to use, and how certain that is: the top of a page.

Like all sentences, it is made from the summary of a study as plain data.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from analysis.cost.sentences import disturbed_sentences, fastest_sentences
from analysis.cost.study_cost import StudyCost
from analysis.fitting.estimates import Estimate, Interval, counted, percent, rounded
from analysis.measures.replicates import MEDIANS
from analysis.report.fits import b_crit_sentences, unexplained_sentences
from analysis.search_quality.best_of_n import SearchVerdict

WIDE = 10.0
"""Ratio of the ends of an interval above which no batch size is named."""
_Record = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """Which batch size to use, with sentences on why and how certain that is."""

    headline: str
    reasons: tuple[str, ...]
    certainty: tuple[str, ...]


def verdict_of(record: _Record) -> Verdict:
    """Return the verdict on a study from its steps alone, given the content of `summary.json`."""
    if record["fits"] is None:
        return Verdict(
            headline="No batch size can be recommended yet",
            reasons=tuple(text for text in record["sentences"] if text.startswith("No fit: ")),
            certainty=(*_unfinished(record), _searches(record)),
        )
    critical = record["critical_batch_sizes"]
    b_crit = Estimate.of(critical["b_crit"])
    sizes = [row["batch_size"] for row in record["table"] if row["steps"] is not None]
    headline, reason = _choice(b_crit, sizes[0], sizes[-1])
    return Verdict(
        headline=headline,
        reasons=(reason, *_edges(critical, record["unit"]), _nearest(record, b_crit)),
        certainty=(
            *_unfinished(record),
            *b_crit_sentences(record, critical["b_crit"]),
            *unexplained_sentences(record),
            _searches(record),
        ),
    )


def with_cost(verdict: Verdict, cost: StudyCost) -> Verdict:
    """Return a verdict that begins with the fastest batch size on one device.

    If other programs ran while steps were timed, it only says so.
    """
    best = cost.fastest
    if best is None:
        return verdict
    if cost.costs.disturbed:
        return replace(verdict, reasons=(*verdict.reasons, *disturbed_sentences(cost)))
    headline = f"On one device, use a batch size of {best.batch_size}"
    if cost.as_fast:
        sizes = sorted(row.batch_size for row in (best, *cost.as_fast))
        headline += f" ({sizes[0]} to {sizes[-1]} may be as fast)"
    return replace(verdict, headline=headline, reasons=(*fastest_sentences(cost), *verdict.reasons))


def _choice(b_crit: Estimate, first: int, last: int) -> tuple[str, str]:
    """Return headline and reason, given the smallest and the largest measured batch size."""
    if not b_crit.identified:
        headline, reason = _BOUNDED[b_crit.interval]
        words = {"low": rounded(b_crit.low), "first": first, "last": last}
        words["high"] = rounded(b_crit.high) if math.isfinite(b_crit.high) else ""
        return headline.format(**words), reason.format(**words)
    value = rounded(b_crit.value)
    reason = (
        f"The critical batch size is {value} (95% interval {b_crit.ends}): well below it training "
        "takes more steps, well above it more examples."
    )
    if not first <= b_crit.value <= last:
        reason += f" It lies outside the batch sizes measured, {first} to {last}."
    if b_crit.high > WIDE * b_crit.low:
        return (
            f"The batch size to use is between {rounded(b_crit.low)} and {rounded(b_crit.high)}",
            f"{reason} The interval is too wide to name one batch size; more trials or seeds "
            "narrow it.",
        )
    return f"Use a batch size of about {b_crit.text()}", reason


_BOUNDED = {
    Interval.NO_UPPER: (
        "Use a batch size of at least {low}",
        "The critical batch size is above {low}; the data set no upper bound, because steps still "
        "fall at B = {last}. Measure larger batch sizes to find where that ends.",
    ),
    Interval.NO_LOWER: (
        "Use a batch size below {high}",
        "The critical batch size is below {high}; the data set no lower bound, because steps "
        "hardly fall from B = {first} on. Measure smaller batch sizes to find where that begins.",
    ),
    Interval.OPEN: (
        "The data do not determine which batch size to use",
        "They do not bound the critical batch size between B = {first} and {last}: measure batch "
        "sizes further apart, run more trials, or add fresh seeds.",
    ),
}
"""Headline and reason if the data do not bound b_crit on both sides."""


def _edges(critical: _Record, unit: str) -> Iterator[str]:
    """Yield up to where doubling the batch size pays in full, and from where it does not pay."""
    perfect, plateau = (Estimate.of(critical[name]) for name in ("b_perfect", "b_plateau"))
    if perfect.identified:
        yield (
            f"Up to B = {perfect.text()}, twice the batch size takes half the {unit}: stay there "
            "if examples are the main cost."
        )
    if plateau.identified:
        yield (
            f"From B = {plateau.text()} on, a larger batch saves hardly any {unit}: go there only "
            "if time is all that counts."
        )


def _nearest(record: _Record, b_crit: Estimate) -> str:
    """Return the steps at the measured batch size nearest to the critical one or to its bound."""
    rows = [row for row in record["table"] if row["steps"] is not None]
    first, last = rows[0]["batch_size"], rows[-1]["batch_size"]
    wanted, which = {
        Interval.CLOSED: (b_crit.value, "nearest"),
        Interval.NO_LOWER: (first, "smallest"),
    }.get(b_crit.interval, (last, "largest"))
    row = min(rows, key=lambda row: abs(math.log(row["batch_size"] / wanted)))
    return (
        f"Of the batch sizes measured, B = {row['batch_size']} is the {which}: "
        f"{record['quantity']} < {record['target']:g} after {_steps(row, record)}."
    )


def _steps(row: _Record, record: _Record) -> str:
    unit = record["unit"]
    if record["fitted"] != MEDIANS or row["steps_median"] is None:
        taken, trials = counted(row["steps"], unit), counted(row["trials"], "trials")
        return f"{taken}, the fewest over {trials}"
    interval = ""
    if row["low"] is not None and row["high"] is not None:
        interval = f" ({rounded(row['low'])}\N{EN DASH}{rounded(row['high'])})"
    taken, seeds = counted(rounded(row["steps_median"]), unit), counted(row["seeds"], "seeds")
    return f"{taken}{interval}, the median over {seeds}"


def _unfinished(record: _Record) -> tuple[str, ...]:
    return tuple(text for text in record["sentences"] if text.startswith("Unfinished: "))


def _searches(record: _Record) -> str:
    """Return how many searches are settled, and how much the steps of the others may fall."""
    rows = record["search"]
    falling = [row for row in rows if row["search"] == SearchVerdict.FALLING]
    settled = sum(row["search"] == SearchVerdict.SETTLED for row in rows)
    text = f"{settled} of {len(rows)} searches are settled"
    gains = [row["gain"] for row in falling if row["gain"] is not None]
    if gains:
        text += (
            f"; {len(falling)} still {'falls' if len(falling) == 1 else 'fall'}: half the trials "
            f"there would have taken up to {percent(max(gains))} more {record['unit']}, so more "
            "trials may lower them yet"
        )
    return f"{text}."
