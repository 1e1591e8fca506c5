"""How a sweep continues past its plan: more seeds, or more trials, where they narrow b_crit most.

What to grant next is decided from recorded results alone, once all earlier grants have been run,
and written into the study first. So it depends neither on the number of workers nor on a stop.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.fitting.estimates import Estimate
from analysis.fitting.models import MODELS
from analysis.report.summary import Analysis
from study.config.study import ResolvedStudy
from study.config.until import Grant, UntilConfig
from study.records import TrialResult
from study.search.narrowing import (
    MORE,
    Narrowing,
    Option,
    half_width,
    more_trials,
    planned,
    worth_measuring,
)

ENOUGH = max(model.least_points for model in MODELS.values())
"""Batch sizes that also show the form of the curve; a sweep that chooses them measures no fewer."""
AT_ONCE = 2
"""Batch sizes that are granted more at once: the optimum seldom needs more of them."""
_MISFIT = (
    "more seeds or trials would not narrow it: points off the curve make it wide; add batch sizes "
    "or search.trials, or see the other models"
)
_TRIED = 4
"""Multiple of the planned trials or seeds after which a point that missed gets no more."""
_MIN_SHARE = 0.1
"""More seeds and trials are useless where they account for less than this share of the variance."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Spent:
    """Steps and hours of a study's recorded trials."""

    steps: int
    hours: float

    @classmethod
    def of(cls, results: Iterable[TrialResult]) -> "Spent":
        """Return the steps and hours of some trials."""
        steps, seconds = 0, 0.0
        for result in results:
            steps += result.outcome.stopped_at
            seconds += result.seconds.total
        return cls(steps=steps, hours=seconds / 3600)


@dataclass(frozen=True, slots=True)
class Grants:
    """What to grant next, nothing if the sweep is to end, and the reason, with b_crit so far."""

    granted: tuple[Grant, ...] = ()
    why: str = ""


def next_grants(resolved: ResolvedStudy, analysis: Analysis, spent: Spent) -> Grants:
    """Return what to grant next; the study includes all earlier grants."""
    assert resolved.until is not None  # asked only of studies that have it
    critical = analysis.critical.get("b_crit")
    if critical is None:
        return _toward_a_fit(resolved, analysis, spent)
    estimate, asked = critical.estimate, resolved.until.b_crit
    narrowing = Narrowing(resolved, analysis, estimate)
    side = _side(estimate, analysis.reached["batch_size"])
    known = f"until: {estimate.text('b_crit')}"
    if estimate.identified:
        known += f", both ends within a factor of {1 + half_width(estimate):.3g} of its middle"
    narrow = asked is not None and half_width(estimate) <= asked
    chosen = _chosen(narrowing, side, few=narrow)
    cap = _over(resolved.until, spent, sum(option.steps for option in chosen))
    if narrow and (cap or not chosen or len(analysis.reached) >= ENOUGH):
        return Grants(why=f"{known}, as asked for (until.b_crit = {asked:g})")
    if not chosen:
        return Grants(why=f"{known}; {_remedy(side, analysis, resolved) if side else _MISFIT}")
    if cap is not None:
        more = _still_needed(resolved, estimate, spent)
        return Grants(why=f"{known}; the next grant would exceed {cap}{more}")
    return Grants(granted=tuple(option.grant for option in chosen), why=known)


def _chosen(narrowing: Narrowing, side: int, *, few: bool) -> list[Option]:
    """Return what to grant; at most one new batch size, because it changes the worth of the others.

    Unless `side` (see `_side`) is 0, only batch sizes on that side help. `few` says that the
    interval is narrow, but by too few batch sizes to show the form of the curve.
    """
    edge = narrowing.analysis.reached["batch_size"].agg("max" if side > 0 else "min")
    new = sorted(narrowing.at_new_sizes(), key=_order)
    if side or few:
        return [option for option in new if few or side * (option.grant.batch_size - edge) > 0][:1]
    if censored := _for_censored(narrowing.resolved, narrowing.analysis):
        return censored[:AT_ONCE]
    useful = narrowing.share_of_noise >= _MIN_SHARE
    return _best([*new[:1], *(narrowing.at_measured_sizes() if useful else ())])


def _toward_a_fit(resolved: ResolvedStudy, analysis: Analysis, spent: Spent) -> Grants:
    """Return what may help one more batch size to reach the target, where too few did for a fit.

    A sweep that chooses its batch sizes adds one in the middle of those that did.
    """
    assert resolved.until is not None
    least = MODELS["hyperbola"].least_points
    known = f"until: fewer than {least} batch sizes reached the target, so b_crit is unknown"
    chosen = [*_for_censored(resolved, analysis), *_for_missed(resolved, analysis)][:AT_ONCE]
    if new := worth_measuring(resolved, analysis):
        middle = np.log(analysis.reached["batch_size"]).mean()
        grant = planned(resolved, min(new, key=lambda size: abs(math.log(size) - middle)))
        steps = grant.trials * float(analysis.reached["stopped_at"].max())
        chosen = [Option(grant=grant, narrows=0.0, steps=steps)]
    if not chosen:
        return Grants(
            why=f"{known}, even with more trials where it was missed; raise race.max_steps, widen "
            "search.space, loosen race.target or add batch sizes"
        )
    if (cap := _over(resolved.until, spent, sum(option.steps for option in chosen))) is not None:
        return Grants(
            why=f"{known}; the next grant would exceed {cap}; raise it, or loosen race.target"
        )
    return Grants(granted=tuple(option.grant for option in chosen), why=known)


def _for_censored(resolved: ResolvedStudy, analysis: Analysis) -> list[Option]:
    """Return more seeds where half or more of the best point's ended at their cap.

    New seeds have a higher cap (`study.engine.stopping_rules.held_to`).
    """
    options: list[Option] = []
    rows = analysis.table[analysis.table["steps"].notna() & analysis.table["steps_median"].isna()]
    for size, end in zip(rows["batch_size"], rows["median_bound"].fillna(math.inf), strict=True):
        seeds, confirm = resolved.seeds_at(size), resolved.replicates.confirm or 0
        most = _TRIED * (resolved.replicates.seeds + confirm)
        more = min(math.ceil((1 + MORE) * (seeds + confirm)), most) - (seeds + confirm)
        if more > 0 and resolved.replicates.slack * end < resolved.budget(size):
            grant = Grant(batch_size=size, trials=resolved.trials_at(size), seeds=seeds + more)
            options.append(Option(grant=grant, narrows=0.0, steps=more * end))
    return options


def _for_missed(resolved: ResolvedStudy, analysis: Analysis) -> list[Option]:
    """Return more trials where the target was missed.

    Batch sizes with the fewest trials come first, and of these the largest.
    """
    missed = analysis.table[analysis.table["steps"].isna()]
    longest = dict(zip(missed["batch_size"].tolist(), missed["stopped_at"].tolist(), strict=True))
    options: list[Option] = []
    for size in sorted(longest, key=lambda size: (resolved.trials_at(size), -size)):
        grant, now = more_trials(resolved, size), resolved.trials_at(size)
        if now < _TRIED * resolved.search.trials:
            steps = (grant.trials - now) * longest[size]
            options.append(Option(grant=grant, narrows=0.0, steps=steps))
    return options


def _side(b_crit: Estimate, batch_sizes: "pd.Series[int]") -> int:
    """Return 1 if b_crit lies above all batch sizes, -1 if below, 0 if neither is certain."""
    if b_crit.identified:
        return 0
    return int(b_crit.low >= batch_sizes.max()) - int(b_crit.high <= batch_sizes.min())


def _remedy(side: int, analysis: Analysis, resolved: ResolvedStudy) -> str:
    sizes = analysis.reached["batch_size"]
    if side > 0:
        most = int(sizes.max())
        other = "a looser race.target has a smaller b_crit"
        remedy = other if most == resolved.examples else f"add batch sizes above {most}"
        return f"all measured batch sizes seem to scale perfectly; {remedy}"
    least = int(sizes.min())
    other = "a tighter race.target has a larger b_crit"
    remedy = other if least == 1 else f"add batch sizes below {least}"
    return f"all measured batch sizes seem to lie on the plateau; {remedy}"


def _best(options: Iterable[Option]) -> list[Option]:
    """Return the options of most worth, at most one for each batch size."""
    chosen: dict[int, Option] = {}
    for option in sorted(options, key=_order):
        chosen.setdefault(option.grant.batch_size, option)
    best = list(chosen.values())[:AT_ONCE]
    return [option for option in best if option.narrows > 0]


def _order(option: Option) -> tuple[float, int]:
    return -option.worth, option.grant.batch_size


def _over(until: UntilConfig, spent: Spent, steps: float) -> str | None:
    """Return the limit of `until` that further steps would exceed, as text."""
    total = spent.steps + steps
    if until.trial_steps is not None and total > until.trial_steps:
        return f"until.trial_steps = {until.trial_steps:,}"
    if until.hours is not None and spent.hours * total / max(spent.steps, 1) > until.hours:
        return f"until.hours = {until.hours:g}"
    return None


def _still_needed(resolved: ResolvedStudy, estimate: Estimate, spent: Spent) -> str:
    assert resolved.until is not None
    asked = resolved.until.b_crit
    if not estimate.identified:
        more = "" if resolved.unmeasured else ", or add batch sizes on the side that has no bound"
        return f"; raise it{more}"
    if asked is None:
        return ""
    times = (math.log1p(half_width(estimate)) / math.log1p(asked)) ** 2
    return (
        f"; until.b_crit = {asked:g} would take about {times:.2g} times the "
        f"{spent.steps:,} trial-steps so far, if the interval narrows as their square root"
    )
